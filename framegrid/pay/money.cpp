#include <framegrid/pay/money.hpp>

#include <algorithm>
#include <limits>

namespace framegrid::pay {

namespace {

constexpr std::size_t kTextMax = 4096;
constexpr unsigned kProbabilityBits = 256;

// Tickets count in parts of 2^256 - 1 wei. Shifted by 256 bits they are less than 2 wei too few, as long as
// they have fewer than 512 bits; with the rest's own fraction it is less than 3.
constexpr Int128 kRoughness = 3;

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

Money Money::fraction(const BigInt& numerator, const BigInt& denominator) {
    Money money;
    money.rest_ = Ratio(numerator, denominator);
    return money;
}

Money Money::tickets(const Wei& face_value, const Uint256& win_prob, std::uint32_t count) {
    Money money;
    money.tickets_ = BigInt(face_value) * BigInt(win_prob) * count;
    return money;
}

Money Money::of_units(std::int64_t units, const Price& price) {
    Money money;
    money.rest_ = Ratio(static_cast<Int128>(units) * price.wei, price.units);
    return money;
}

Money& Money::operator+=(const Money& other) {
    if (!other.tickets_.is_zero()) {
        tickets_ += other.tickets_;
    }
    rest_ += other.rest_;
    return *this;
}

Money& Money::operator-=(const Money& other) {
    if (!other.tickets_.is_zero()) {
        tickets_ -= other.tickets_;
    }
    rest_ -= other.rest_;
    return *this;
}

Money operator*(Money a, const BigInt& factor) {
    a.tickets_ *= factor;
    a.rest_ = Ratio(a.rest_.numerator() * factor, a.rest_.denominator());
    return a;
}

Money Money::operator-() const {
    Money out = *this;
    out.tickets_ = -tickets_;
    out.rest_ = -rest_;
    return out;
}

BigInt Money::numerator_over_all() const {
    return tickets_ * rest_.denominator() + rest_.numerator() * win_prob_max();
}

std::optional<Int128> Money::rough_wei() const {
    const auto rest = rest_.floor_small();
    const auto& limbs = tickets_.backend();
    constexpr unsigned kLimbs = kProbabilityBits / 64;
    static_assert(sizeof(*limbs.limbs()) == sizeof(std::uint64_t));
    if (!rest || limbs.sign() || limbs.size() > kLimbs + 2) {
        return std::nullopt;
    }
    const Int128 high = limbs.size() > kLimbs + 1 ? static_cast<Int128>(limbs.limbs()[kLimbs + 1]) : 0;
    const Int128 low = limbs.size() > kLimbs ? static_cast<Int128>(limbs.limbs()[kLimbs]) : 0;
    constexpr Int128 kHighMax = std::int64_t{1} << 60U;
    return high < kHighMax ? std::optional((high << 64U) + low + *rest) : std::nullopt;
}

int Money::sign() const {
    const auto rough = rough_wei();
    return rough && *rough > 0 ? 1 : sign_of(tickets_, rest_);
}

bool Money::clearly_covers(const Money& one, const Money& other) const {
    const auto here = rough_wei();
    const auto a = one.rough_wei();
    const auto b = other.rough_wei();
    return here && a && b && *here >= *a + *b + 2 * kRoughness;
}

int Money::sign_of(const BigInt& tickets, const Ratio& rest) {
    if (tickets.is_zero() || rest.sign() == 0 || tickets.sign() == rest.sign()) {
        return tickets.is_zero() ? rest.sign() : tickets.sign();
    }
    // Products are compared by their lengths, where these tell.
    const auto left = highest_bit(tickets) + rest.denominator_bit();
    const auto right = rest.numerator_bit() + kProbabilityBits - 1;
    if (left > right + 1 || right > left + 1) {
        return left > right ? tickets.sign() : rest.sign();
    }
    return (tickets * rest.denominator() + rest.numerator() * win_prob_max()).sign();
}

std::strong_ordering operator<=>(const Money& a, const Money& b) {
    const auto rough_a = a.rough_wei();
    const auto rough_b = b.rough_wei();
    if (rough_a && rough_b && (*rough_a >= *rough_b + kRoughness || *rough_b >= *rough_a + kRoughness)) {
        return *rough_a <=> *rough_b;
    }
    const auto tickets = a.tickets_.compare(b.tickets_) <=> 0;
    const auto rests = a.rest_ <=> b.rest_;
    if (tickets == 0 || rests == 0 || tickets == rests) {
        return tickets != 0 ? tickets : rests;
    }
    Ratio rest = a.rest_;
    rest -= b.rest_;
    if (b.tickets_.is_zero()) {
        return Money::sign_of(a.tickets_, rest) <=> 0;
    }
    return Money::sign_of(a.tickets_ - b.tickets_, rest) <=> 0;
}

BigInt Money::floor_wei() const {
    return tickets_.is_zero() && rest_.is_whole() ? rest_.numerator()
                                                  : floor_div(numerator_over_all(), denominator_of_all());
}

BigInt Money::ceil_wei() const {
    if (tickets_.is_zero() && rest_.is_whole()) {
        return rest_.numerator();
    }
    return -floor_div(-numerator_over_all(), denominator_of_all());
}

BigInt Money::times_ceil(const Money& part) const {
    FG_ASSERT(part.sign() > 0);
    if (sign() <= 0) {
        return 0;
    }
    // Both over 2^256 - 1, which cancels out.
    return -floor_div(
        -numerator_over_all() * part.rest_.denominator(), part.numerator_over_all() * rest_.denominator()
    );
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
