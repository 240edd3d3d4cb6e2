#include <framegrid/pay/receipt.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <chrono>
#include <cstring>
#include <limits>
#include <numeric>
#include <system_error>

namespace framegrid::pay {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::size_t kWorkBytesMax = 128;
constexpr std::size_t kAmountBytesMax = 4'096;

// What a line has beside its work: less than this.
constexpr std::size_t kLineRestMax = 1'024;

// Eight lower-case hex digits of four bytes, in the order of memory, all at once.
std::uint64_t hex_digits(std::uint32_t bytes) {
    constexpr std::uint64_t kOnes = 0x0101010101010101U;
    std::uint64_t out = bytes;
    out = (out | out << 16U) & 0x0000ffff0000ffffU;
    out = (out | out << 8U) & 0x00ff00ff00ff00ffU;
    out = (out >> 4U & 0x000f000f000f000fU) | (out & 0x000f000f000f000fU) << 8U;
    const std::uint64_t letters = (out + 6 * kOnes) >> 4U & kOnes;  // 1 where the digit is above 9
    return out + '0' * kOnes + letters * ('a' - '9' - 1);
}

// Writes a line from left to right where there is room for it: a million of them are one core's seconds.
class Pen {
  public:
    explicit Pen(char* at) : at_(at) {}
    Pen& text(std::string_view text) {
        at_ = std::ranges::copy(text, at_).out;
        return *this;
    }
    template <std::size_t kSize>
    Pen& hex(const std::array<std::uint8_t, kSize>& bytes) {
        static_assert(kSize % 4 == 0 && std::endian::native == std::endian::little);
        for (std::size_t i = 0; i < kSize; i += 4) {
            std::uint32_t four = 0;
            std::memcpy(&four, bytes.data() + i, sizeof(four));
            const std::uint64_t digits = hex_digits(four);
            std::memcpy(at_, &digits, sizeof(digits));
            at_ += sizeof(digits);
        }
        return *this;
    }
    template <class Int>
    Pen& number(Int number) {
        at_ = std::to_chars(at_, at_ + 20, number).ptr;
        return *this;
    }
    Pen& wide(Wide number) {
        constexpr Wide kPart = 10'000'000'000'000'000'000U;
        if (number < kPart) {
            return this->number(static_cast<std::uint64_t>(number));
        }
        wide(number / kPart);
        const auto low = std::to_string(static_cast<std::uint64_t>(number % kPart));
        return text(std::string(19 - low.size(), '0')).text(low);
    }
    char* end() const { return at_; }

  private:
    char* at_;
};

// Units times price in lowest terms, as Money::text().
void write_amount(Pen& pen, const Receipt& receipt) {
    const auto denominator = static_cast<std::uint64_t>(receipt.price.units);
    const Wide numerator = static_cast<Wide>(receipt.units) * static_cast<Wide>(receipt.price.wei);
    const std::uint64_t common = std::gcd(denominator, static_cast<std::uint64_t>(numerator % denominator));
    pen.wide(numerator / common);
    if (denominator != common) {
        pen.text("/").number(denominator / common);
    }
}

bool has_amount(const Receipt& receipt, std::string_view amount) {
    std::array<char, 128> text{};
    Pen pen(text.data());
    write_amount(pen, receipt);
    return amount == std::string_view(text.data(), pen.end());
}

bool is_plain(char c) {
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

// Reads a line from left to right. After the first thing that is not as expected it reads nothing more.
class Scan {
  public:
    explicit Scan(std::string_view text) : rest_(text) {}

    Scan& literal(std::string_view expected) {
        good_ = good_ && rest_.starts_with(expected);
        rest_.remove_prefix(good_ ? expected.size() : 0);
        return *this;
    }
    template <class Array>
    Scan& bytes(Array& out) {
        good_ = good_ && rest_.size() >= out.size() * 2;
        for (std::size_t i = 0; good_ && i < out.size(); ++i) {
            const int high = digit(rest_[2 * i]);
            const int low = digit(rest_[2 * i + 1]);
            good_ = high >= 0 && low >= 0;
            out[i] = static_cast<std::uint8_t>(high * 16 + low);
        }
        rest_.remove_prefix(good_ ? out.size() * 2 : 0);
        return *this;
    }
    // Not negative, without leading zeros.
    template <class Int>
    Scan& number(Int& out) {
        const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), out);
        const auto size = static_cast<std::size_t>(end - rest_.data());
        good_ = good_ && error == std::errc() && rest_[0] != '-' && (size == 1 || rest_[0] != '0');
        rest_.remove_prefix(good_ ? size : 0);
        return *this;
    }
    // Up to the next quote.
    Scan& text(std::string_view& out, std::size_t size_max) {
        const auto size = std::min(rest_.find('"'), rest_.size());
        good_ = good_ && size <= size_max;
        out = rest_.substr(0, good_ ? size : 0);
        rest_.remove_prefix(out.size());
        return *this;
    }
    bool at_end() const { return good_ && rest_.empty(); }

