#include <framegrid/runtime/metrics.hpp>

#include <framegrid/runtime/histogram.hpp>

#include <fmt/format.h>

namespace framegrid {

void PrometheusText::counter(std::string_view name, std::uint64_t value, Labels labels) {
    describe("counter", name);
    sample(name, fmt::format("{}", value), labels);
}

void PrometheusText::gauge(std::string_view name, double value, Labels labels) {
    describe("gauge", name);
    sample(name, fmt::format("{}", value), labels);
}

void PrometheusText::histogram(std::string_view name, const Histogram& value, Labels labels) {
    describe("histogram", name);
    const std::string bucket = std::string(name) + "_bucket";
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < value.buckets.size(); ++i) {
        below += value.buckets.at(i);
        sample(bucket, fmt::format("{}", below), labels, fmt::format("{}", Histogram::kBounds.at(i)));
    }
    sample(bucket, fmt::format("{}", value.count), labels, "+Inf");
    sample(std::string(name) + "_sum", fmt::format("{}", value.seconds), labels);
    sample(std::string(name) + "_count", fmt::format("{}", value.count), labels);
}

void PrometheusText::describe(std::string_view kind, std::string_view name) {
    if (name != last_name_) {
        fmt::format_to(std::back_inserter(text_), "# TYPE {} {}\n", name, kind);
        last_name_ = name;
    }
}

void PrometheusText::sample(
    std::string_view name, std::string_view value, Labels labels, std::string_view le
) {
    text_ += name;
    char separator = '{';
    const auto label = [&](std::string_view key, std::string_view text) {
        text_ += separator;
        fmt::format_to(std::back_inserter(text_), "{}=\"", key);
        for (const char c : text) {
            if (c == '"' || c == '\\') {
                text_ += '\\';
            }
            text_ += c == '\n' ? ' ' : c;
        }
        text_ += '"';
        separator = ',';
    };
    for (const auto& [key, text] : labels) {
        label(key, text);
    }
    if (!le.empty()) {
        label("le", le);
    }
    fmt::format_to(std::back_inserter(text_), "{} {}\n", separator == ',' ? "}" : "", value);
}

void Timings::add(std::string_view name, std::string_view result, Duration took) {
    std::pair<std::string, std::string> key{name, result};
    if (by_name_.size() >= max_ && !by_name_.contains(key)) {
        key.first = "other";
    }
    by_name_[key].add(took);
}

void Timings::dump(
    MetricsWriter& out, std::string_view metric, std::string_view name_label, std::string_view result_label
) const {
    for (const auto& [key, histogram] : by_name_) {
        out.histogram(metric, histogram, {{name_label, key.first}, {result_label, key.second}});
    }
}

}  // namespace framegrid
