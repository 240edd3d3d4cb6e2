// Which request a piece of work belongs to, from the caller to the executor (W3C Trace Context).
#pragma once

#include <string>
#include <string_view>

namespace framegrid {

struct TraceContext {
    std::string trace_id;  // 32 lower-case hex digits, not all 0; empty: no trace
    std::string span_id;   // 16 of them: who asked for the work; may be empty
    bool sampled = true;   // whether spans of this trace are recorded
    friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

// As the header `traceparent` carries it. Empty unless both ids are there.
std::string write_traceparent(const TraceContext& trace);
// No trace for anything but "00-TRACE-SPAN-FLAGS".
TraceContext parse_traceparent(std::string_view text);

}  // namespace framegrid
