#include <framegrid/receipts_fs/hour_files.hpp>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <format>
#include <system_error>

#include <framegrid/pay/receipt.hpp>

namespace framegrid::receipts_fs {

namespace {

constexpr const char* kSuffix = ".jsonl";

}  // namespace

std::string name_of(const HourPart& what) {
    const auto hour = pay::hour_of(what.hour * kHourMs);
    return what.part == 0 ? hour : std::format("{}-{:04}", hour, what.part);
}

HourPart hour_named(const std::string& name) {
    const auto hour_name = name.substr(0, pay::kHourNameBytes);
    HourPart out;
    if (name.size() > pay::kHourNameBytes) {
        std::from_chars(name.data() + pay::kHourNameBytes + 1, name.data() + name.size(), out.part);
    }
    std::int64_t high = std::int64_t{24} * 366 * 8'030;  // the year 9999 and some
    while (out.hour < high) {
        const std::int64_t middle = out.hour + (high - out.hour) / 2;
        const std::string there = name_of({.hour = middle});
        if (there.size() < pay::kHourNameBytes ||
            (there.size() == pay::kHourNameBytes && there < hour_name)) {
            out.hour = middle + 1;
        } else {
            high = middle;
        }
    }
    return out;
}

host::Path path_of(const host::Path& directory, const std::string& name) {
    return directory / (name + kSuffix);
}

Result<std::vector<std::string>> hours_in(const host::Path& directory) {
    std::vector<std::string> out;
    std::error_code error;
    for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
         at.increment(error)) {
        const host::Path& file = at->path();
        if (file.extension() == kSuffix && pay::is_hour_name(file.stem().string())) {
            out.push_back(file.stem().string());
        }
    }
    if (error) {
        return fail(host::system_error("cannot read " + directory.string(), error.value()));
    }
    std::ranges::sort(out);
    return out;
}

}  // namespace framegrid::receipts_fs
