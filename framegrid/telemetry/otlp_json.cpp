#include <framegrid/telemetry/otlp_json.hpp>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>

namespace framegrid::telemetry {

namespace {

namespace json = boost::json;

constexpr int kStatusError = 2;

json::object text_attribute(std::string_view key, const std::string& text) {
    return {{"key", key}, {"value", json::object{{"stringValue", valid_utf8(text)}}}};
}

json::object attribute(const std::string& key, const std::variant<std::string, std::int64_t>& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
        // 64-bit numbers are text in protobuf's JSON.
        return {{"key", key}, {"value", json::object{{"intValue", std::to_string(*number)}}}};
    }
    return text_attribute(key, std::get<std::string>(value));
}

json::object span_json(const SpanRecord& span) {
    json::object out{
        {"traceId", span.context.trace_id},
        {"spanId", span.context.span_id},
        {"name", span.name},
        {"kind", static_cast<int>(span.kind)},
        {"startTimeUnixNano", std::to_string(span.begin_unix_ns)},
        {"endTimeUnixNano", std::to_string(span.end_unix_ns)}
    };
    if (!span.parent_id.empty()) {
        out["parentSpanId"] = span.parent_id;
    }
    json::array attributes;
    for (const auto& [key, value] : span.attributes) {
        attributes.push_back(attribute(key, value));
    }
    out["attributes"] = std::move(attributes);
    if (!span.error.empty()) {
        out["status"] = json::object{{"code", kStatusError}, {"message", valid_utf8(span.error)}};
    }
    return out;
}

}  // namespace

std::string write_otlp_json(const Resource& resource, std::span<const SpanRecord> spans) {
    json::array list;
    for (const auto& span : spans) {
        list.push_back(span_json(span));
    }
    const json::object scope{{"name", "framegrid"}, {"version", resource.service_version}};
    const json::array about{
        text_attribute("service.name", resource.service_name),
        text_attribute("service.version", resource.service_version),
        text_attribute("service.instance.id", resource.instance_id)
    };
    json::array scopes;
    scopes.push_back(json::object{{"scope", scope}, {"spans", std::move(list)}});
    json::array resources;
    resources.push_back(
        json::object{{"resource", json::object{{"attributes", about}}}, {"scopeSpans", std::move(scopes)}}
    );
    return json::serialize(json::object{{"resourceSpans", std::move(resources)}});
}

}  // namespace framegrid::telemetry