  private:
    static int digit(char c) {
        if (c >= '0' && c <= '9') {
            return c - '0';
        }
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    }
    std::string_view rest_;
    bool good_ = true;
};

std::unexpected<Error> malformed(const char* what) {
    return fail(Errc::kInvalidArgument, std::string("this is no ") + what);
}

constexpr std::string_view kClosingStart = R"({"close":")";
constexpr std::string_view kReceiptStart = R"({"id":")";
constexpr std::string_view kReceipt2Start = R"({"v":2,"id":")";

}  // namespace

Money Receipt::amount() const {
    return Money::of_units(units, price);
}

Result<void> check_work(std::string_view work) {
    if (work.empty() || work.size() > kWorkBytesMax || !std::ranges::all_of(work, is_plain)) {
        return fail(Errc::kInvalidArgument, "a receipt's work is named by 1 to 128 plain characters", "work");
    }
    return {};
}

namespace {

char* write_line(char* at, const Receipt& receipt) {
    Pen pen(at);
    pen.text(receipt.version == 1 ? kReceiptStart : kReceipt2Start).hex(receipt.id);
    pen.text(R"(","at_ms":)").number(receipt.unix_ms);
    pen.text(R"(,"payer":"0x)").hex(receipt.payer).text(R"(","payee":"0x)").hex(receipt.payee);
    pen.text(R"(","work":")").text(receipt.work);
    pen.text(R"(","price":")").number(receipt.price.wei).text("/").number(receipt.price.units);
    pen.text(R"(","units":)").number(receipt.units).text(R"(,"amount":")");
    write_amount(pen, receipt);
    pen.text(R"(","model":")").hex(receipt.model);
    if (receipt.version != 1) {
        pen.text(R"(","parameters":")").hex(receipt.parameters);
    }
    pen.text(R"(","input":")").hex(receipt.input).text(R"(","output":")").hex(receipt.output).text(R"("})");
    return pen.end();
}

}  // namespace

void append_line(std::string& out, const Receipt& receipt) {
    const std::size_t before = out.size();
    const std::size_t room = before + kLineRestMax + receipt.work.size();
    out.resize_and_overwrite(room, [&](char* text, std::size_t) {
        return static_cast<std::size_t>(write_line(text + before, receipt) - text);
    });
}

std::string to_line(const Receipt& receipt) {
    std::string out;
    append_line(out, receipt);
    return out;
}

