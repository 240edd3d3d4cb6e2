#include <framegrid/job/record_json.hpp>

#include <chrono>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>
#include <framegrid/job/document.hpp>

namespace framegrid::job {

namespace {

namespace json = boost::json;

// What is stored was written by us; anything else is shown as nothing.
json::object object_of(std::string_view text) {
    boost::system::error_code error;
    auto value = json::parse(text, error);
    return error || !value.is_object() ? json::object{} : std::move(value.get_object());
}

void add_urls(json::object& result, std::string_view base_url) {
    auto* outputs = result.if_contains("outputs");
    if (outputs == nullptr || !outputs->is_array()) {
        return;
    }
    for (auto& output : outputs->get_array()) {
        if (!output.is_object()) {
            continue;
        }
        const auto* id = output.get_object().if_contains("artifact");
        if (id != nullptr && id->is_string()) {
            output.get_object()["url"] = std::string(base_url) + artifact_path(id->get_string());
        }
    }
}

}  // namespace

std::string utc_text(std::int64_t unix_ms) {
    using namespace std::chrono;
    const sys_time<milliseconds> time{milliseconds(unix_ms)};
    const auto day = floor<days>(time);
    const year_month_day date(day);
    const hh_mm_ss clock(time - day);
    return fmt::format(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
        static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
        clock.minutes().count(), clock.seconds().count(), clock.subseconds().count()
    );
}

std::string artifact_path(std::string_view artifact_id) {
    return "/v1/artifacts/" + std::string(artifact_id) + "/content";
}

std::string describe(const Record& record, std::string_view base_url) {
    json::object out;
    out["id"] = record.id;
    out["object"] = "job";
    out["state"] = to_string(record.state);
    for (auto& [name, value] : object_of(record.request)) {
        out[name] = value;
    }
    if (record.kind == kWorkflow) {
        out.erase("workflow");  // up to a megabyte that whoever sent it has
    }
    out["created_at"] = utc_text(record.created_unix_ms);
    if (record.started_unix_ms != 0) {
        out["started_at"] = utc_text(record.started_unix_ms);
    }
    if (record.finished_unix_ms != 0) {
        out["finished_at"] = utc_text(record.finished_unix_ms);
    }
    out["deadline_at"] = utc_text(record.deadline_unix_ms);
    out["attempt"] = record.attempt;
    if (record.cancel_wanted && !is_final(record.state)) {
        out["cancelling"] = true;
    }
    if (!record.parent.empty()) {
        out["workflow"] = record.parent;
    }
    out["trace_id"] = parse_trace_text(record.trace).trace_id;
    auto result = object_of(record.result);
    add_urls(result, base_url);
    for (auto& [name, value] : result) {
        out[name] = value;
    }
    return json::serialize(out);
}

std::string with_verification(std::string_view result, std::string_view verification) {
    auto out = object_of(result);
    out["verification"] = object_of(verification);
    return json::serialize(out);
}

namespace {

std::string_view advice_for(const Error& error) {
    if (error.code == Errc::kProtocol && error.field == "verification") {
        return "submit it again, or with on_mismatch report to have the first result all the same";
    }
    return what_to_do(error.code);
}

}  // namespace

std::string error_result(const Error& error) {
    json::object described{{"code", to_string(error.code)}, {"message", valid_utf8(error.message)}};
    if (!error.field.empty()) {
        described["field"] = valid_utf8(error.field);
    }
    described["what_to_do"] = advice_for(error);
    return json::serialize(json::object{{"error", std::move(described)}});
}

}  // namespace framegrid::job
