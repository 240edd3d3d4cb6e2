#include <framegrid/pay/money.hpp>

#include <algorithm>
#include <limits>

namespace framegrid::pay {

namespace {

// The common denominator of prices that peers chose must not grow for ever. Nobody honest comes near: above
// this an amount is rounded down by less than 2^-64 wei.
constexpr unsigned kDenominatorBitsMax = 1024;

constexpr std::size_t kTextMax = 4096;
constexpr unsigned kProbabilityBits = 256;

BigInt floor_div(const BigInt& a, const BigInt& b) {
    BigInt quotient;
    BigInt rest;
    divide_qr(a, b, quotient, rest);
    return rest < 0 ? BigInt(quotient - 1) : quotient;
}

Result<BigInt> parse_integer(std::string_view digits) {
    if (digits.empty() || !std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; })) {
        return fail(
            Errc::kInvalidArgument, "an amount is written as digits, or as two such numbers with a slash"
        );
    }
    // A leading zero would make it octal.
    digits.remove_prefix(std::min(digits.find_first_not_of("0"), digits.size() - 1));
    return BigInt(std::string(digits));
}

}  // namespace

const BigInt& win_prob_max() {
    static const BigInt max(std::numeric_limits<Uint256>::max());
    return max;
}

Money Money::fraction(BigInt numerator, BigInt denominator) {
    FG_ASSERT(denominator > 0);
    Money money;
    money.numerator_ = std::move(numerator);
    money.denominator_ = std::move(denominator);
    money.reduce();
    return money;
}

Money Money::tickets(const Wei& face_value, const Uint256& win_prob, std::uint32_t count) {
    Money money;
    money.tickets_ = BigInt(face_value) * BigInt(win_prob) * count;
    return money;
}

Money Money::of_units(std::int64_t units, const Price& price) {
    return fraction(BigInt(units) * price.wei, price.units);
}

Money& Money::operator+=(const Money& other) {
    if (!other.tickets_.is_zero()) {
        tickets_ += other.tickets_;
    }
    add(other.numerator_, other.denominator_);
    return *this;
}

Money& Money::operator-=(const Money& other) {
    if (!other.tickets_.is_zero()) {
        tickets_ -= other.tickets_;
    }
    if (denominator_ == other.denominator_) {
        numerator_ -= other.numerator_;
    } else {
        add(-other.numerator_, other.denominator_);
    }
    return *this;
}

Money operator*(Money a, const BigInt& factor) {
    a.tickets_ *= factor;
    a.numerator_ *= factor;
    return a;
}

void Money::add(const BigInt& numerator, const BigInt& denominator) {
    if (numerator.is_zero()) {
        return;
    }
    if (denominator == denominator_) {
        numerator_ += numerator;
        return;
    }
    numerator_ = numerator_ * denominator + numerator * denominator_;
    denominator_ *= denominator;
    reduce();
}

void Money::reduce() {
    if (denominator_ == 1) {
        return;
    }
    const BigInt common = gcd(numerator_, denominator_);
    if (common > 1) {
        numerator_ /= common;
        denominator_ /= common;
    }
    if (msb(denominator_) >= kDenominatorBitsMax) {
        numerator_ = floor_div(numerator_ << 64, denominator_);
        denominator_ = BigInt(1) << 64;
    }
}

BigInt Money::numerator_over_all() const {
    return tickets_ * denominator_ + numerator_ * win_prob_max();
}

int Money::sign_of(const BigInt& tickets, const BigInt& numerator, const BigInt& denominator) {
    if (tickets.is_zero() || numerator.is_zero() || tickets.sign() == numerator.sign()) {
        return tickets.is_zero() ? numerator.sign() : tickets.sign();
    }
    // Products are compared by their lengths, where these tell.
    const auto bits = [](const BigInt& value) { return msb(value.sign() < 0 ? BigInt(-value) : value); };
    const auto left = bits(tickets) + bits(denominator);
    const auto right = bits(numerator) + kProbabilityBits - 1;
    if (left > right + 1 || right > left + 1) {
        return left > right ? tickets.sign() : numerator.sign();
    }
    return (tickets * denominator + numerator * win_prob_max()).sign();
}

std::strong_ordering operator<=>(const Money& a, const Money& b) {
    if (a.denominator_ != b.denominator_) {
        return (a - b).sign() <=> 0;
    }
    return Money::sign_of(a.tickets_ - b.tickets_, a.numerator_ - b.numerator_, a.denominator_) <=> 0;
}

BigInt Money::floor_wei() const {
    return tickets_.is_zero() && denominator_ == 1 ? numerator_
                                                   : floor_div(numerator_over_all(), denominator_of_all());
}

BigInt Money::ceil_wei() const {
    if (tickets_.is_zero() && denominator_ == 1) {
        return numerator_;
    }
    return -floor_div(-numerator_over_all(), denominator_of_all());
}

BigInt Money::times_ceil(const Money& part) const {
    FG_ASSERT(part.sign() > 0);
    if (sign() <= 0) {
        return 0;
    }
    // Both over 2^256 - 1, which cancels out.
    return -floor_div(-numerator_over_all() * part.denominator_, part.numerator_over_all() * denominator_);
}

std::string Money::text() const {
    BigInt numerator = numerator_over_all();
    BigInt denominator = denominator_of_all();
    const BigInt common = gcd(numerator, denominator);
    numerator /= common;
    denominator /= common;
    return denominator == 1 ? numerator.str() : numerator.str() + "/" + denominator.str();
}

Result<Money> Money::parse(std::string_view text) {
    if (text.size() > kTextMax) {
        return fail(Errc::kInvalidArgument, "an amount is too long");
    }
    const bool negative = text.starts_with("-");
    text.remove_prefix(negative ? 1 : 0);
    const auto slash = text.find("/");
    FG_TRY(numerator, parse_integer(text.substr(0, slash)));
    BigInt denominator = 1;
    if (slash != std::string_view::npos) {
        FG_TRY(below, parse_integer(text.substr(slash + 1)));
        if (below.is_zero()) {
            return fail(Errc::kInvalidArgument, "an amount has the denominator 0");
        }
        denominator = std::move(below);
    }
    return fraction(negative ? BigInt(-numerator) : numerator, std::move(denominator));
}

}  // namespace framegrid::pay
