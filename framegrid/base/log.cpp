#include <framegrid/base/log.hpp>

#include <fmt/format.h>

namespace framegrid {

Logger::Logger(Sink sink, LogLevel level) : shared_(std::make_shared<const Shared>(std::move(sink), level)) {}

void Logger::log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const {
    if (!enabled(level)) {
        return;
    }
    std::string line(event);
    for (const auto& field : fields) {
        line += ' ';
        line += field.key;
        line += '=';
        line += printable(field.value);
    }
    shared_->sink(level, line);
}

std::string printable(std::string_view text, std::size_t limit) {
    std::string out;
    bool quote = text.empty();
    for (const char c : text.substr(0, limit)) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == ' ' || c == '=' || c == '"') {
            quote = true;
        }
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20 || byte == 0x7f) {
            out += fmt::format("\\x{:02x}", byte);
        } else {
            out += c;
        }
    }
    if (text.size() > limit) {
        out += "...";
    }
    return quote ? '"' + out + '"' : out;
}

}  // namespace framegrid
