#include <framegrid/base/trace.hpp>

namespace framegrid {

namespace {

constexpr std::size_t kTraceDigits = 32;
constexpr std::size_t kSpanDigits = 16;
constexpr std::size_t kSpanBegin = 3 + kTraceDigits + 1;
constexpr std::size_t kFlagsBegin = kSpanBegin + kSpanDigits + 1;
constexpr std::size_t kLength = kFlagsBegin + 2;

bool is_hex(std::string_view text) {
    return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_id(std::string_view text) {
    return is_hex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

std::string write_traceparent(const TraceContext& trace) {
    if (trace.trace_id.empty() || trace.span_id.empty()) {
        return {};
    }
    return "00-" + trace.trace_id + "-" + trace.span_id + (trace.sampled ? "-01" : "-00");
}

TraceContext parse_traceparent(std::string_view text) {
    if (text.size() != kLength || !text.starts_with("00-") || text[kSpanBegin - 1] != '-' ||
        text[kFlagsBegin - 1] != '-') {
        return {};
    }
    const auto trace = text.substr(3, kTraceDigits);
    const auto span = text.substr(kSpanBegin, kSpanDigits);
    const auto flags = text.substr(kFlagsBegin);
    if (!is_id(trace) || !is_id(span) || !is_hex(flags)) {
        return {};
    }
    constexpr std::string_view kOdd = "13579bdf";
    return {std::string(trace), std::string(span), kOdd.contains(flags.back())};
}

}  // namespace framegrid
