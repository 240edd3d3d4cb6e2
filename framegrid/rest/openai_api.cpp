#include <framegrid/rest/openai_api.hpp>

#include <algorithm>

#include <framegrid/base/log.hpp>
#include <framegrid/job/record_json.hpp>
#include <framegrid/rest/problem.hpp>
#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

Errc errc_named(std::string_view name) {
    for (int code = 0; code < static_cast<int>(Errc::kInternal); ++code) {
        if (to_string(static_cast<Errc>(code)) == name) {
            return static_cast<Errc>(code);
        }
    }
    return Errc::kInternal;
}

std::string text_member(const json::object& object, std::string_view name) {
    const auto* value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

}  // namespace

OpenAiCommon::OpenAiCommon(OpenAiPorts ports, OpenAiSettings settings)
    : ports_(std::move(ports)),
      settings_(std::move(settings)),
      files_(
          ports_.jobs.objects, ports_.jobs.artifacts, ports_.clock, ports_.random,
          ports_.jobs.work.artifact_life, ports_.jobs.work.store_time_max
      ) {}

Task<Result<OpenAiFields>> OpenAiCommon::read_fields(Call& call) {
    const auto type = call.headers().get("content-type").value_or("application/json");
    const bool is_form = type.starts_with("multipart/");
    std::string boundary;
    if (is_form) {
        FG_CO_TRY(found, http::boundary_of(type));
        boundary = std::move(found);
    }
    const auto bytes_max = is_form ? settings_.body_bytes_max : job::kDocumentBytesMax;
    const auto deadline = Deadline::after(ports_.clock, settings_.upload_time_max);
    auto body = co_await read_body(call.exchange, call.memory, bytes_max, ports_.clock, deadline);
    if (!body) {
        co_return fail(std::move(body.error()));
    }
    call.bytes_in = body->size();
    if (!is_form) {
        co_return openai_fields(body->text());
    }
    auto parse = [&body, &boundary] { return http::parse_multipart(*body, boundary); };
    auto parts = co_await offload(ports_.pool, std::move(parse));
    if (!parts) {
        co_return fail(std::move(parts.error()));
    }
    co_return openai_fields(*std::move(parts));
}

Task<Result<job::ArtifactRecord>> OpenAiCommon::keep(Call& call, http::Part part) {
    if (part.body.empty()) {
        co_return fail(Errc::kInvalidArgument, "the file is empty", part.name);
    }
    const auto room = co_await ports_.artifacts_api.check_quota(call.owner);
    if (!room) {
        co_return fail(room.error());
    }
    job::ArtifactRecord about;
    about.owner = call.owner;
    about.name = safe_file_name(part.filename);
    co_return co_await files_.keep(std::move(about), std::move(part.body));
}

Result<void> OpenAiCommon::check_model(const job::Document& document) const {
    if (document.model.empty()) {
        return {};
    }
    const auto* spec = job::find_pipeline(document.pipeline);
    const auto fits = [&](const market::OfferedModel& one) {
        return one.id == document.model && one.capability == spec->capability;
    };
    const auto models = ports_.gateway.models();
    if (std::ranges::none_of(models, fits)) {
        const std::string what = "no node offers the model " + printable(document.model, 128) + " for ";
        return fail(
            Errc::kNotFound, what + document.pipeline + "; GET /v1/models lists those that are there", "model"
        );
    }
    return {};
}

std::string OpenAiCommon::artifact_url(const Call& call, const std::string& id) const {
    return origin_of(call.exchange.head, settings_.public_url) + job::artifact_path(id);
}

Error failure_of(const job::Record& record) {
    if (record.state == job::State::kCancelled) {
        return make_error(Errc::kCancelled, "the job was cancelled");
    }
    boost::system::error_code ignored;
    const auto result = json::parse(record.result, ignored);
    const auto* error = result.is_object() ? result.get_object().if_contains("error") : nullptr;
    if (error == nullptr || !error->is_object()) {
        return make_error(Errc::kInternal, "the job failed");
    }
    const auto& told = error->get_object();
    return openai_named(make_error(
        errc_named(text_member(told, "code")), text_member(told, "message"), text_member(told, "field")
    ));
}

Answer openai_refusal(const Call& call, Error error) {
    int status = JobsApi::refusal_status(error);
    if (error.code == Errc::kCancelled) {
        status = 409;
    }
    return problem_answer(openai_named(std::move(error)), call.trace_id, status);
}

Result<OpenAiPage> read_openai_page(const http::RequestHead& head, std::string_view kind, std::size_t limit) {
    OpenAiPage page;
    page.limit = limit;
    for (const auto& [name, value] : query_of(head.query())) {
        if (name == "after") {
            if (!job::is_id(kind, value)) {
                return fail(Errc::kInvalidArgument, "after is the last_id of the page before", name);
            }
            page.after = value;
        } else if (name == "limit") {
            const auto number = parse_integer(value);
            if (!number || *number < 1 || *number > 10'000) {
                return fail(Errc::kInvalidArgument, "limit is a number from 1 to 10000", name);
            }
            page.limit = std::min(static_cast<std::size_t>(*number), kPageMax);
        } else if (name == "order" && value != "desc") {
            return fail(Errc::kInvalidArgument, "order is desc: the newest come first", name);
        } else if (name == "purpose" && value != "user_data") {
            return fail(Errc::kInvalidArgument, "purpose is user_data", name);
        } else if (name != "order" && name != "purpose") {
            return fail(
                Errc::kInvalidArgument, "a list has after, limit, order and purpose", printable(name, 64)
            );
        }
    }
    return page;
}

Answer openai_page(json::array data, bool has_more) {
    json::object out;
    out["object"] = "list";
    if (!data.empty()) {
        out["first_id"] = data.front().at("id");
        out["last_id"] = data.back().at("id");
    }
    out["data"] = std::move(data);
    out["has_more"] = has_more;
    auto answer = json_answer(json::serialize(out));
    answer.headers.add("cache-control", "no-store");
    return answer;
}

}  // namespace framegrid::rest
