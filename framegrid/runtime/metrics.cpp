#include <framegrid/runtime/metrics.hpp>

#include <fmt/format.h>

namespace framegrid {

void PrometheusText::counter(std::string_view name, std::uint64_t value, Labels labels) {
    sample("counter", name, fmt::format("{}", value), labels);
}

void PrometheusText::gauge(std::string_view name, double value, Labels labels) {
    sample("gauge", name, fmt::format("{}", value), labels);
}

void PrometheusText::sample(
    std::string_view kind, std::string_view name, std::string_view value, Labels labels
) {
    if (name != last_name_) {
        fmt::format_to(std::back_inserter(text_), "# TYPE {} {}\n", name, kind);
        last_name_ = name;
    }
    text_ += name;
    char separator = '{';
    for (const auto& [key, label] : labels) {
        text_ += separator;
        fmt::format_to(std::back_inserter(text_), "{}=\"", key);
        for (const char c : label) {
            if (c == '"' || c == '\\') {
                text_ += '\\';
            }
            text_ += c == '\n' ? ' ' : c;
        }
        text_ += '"';
        separator = ',';
    }
    fmt::format_to(std::back_inserter(text_), "{} {}\n", separator == ',' ? "}" : "", value);
}

}  // namespace framegrid
