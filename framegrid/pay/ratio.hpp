// Exact fractions of any size. Those that jobs are made of fit two machine numbers, and cost what these cost.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>

#include <boost/multiprecision/cpp_int.hpp>

namespace framegrid::pay {

// A signed integer of any size; up to 640 bits without an allocation, which holds a sum of 2^127 tickets.
using BigInt = boost::multiprecision::number<
    boost::multiprecision::cpp_int_backend<
        640, 0, boost::multiprecision::signed_magnitude, boost::multiprecision::unchecked,
        std::allocator<boost::multiprecision::limb_type>>,
    boost::multiprecision::et_off>;
__extension__ using Int128 = __int128;

// floor(a / b). b > 0.
BigInt floor_div(const BigInt& a, const BigInt& b);
// The position of the highest bit of the magnitude of `value`, which is not 0.
unsigned highest_bit(const BigInt& value);

// numerator / denominator. The common denominator of prices that peers chose must not grow for ever: one of
// over 1024 bits, which nobody honest comes near, is rounded down by less than 2^-64.
class Ratio {
  public:
    Ratio() = default;
    // denominator > 0.
    Ratio(const BigInt& numerator, const BigInt& denominator);
    Ratio(Int128 numerator, std::int64_t denominator);

    // The same bits: equal for certain.
    bool is_same(const Ratio& other) const {
        return !large_ && !other.large_ && numerator_ == other.numerator_ &&
               denominator_ == other.denominator_;
    }
    int sign() const;  // -1, 0, 1
    BigInt numerator() const { return large_ ? large_->numerator : BigInt(numerator_); }
    BigInt denominator() const { return large_ ? large_->denominator : BigInt(denominator_); }
    // The largest whole number that is not above it. nullopt: only known to who divides large numbers.
    std::optional<Int128> floor_small() const;
    bool is_whole() const { return large_ ? large_->denominator == 1 : denominator_ == 1; }
    // highest_bit() of the two. Not of 0.
    unsigned numerator_bit() const;
    unsigned denominator_bit() const;

    Ratio operator-() const;
    Ratio& operator+=(const Ratio& other);
    Ratio& operator-=(const Ratio& other);
    // By value, in lowest terms or not.
    friend std::strong_ordering operator<=>(const Ratio& a, const Ratio& b);
    friend bool operator==(const Ratio& a, const Ratio& b) { return (a <=> b) == 0; }

  private:
    struct Large {
        BigInt numerator;
        BigInt denominator;
    };
    Int128 numerator_ = 0;
    std::int64_t denominator_ = 1;
    void add_small(Int128 numerator);
    std::shared_ptr<const Large> large_;  // instead of these two, if it is not null
};

}  // namespace framegrid::pay
