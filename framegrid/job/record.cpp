#include <framegrid/job/record.hpp>

#include <array>
#include <span>

namespace framegrid::job {

namespace {

constexpr std::array<std::string_view, 5> kStateNames{
    "queued", "running", "succeeded", "failed", "cancelled"
};
// Crockford's base 32: in ASCII order, without letters that look like digits.
constexpr std::string_view kIdDigits = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr int kTimeDigits = 10;    // 50 bits of milliseconds
constexpr int kChanceDigits = 16;  // 80 bits

}  // namespace

std::string_view to_string(State state) {
    return kStateNames[static_cast<std::size_t>(state)];
}

std::optional<State> parse_state(std::string_view text) {
    for (std::size_t i = 0; i < kStateNames.size(); ++i) {
        if (kStateNames[i] == text) {
            return static_cast<State>(i);
        }
    }
    return std::nullopt;
}

std::string make_id(std::string_view prefix, std::int64_t unix_ms, Random& random) {
    std::string digits(kTimeDigits, '0');
    auto time = static_cast<std::uint64_t>(unix_ms);
    for (int i = kTimeDigits - 1; i >= 0; --i, time >>= 5) {
        digits[static_cast<std::size_t>(i)] = kIdDigits[time & 31];
    }
    std::array<std::uint8_t, kChanceDigits> chance{};
    random.fill(std::span(chance));
    for (const auto byte : chance) {
        digits += kIdDigits[byte & 31];
    }
    return std::string(prefix) + "_" + digits;
}

bool is_id(std::string_view prefix, std::string_view text) {
    if (!text.starts_with(prefix)) {
        return false;
    }
    text.remove_prefix(prefix.size());
    return text.size() == 1 + kTimeDigits + kChanceDigits && text.front() == '_' &&
           text.substr(1).find_first_not_of(kIdDigits) == std::string_view::npos;
}

std::string trace_text(const TraceContext& trace) {
    auto text = write_traceparent(trace);
    return text.empty() ? trace.trace_id : text;
}

TraceContext parse_trace_text(std::string_view text) {
    auto trace = parse_traceparent(text);
    if (trace.trace_id.empty()) {
        trace.trace_id = text;
    }
    return trace;
}

}  // namespace framegrid::job
