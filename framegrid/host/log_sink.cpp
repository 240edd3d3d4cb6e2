#include <framegrid/host/log_sink.hpp>

#include <algorithm>
#include <chrono>
#include <mutex>

#include <framegrid/host/terminal.hpp>

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ansicolor_sink.h>

namespace framegrid::host {

namespace {

constexpr std::size_t kEventsMax = 4096;

spdlog::level::level_enum level_of(LogLevel level) {
    switch (level) {
        case LogLevel::kDebug:
            return spdlog::level::debug;
        case LogLevel::kInfo:
            return spdlog::level::info;
        case LogLevel::kWarn:
            return spdlog::level::warn;
        case LogLevel::kError:
            return spdlog::level::err;
        case LogLevel::kOff:
            return spdlog::level::off;
    }
    return spdlog::level::info;
}

// The length of the valid UTF-8 sequence at the start of `text`, or 0.
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    const std::size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (length == 0 || first > 0xf4 || length > text.size()) {
        return 0;
    }
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) {
            return 0;
        }
    }
    if (length >= 3) {
        const unsigned second = byte(1);
        const bool bad = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                         (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
        return bad ? 0 : length;
    }
    return length;
}

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const char c = text.front();
        if (length == 0) {
            out += "\\ufffd";
        } else if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    out += '"';
}

// Takes the first key or value off the line, undoing printable()'s quotes and escapes except \xNN, which
// stays as text.
std::string take_token(std::string_view& line, char end) {
    std::string token;
    bool quoted = false;
    if (line.starts_with('"')) {
        quoted = true;
        line.remove_prefix(1);
    }
    while (!line.empty()) {
        const char c = line.front();
        if (quoted ? c == '"' : c == end) {
            break;
        }
        if (c == '\\' && line.size() > 1 && (line[1] == '"' || line[1] == '\\')) {
            line.remove_prefix(1);
        }
        token += line.front();
        line.remove_prefix(1);
    }
    if (quoted && !line.empty()) {
        line.remove_prefix(1);
    }
    if (!line.empty() && line.front() == end) {
        line.remove_prefix(1);
    }
    return token;
}

class StderrSink {
  public:
    explicit StderrSink(const LogSettings& settings)
        : settings_(settings), limiter_(settings.same_event_per_s_max), logger_(make_logger(settings)) {}

    StderrSink(const StderrSink&) = delete;
    StderrSink& operator=(const StderrSink&) = delete;
    ~StderrSink() {
        for (const auto& [event, count] : limiter_.untold()) {
            write_suppressed(event, count);
        }
    }

    void write(LogLevel level, std::string_view line) {
        const std::string_view event = line.substr(0, line.find(' '));
        const auto now = std::chrono::steady_clock::now().time_since_epoch();
        const auto now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
        const std::scoped_lock lock(mutex_);
        const auto verdict = limiter_.admit(event, now_ms);
        if (verdict.suppressed > 0) {
            write_suppressed(event, verdict.suppressed);
        }
        if (verdict.admit) {
            write_line(level, line);
        }
    }

    void set_format(LogFormat format) {
        const std::scoped_lock lock(mutex_);
        settings_.format = format;
        logger_ = make_logger(settings_);
    }

  private:
    static spdlog::logger make_logger(const LogSettings& settings) {
        const bool colours = settings.format == LogFormat::kText && has_colours(2);
        auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>(
            colours ? spdlog::color_mode::always : spdlog::color_mode::never
        );
        spdlog::logger logger("", std::move(sink));
        logger.set_level(spdlog::level::trace);
        logger.flush_on(spdlog::level::trace);
        std::string role;
        for (const char c : printable(settings.role, 64)) {
            role += c == '%' ? "%%" : std::string(1, c == '"' ? '\'' : c);
        }
        if (settings.format == LogFormat::kJson) {
            logger.set_pattern(
                R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","role":")" + role + R"(",%v})",
                spdlog::pattern_time_type::utc
            );
        } else {
            logger.set_pattern("%H:%M:%S.%e %^%-7l%$ [" + role + "] %v");
        }
        return logger;
    }

    void write_line(LogLevel level, std::string_view line) {
        if (settings_.format == LogFormat::kJson) {
            logger_.log(level_of(level), json_members(line));
        } else {
            logger_.log(level_of(level), line);
        }
    }

    void write_suppressed(std::string_view event, std::uint64_t count) {
        write_line(LogLevel::kWarn, fmt::format("host.log_suppressed event={} count={}", event, count));
    }

    LogSettings settings_;
    std::mutex mutex_;
    EventLimiter limiter_;
    spdlog::logger logger_;
};

}  // namespace

StderrLog make_changeable_log(LogSettings settings) {
    auto sink = std::make_shared<StderrSink>(settings);
    Logger log([sink](LogLevel level, std::string_view line) { sink->write(level, line); }, settings.level);
    auto change = [sink, log](LogLevel level, LogFormat format) {
        sink->set_format(format);
        log.set_level(level);
    };
    return {std::move(log), std::move(change)};
}

Logger make_stderr_logger(LogSettings settings) {
    return make_changeable_log(std::move(settings)).log;
}

Result<LogLevel> parse_log_level(std::string_view text) {
    static constexpr std::pair<std::string_view, LogLevel> kNames[] = {
        {"debug", LogLevel::kDebug}, {"info", LogLevel::kInfo}, {"warn", LogLevel::kWarn},
        {"error", LogLevel::kError}, {"off", LogLevel::kOff},
    };
    for (const auto& [name, level] : kNames) {
        if (name == text) {
            return level;
        }
    }
    return fail(
        Errc::kInvalidArgument,
        fmt::format("unknown log level {}: use debug, info, warn, error or off", printable(text)), "log_level"
    );
}

EventLimiter::Verdict EventLimiter::admit(std::string_view event, std::int64_t now_ms) {
    if (per_s_max_ == 0) {
        return {};
    }
    auto found = windows_.find(event);
    if (found == windows_.end()) {
        if (windows_.size() >= kEventsMax) {
            return {};
        }
        found = windows_.emplace(std::string(event), Window{.from_ms = now_ms}).first;
    }
    Window& window = found->second;
    Verdict verdict;
    if (now_ms - window.from_ms >= 1000) {
        verdict.suppressed = window.suppressed;
        window = Window{.from_ms = now_ms};
    }
    verdict.admit = ++window.count <= per_s_max_;
    window.suppressed += verdict.admit ? 0 : 1;
    return verdict;
}

std::vector<std::pair<std::string, std::uint64_t>> EventLimiter::untold() const {
    std::vector<std::pair<std::string, std::uint64_t>> out;
    for (const auto& [event, window] : windows_) {
        if (window.suppressed > 0) {
            out.emplace_back(event, window.suppressed);
        }
    }
    return out;
}

std::string json_members(std::string_view line) {
    std::string out = "\"event\":";
    append_json_string(out, take_token(line, ' '));
    while (!line.empty()) {
        out += ',';
        append_json_string(out, take_token(line, '='));
        out += ':';
        append_json_string(out, take_token(line, ' '));
    }
    return out;
}

}  // namespace framegrid::host