Result<Receipt> parse_receipt(std::string_view line) {
    Receipt out;
    std::string_view work;
    std::string_view amount;
    out.version = line.starts_with(kReceiptStart) ? 1 : kReceiptVersion;
    Scan scan(line);
    scan.literal(out.version == 1 ? kReceiptStart : kReceipt2Start);
    scan.bytes(out.id).literal(R"(","at_ms":)").number(out.unix_ms);
    scan.literal(R"(,"payer":"0x)").bytes(out.payer).literal(R"(","payee":"0x)").bytes(out.payee);
    scan.literal(R"(","work":")").text(work, kWorkBytesMax);
    scan.literal(R"(","price":")").number(out.price.wei).literal("/").number(out.price.units);
    scan.literal(R"(","units":)").number(out.units).literal(R"(,"amount":")").text(amount, kAmountBytesMax);
    scan.literal(R"(","model":")").bytes(out.model);
    if (out.version != 1) {
        scan.literal(R"(","parameters":")").bytes(out.parameters);
    }
    scan.literal(R"(","input":")")
        .bytes(out.input)
        .literal(R"(","output":")")
        .bytes(out.output)
        .literal(R"("})");
    if (!scan.at_end() || out.price.units == 0) {
        return malformed("receipt");
    }
    FG_CHECK(check_work(work));
    out.work = work;
    if (!has_amount(out, amount)) {
        return fail(Errc::kInvalidArgument, "the amount is not what units and price make", "amount");
    }
    return out;
}

std::string closing_text(const Closing& closing) {
    std::string out(kClosingStart);
    out += closing.hour;
    out += R"(","party":"0x)" + crypto::hex(closing.party);
    out += R"(","receipts":)" + std::to_string(closing.receipts);
    out += R"(,"amount":")" + closing.amount.text();
    out += R"(","previous":")" + crypto::hex(closing.previous);
    out += R"(","root":")" + crypto::hex(closing.root);
    out += '"';
    return out;
}

std::string to_line(const Closing& closing) {
    return closing_text(closing) + R"(,"signature":"0x)" + crypto::hex(closing.signature) + R"("})";
}

Result<Closing> parse_closing(std::string_view line) {
    Closing out;
    std::string_view hour;
    std::string_view amount;
    Scan scan(line);
    constexpr std::size_t kHourBytesMax = 18;
    scan.literal(kClosingStart).text(hour, kHourBytesMax).literal(R"(","party":"0x)").bytes(out.party);
    scan.literal(R"(","receipts":)").number(out.receipts);
    scan.literal(R"(,"amount":")").text(amount, kAmountBytesMax);
    scan.literal(R"(","previous":")").bytes(out.previous).literal(R"(","root":")").bytes(out.root);
    scan.literal(R"(","signature":"0x)").bytes(out.signature).literal(R"("})");
    if (!scan.at_end() || !is_hour_name(hour)) {
        return malformed("closing line");
    }
    out.hour = hour;
    FG_TRY(sum, Money::parse(amount));
    out.amount = sum;
    if (out.amount.text() != amount) {
        return malformed("closing line");
    }
    return out;
}

bool is_closing(std::string_view line) {
    return line.starts_with(kClosingStart);
}

std::string hour_of(std::int64_t unix_ms) {
    using namespace std::chrono;
    const sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds(unix_ms)};
    const auto day = floor<days>(time);
    const year_month_day date(day);
    const auto two = [](std::int64_t number) { return (number < 10 ? "0" : "") + std::to_string(number); };
    return std::to_string(static_cast<int>(date.year())) + '-' + two(static_cast<unsigned>(date.month())) +
           '-' + two(static_cast<unsigned>(date.day())) + 'T' + two(duration_cast<hours>(time - day).count());
}

bool is_hour_name(std::string_view name) {
    constexpr std::string_view kForm = "dddd-dd-ddTdd-dddd";
    const bool has_part = name.size() == kForm.size() && name.substr(kHourNameBytes) != "-0000";
    return (name.size() == kHourNameBytes || has_part) &&
           std::ranges::equal(name, kForm.substr(0, name.size()), [](char c, char form) {
               return form == 'd' ? c >= '0' && c <= '9' : c == form;
           });
}

}  // namespace framegrid::pay
