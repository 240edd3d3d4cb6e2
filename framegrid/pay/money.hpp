// Exact amounts of money: what a ticket is worth on average is no whole number of wei, nor is the price of a
// unit. Nothing here is a floating-point number.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <framegrid/base/ids.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/base/wei.hpp>
#include <framegrid/pay/ratio.hpp>

namespace framegrid::pay {

// 2^256 - 1: a ticket with this probability always wins.
const BigInt& win_prob_max();

// A signed amount in wei: tickets / (2^256 - 1) + a fraction. The two parts are kept apart so that crediting
// a ticket is one addition, without a common denominator to look for.
class Money {
  public:
    Money() = default;
    static Money wei(const Wei& amount) { return fraction(BigInt(amount), 1); }
    // denominator > 0.
    static Money fraction(const BigInt& numerator, const BigInt& denominator);
    // What `count` tickets are worth on average: face_value x win_prob / (2^256 - 1) each.
    static Money tickets(const Wei& face_value, const Uint256& win_prob, std::uint32_t count = 1);
    // units x price. price.units > 0.
    static Money of_units(std::int64_t units, const Price& price);

    Money& operator+=(const Money& other);
    Money& operator-=(const Money& other);
    friend Money operator+(Money a, const Money& b) { return a += b; }
    friend Money operator-(Money a, const Money& b) { return a -= b; }
    friend Money operator*(Money a, const BigInt& factor);
    Money operator-() const;
    // By value, whatever the parts are.
    friend std::strong_ordering operator<=>(const Money& a, const Money& b);
    friend bool operator==(const Money& a, const Money& b) {
        return (a.rest_.is_same(b.rest_) && a.tickets_ == b.tickets_) || (a <=> b) == 0;
    }

    int sign() const;  // -1, 0, 1
    // Whether it is certainly at least the sum of the others: known at once where it is so by some wei, which
    // is almost always. False: ask exactly.
    bool clearly_covers(const Money& one, const Money& other) const;
    // Towards minus infinity, and towards plus infinity.
    BigInt floor_wei() const;
    BigInt ceil_wei() const;
    // The smallest n with n x `part` >= *this. part > 0; 0 when *this is not positive.
    BigInt times_ceil(const Money& part) const;

    // "5", "-3/4": exact, in lowest terms. parse: the same form, at most 4096 characters; kInvalidArgument.
    std::string text() const;
    static Result<Money> parse(std::string_view text);

  private:
    static int sign_of(const BigInt& tickets, const Ratio& rest);
    // Whole wei that it is not below, and not kRoughness or more above. nullopt: it is too large, or too odd.
    std::optional<Int128> rough_wei() const;
    // The whole as numerator over (2^256 - 1) x rest_.denominator().
    BigInt numerator_over_all() const;
    BigInt denominator_of_all() const { return win_prob_max() * rest_.denominator(); }

    BigInt tickets_ = 0;
    Ratio rest_;
};

}  // namespace framegrid::pay
