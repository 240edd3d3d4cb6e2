// Spans as an ExportTraceServiceRequest in OTLP's JSON form (ids in hex, times as decimal text).
#pragma once

#include <span>
#include <string>

#include <framegrid/runtime/tracing.hpp>

namespace framegrid::telemetry {

// The process that the spans are of.
struct Resource {
    std::string service_name;  // "framegrid-gateway"
    std::string service_version;
    std::string instance_id;  // tells processes of one service apart
};

std::string write_otlp_json(const Resource& resource, std::span<const SpanRecord> spans);

}  // namespace framegrid::telemetry
