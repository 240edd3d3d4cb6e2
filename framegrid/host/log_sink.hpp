// Where log lines go: standard error, as text for people or as JSON lines for machines.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <framegrid/base/log.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::host {

enum class LogFormat : std::uint8_t { kText, kJson };

struct LogSettings {
    LogLevel level = LogLevel::kInfo;
    std::string role = "framegrid";  // names the process in each line: "gateway", "worker 2"
    LogFormat format = LogFormat::kText;
    std::uint32_t same_event_per_s_max = 20;  // further lines of that event are counted instead; 0: no limit
};

// A logger for standard error, usable from any thread. Text has colours only on a terminal (and not with
// NO_COLOR). A JSON line is one object of strings: time, level, role, event, then the event's own fields.
Logger make_stderr_logger(LogSettings settings);

// The same, with a way to change level and format while it is used.
struct StderrLog {
    Logger log;
    std::function<void(LogLevel level, LogFormat format)> change;
};
StderrLog make_changeable_log(LogSettings settings);

// "debug", "info", "warn", "error", "off".
Result<LogLevel> parse_log_level(std::string_view text);

// Decides which repeated events are written: the first `max` of an event in a second, then none until that
// second is over. Not thread-safe.
class EventLimiter {
  public:
    explicit EventLimiter(std::uint32_t per_s_max) : per_s_max_(per_s_max) {}

    struct Verdict {
        bool admit = true;
        std::uint64_t suppressed = 0;  // lines of this event dropped since the last admitted one; told once
    };
    Verdict admit(std::string_view event, std::int64_t now_ms);
    // What was dropped and never told.
    std::vector<std::pair<std::string, std::uint64_t>> untold() const;

  private:
    struct Window {
        std::int64_t from_ms = 0;
        std::uint32_t count = 0;
        std::uint64_t suppressed = 0;
    };
    std::uint32_t per_s_max_;
    std::map<std::string, Window, std::less<>> windows_;  // one per event name in our code: a closed set
};

// The members of a JSON object (without its braces) that say what the Logger's line says.
std::string json_members(std::string_view line);

}  // namespace framegrid::host
