// Which file of a book's directory holds which hour.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/host/files.hpp>

namespace framegrid::receipts_fs {

inline constexpr std::int64_t kHourMs = 3'600'000;

// An hour, or a further part of one whose file was full.
struct HourPart {
    std::int64_t hour = 0;  // since 1970; -1: before all
    std::int32_t part = 0;
    friend auto operator<=>(const HourPart&, const HourPart&) = default;
};

// As pay::Closing names it. Names sort like their hours.
std::string name_of(const HourPart& what);
// Of a name that pay::is_hour_name() takes.
HourPart hour_named(const std::string& name);
host::Path path_of(const host::Path& directory, const std::string& name);
// Names of what is there, oldest first. kIo.
Result<std::vector<std::string>> hours_in(const host::Path& directory);

}  // namespace framegrid::receipts_fs
