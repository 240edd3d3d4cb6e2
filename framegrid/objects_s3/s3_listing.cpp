#include <framegrid/objects_s3/s3_listing.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>

namespace framegrid::objects_s3 {

namespace {

int number_at(std::string_view text, std::size_t from, std::size_t count) {
    int out = -1;
    const auto digits = text.substr(std::min(from, text.size()), count);
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    return read.ec == std::errc{} && read.ptr == digits.data() + count ? out : -1;
}

// "2026-11-28T01:30:00.000Z", to the second.
std::int64_t unix_ms_of(std::string_view text) {
    namespace chrono = std::chrono;
    const int year = number_at(text, 0, 4);
    const int month = number_at(text, 5, 2);
    const int day = number_at(text, 8, 2);
    const int hour = number_at(text, 11, 2);
    const int minute = number_at(text, 14, 2);
    const int second = number_at(text, 17, 2);
    const auto date = chrono::year(year) / month / day;
    if (year < 0 || month < 0 || day < 0 || hour < 0 || minute < 0 || second < 0 || !date.ok() ||
        !text.ends_with('Z')) {
        return std::numeric_limits<std::int64_t>::max();
    }
    const auto time =
        chrono::sys_days(date) + chrono::hours(hour) + chrono::minutes(minute) + chrono::seconds(second);
    return chrono::duration_cast<chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

bool is_digest(std::string_view text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string element(std::string_view xml, std::string_view name) {
    const auto open = "<" + std::string(name) + ">";
    const auto close = "</" + std::string(name) + ">";
    const auto from = xml.find(open);
    const auto to = from == std::string_view::npos ? from : xml.find(close, from);
    return to == std::string_view::npos
               ? std::string()
               : std::string(xml.substr(from + open.size(), to - from - open.size()));
}

Listing parse_listing(std::string_view xml) {
    constexpr std::string_view kOpen = "<Contents>";
    constexpr std::string_view kClose = "</Contents>";
    Listing out;
    if (element(xml, "IsTruncated") == "true") {
        out.next = element(xml, "NextContinuationToken");
    }
    std::size_t to = 0;
    for (auto from = xml.find(kOpen); from != std::string_view::npos; from = xml.find(kOpen, to)) {
        to = xml.find(kClose, from);
        if (to == std::string_view::npos) {
            break;
        }
        const auto entry = xml.substr(from, to - from);
        const auto key = element(entry, "Key");
        out.objects.push_back({key.substr(key.rfind('/') + 1), unix_ms_of(element(entry, "LastModified"))});
    }
    return out;
}

}  // namespace framegrid::objects_s3
