#include <framegrid/http/date.hpp>

#include <charconv>
#include <chrono>

#include <fmt/format.h>

namespace framegrid::http {

namespace {

constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::size_t kLetters = 3;
constexpr std::string_view kForm = "Sun, 06 Nov 1994 08:49:37 GMT";

std::optional<unsigned> number_in(std::string_view text, std::size_t at, std::size_t digits) {
    unsigned out = 0;
    const auto* const end = text.data() + at + digits;
    const auto [stop, error] = std::from_chars(text.data() + at, end, out);
    return error == std::errc() && stop == end ? std::optional(out) : std::nullopt;
}

}  // namespace

std::string date_text(std::int64_t unix_ms) {
    namespace chrono = std::chrono;
    const chrono::sys_seconds at{chrono::floor<chrono::seconds>(chrono::milliseconds(unix_ms))};
    const auto day = chrono::floor<chrono::days>(at);
    const chrono::year_month_day date{day};
    const chrono::hh_mm_ss time{at - day};
    return fmt::format(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        kDays.substr(chrono::weekday{day}.c_encoding() * kLetters, kLetters), unsigned{date.day()},
        kMonths.substr((unsigned{date.month()} - 1) * kLetters, kLetters), int{date.year()},
        time.hours().count(), time.minutes().count(), time.seconds().count()
    );
}

std::optional<std::int64_t> parse_date(std::string_view text) {
    namespace chrono = std::chrono;
    if (text.size() != kForm.size() || !text.ends_with(" GMT")) {
        return std::nullopt;
    }
    const auto month_at = kMonths.find(text.substr(8, kLetters));
    const auto date = number_in(text, 5, 2);
    const auto in_year = number_in(text, 12, 4);
    const auto hour = number_in(text, 17, 2);
    const auto minute = number_in(text, 20, 2);
    const auto second = number_in(text, 23, 2);
    if (month_at == std::string_view::npos || month_at % kLetters != 0 || !date || !in_year || !hour ||
        !minute || !second) {
        return std::nullopt;
    }
    const chrono::year_month_day whole{
        chrono::year(static_cast<int>(*in_year)),
        chrono::month(static_cast<unsigned>(month_at / kLetters + 1)), chrono::day(*date)
    };
    if (!whole.ok() || *hour > 23 || *minute > 59 || *second > 60) {
        return std::nullopt;
    }
    const auto at =
        chrono::sys_days(whole) + chrono::hours(*hour) + chrono::minutes(*minute) + chrono::seconds(*second);
    return at.time_since_epoch().count();
}

}  // namespace framegrid::http
