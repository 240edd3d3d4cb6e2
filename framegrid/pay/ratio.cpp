#include <framegrid/pay/ratio.hpp>

#include <bit>
#include <limits>
#include <numeric>

#include <framegrid/base/result.hpp>

namespace framegrid::pay {

namespace {

constexpr unsigned kDenominatorBitsMax = 1024;

// Far enough from the ends that a negation, or a sum of two, is no question.
const Int128 kSmallMax = static_cast<Int128>(1) << 125;

bool is_small(const BigInt& value) {
    static const BigInt max(kSmallMax);
    return value < max && value > -max;
}

bool fits_64(Int128 value) {
    return value >= std::numeric_limits<std::int64_t>::min() &&
           value <= std::numeric_limits<std::int64_t>::max();
}

}  // namespace

BigInt floor_div(const BigInt& a, const BigInt& b) {
    BigInt quotient;
    BigInt rest;
    divide_qr(a, b, quotient, rest);
    return rest < 0 ? BigInt(quotient - 1) : quotient;
}

// msb() takes no negative number: it would need a copy.
unsigned highest_bit(const BigInt& value) {
    constexpr unsigned kLimbBits = std::numeric_limits<boost::multiprecision::limb_type>::digits;
    const auto limbs = static_cast<unsigned>(value.backend().size());
    return limbs * kLimbBits - 1 -
           static_cast<unsigned>(std::countl_zero(value.backend().limbs()[limbs - 1]));
}

Ratio::Ratio(const BigInt& numerator, const BigInt& denominator) {
    FG_ASSERT(denominator > 0);
    const BigInt common = gcd(numerator, denominator);
    Large lowest{numerator / common, denominator / common};
    if (highest_bit(lowest.denominator) >= kDenominatorBitsMax) {
        lowest.numerator = floor_div(lowest.numerator << 64, lowest.denominator);
        lowest.denominator = BigInt(1) << 64;
    }
    if (is_small(lowest.numerator) && lowest.denominator <= std::numeric_limits<std::int64_t>::max()) {
        numerator_ = static_cast<Int128>(lowest.numerator);
        denominator_ = static_cast<std::int64_t>(lowest.denominator);
    } else {
        large_ = std::make_shared<const Large>(std::move(lowest));
    }
}

Ratio::Ratio(Int128 numerator, std::int64_t denominator) {
    FG_ASSERT(denominator > 0);
    if (numerator >= kSmallMax || numerator <= -kSmallMax) {
        *this = Ratio(BigInt(numerator), BigInt(denominator));
        return;
    }
    if (denominator != 1) {
        const auto common = std::gcd(static_cast<std::int64_t>(numerator % denominator), denominator);
        numerator /= common;
        denominator /= common;
    }
    numerator_ = numerator;
    denominator_ = denominator;
}

std::optional<Int128> Ratio::floor_small() const {
    if (large_) {
        return std::nullopt;
    }
    if (denominator_ == 1) {
        return numerator_;
    }
    const Int128 quotient = numerator_ / denominator_;
    return numerator_ % denominator_ < 0 ? quotient - 1 : quotient;
}

int Ratio::sign() const {
    return large_ ? large_->numerator.sign() : (numerator_ > 0 ? 1 : 0) - (numerator_ < 0 ? 1 : 0);
}

unsigned Ratio::numerator_bit() const {
    if (large_) {
        return highest_bit(large_->numerator);
    }
    __extension__ using Magnitude = unsigned __int128;
    const auto magnitude = static_cast<Magnitude>(numerator_ < 0 ? -numerator_ : numerator_);
    const auto high = static_cast<std::uint64_t>(magnitude >> 64);
    return high != 0 ? 63 + static_cast<unsigned>(std::bit_width(high))
                     : static_cast<unsigned>(std::bit_width(static_cast<std::uint64_t>(magnitude))) - 1;
}

unsigned Ratio::denominator_bit() const {
    return large_ ? highest_bit(large_->denominator)
                  : static_cast<unsigned>(std::bit_width(static_cast<std::uint64_t>(denominator_))) - 1;
}

Ratio Ratio::operator-() const {
    Ratio out = *this;
    if (large_) {
        out.large_ = std::make_shared<const Large>(Large{-large_->numerator, large_->denominator});
    } else {
        out.numerator_ = -numerator_;
    }
    return out;
}

// Both are small, and of one denominator.
void Ratio::add_small(Int128 numerator) {
    numerator_ += numerator;
    if (numerator_ >= kSmallMax || numerator_ <= -kSmallMax) {
        *this = Ratio(BigInt(numerator_), BigInt(denominator_));
    }
}

Ratio& Ratio::operator+=(const Ratio& other) {
    if (!large_ && !other.large_ && denominator_ == other.denominator_) {
        add_small(other.numerator_);
    } else if (other.sign() != 0) {
        *this = Ratio(
            numerator() * other.denominator() + other.numerator() * denominator(),
            denominator() * other.denominator()
        );
    }
    return *this;
}

Ratio& Ratio::operator-=(const Ratio& other) {
    if (!large_ && !other.large_ && denominator_ == other.denominator_) {
        add_small(-other.numerator_);
        return *this;
    }
    return *this += -other;
}

std::strong_ordering operator<=>(const Ratio& a, const Ratio& b) {
    if (!a.large_ && !b.large_) {
        if (a.denominator_ == b.denominator_) {
            return a.numerator_ <=> b.numerator_;
        }
        if (fits_64(a.numerator_) && fits_64(b.numerator_)) {
            return a.numerator_ * b.denominator_ <=> b.numerator_ * a.denominator_;
        }
    }
    return (a.numerator() * b.denominator()).compare(b.numerator() * a.denominator()) <=> 0;
}

}  // namespace framegrid::pay
