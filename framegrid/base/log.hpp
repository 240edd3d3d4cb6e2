// Structured logging: one event per line, `library.noun_verb key=value ...`. No globals: a Logger is passed
// to who logs.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace framegrid {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError, kOff };

// One key=value pair. Values from peers are escaped and cut to 200 bytes by the formatter; never pass
// secrets.
struct LogField {
    std::string_view key;
    std::string value;

    LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
    LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
    LogField(std::string_view k, const char* v) : key(k), value(v) {}
    template <class T>
        requires std::is_arithmetic_v<T>
    LogField(std::string_view k, T v) : key(k), value(std::to_string(v)) {}
};

// Cheap to copy. A default-made Logger drops everything.
class Logger {
  public:
    // Receives a finished line without its end of line; called on the logging thread.
    using Sink = std::function<void(LogLevel, std::string_view line)>;

    Logger() = default;
    Logger(Sink sink, LogLevel level);

    bool enabled(LogLevel level) const {
        return shared_ && level >= shared_->level.load(std::memory_order_relaxed);
    }
    // For this logger and all its copies, from any thread.
    void set_level(LogLevel level) const {
        if (shared_) {
            shared_->level.store(level, std::memory_order_relaxed);
        }
    }
    void debug(std::string_view event, std::initializer_list<LogField> fields = {}) const {
        log(LogLevel::kDebug, event, fields);
    }
    void info(std::string_view event, std::initializer_list<LogField> fields = {}) const {
        log(LogLevel::kInfo, event, fields);
    }
    void warn(std::string_view event, std::initializer_list<LogField> fields = {}) const {
        log(LogLevel::kWarn, event, fields);
    }
    void error(std::string_view event, std::initializer_list<LogField> fields = {}) const {
        log(LogLevel::kError, event, fields);
    }

  private:
    void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const;
    struct Shared {
        Sink sink;
        mutable std::atomic<LogLevel> level;
    };
    std::shared_ptr<const Shared> shared_;
};

// `text` as it may stand in a log line or an error: printable, quoted if it has spaces, cut to `limit` bytes.
std::string printable(std::string_view text, std::size_t limit = 200);

}  // namespace framegrid
