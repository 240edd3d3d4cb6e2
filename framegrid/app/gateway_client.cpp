#include <framegrid/app/gateway_client.hpp>

#include <algorithm>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/http/event_stream.hpp>
#include <framegrid/http/multipart.hpp>
#include <framegrid/wire/ai_progress.hpp>

namespace framegrid::app {

namespace {

constexpr std::size_t kAnswerBytesMax = 1u << 30;
constexpr Duration kPauseMin = std::chrono::milliseconds(100);
constexpr Duration kPauseMax = std::chrono::seconds(2);

// The gateway's own words, from its JSON error body, or the plain text.
Error error_of(const http::Fetched& fetched) {
    const Errc code = http::errc_of(fetched.status);
    boost::system::error_code bad;
    const auto body = boost::json::parse(fetched.body.text(), bad);
    if (!bad && body.is_object()) {
        if (const auto* error = body.as_object().if_contains("error");
            error != nullptr && error->is_object()) {
            const auto text = [&](const char* name) -> std::string {
                const auto* value = error->as_object().if_contains(name);
                return value != nullptr && value->is_string() ? std::string(value->as_string())
                                                              : std::string();
            };
            return make_error(code, text("message"), text("field"));
        }
    }
    return make_error(
        code, fmt::format("the gateway answered {}: {}", fetched.status, printable(fetched.body.text(), 300))
    );
}

bool worth_retrying(const Error& error) {
    return error.code == Errc::kUnavailable || error.code == Errc::kCapacity || error.code == Errc::kProtocol;
}

}  // namespace

GatewayClient::GatewayClient(Session& session, std::string url) : session_(session), url_(std::move(url)) {
    if (const char* key = std::getenv("FRAMEGRID_API_KEY")) {
        api_key_ = key;
    }
}

Task<Result<http::Fetched>> GatewayClient::send(http::Request request, std::size_t limit, Deadline deadline) {
    Exchange exchange = [this, limit, deadline](const http::Request& sent) {
        return session_.client.fetch(sent, limit, deadline);
    };
    return send_patiently(std::move(request), std::move(exchange), deadline);
}

Task<Result<http::Fetched>> GatewayClient::send_patiently(
    http::Request request, Exchange exchange, Deadline deadline
) {
    Duration pause = kPauseMin;
    // A result may lie at another address, which the key is no business of.
    const auto gateway = http::parse_url(url_);
    if (!api_key_.empty() && gateway && gateway->origin() == request.url.origin()) {
        request.headers.set("authorization", "Bearer " + api_key_);
    }
    for (;;) {
        auto fetched = co_await exchange(request);
        Error error;
        if (fetched && fetched->status == 200) {
            co_return std::move(*fetched);
        }
        const bool busy =
            fetched && (fetched->status == 503 || fetched->status == 502 || fetched->status == 429);
        error = fetched ? error_of(*fetched) : std::move(fetched.error());
        if (!busy && (fetched || !worth_retrying(error))) {
            co_return fail(std::move(error));
        }
        if (deadline.left(session_.clock) <= pause) {
            co_return fail(std::move(error));
        }
        ++retries_;
        session_.log.info("client.retry", {{"error", error.message}});
        co_await sleep_for(session_.clock, pause);
        pause = std::min(pause * 2, kPauseMax);
    }
}

Task<Result<std::vector<Rendition>>> GatewayClient::push(SegmentPush segment, Deadline deadline) {
    http::Request request;
    auto url = http::parse_url(fmt::format(
        "{}/live/{}/{}{}", url_, segment.stream, segment.seq, media::extension_of(segment.container)
    ));
    if (!url) {
        co_return fail(std::move(url.error()));
    }
    request.method = "POST";
    request.url = std::move(*url);
    request.headers = http::Headers{
        {"accept", "multipart/mixed"},
        {"content-type", std::string(media::content_type_of(segment.container))},
        {"content-duration", std::to_string(segment.duration_ms)},
        {"content-resolution", fmt::format("{}x{}", segment.source.width, segment.source.height)},
        {"livepeer-transcode-configuration", segment.configuration},
        {"priority", "u=7"},  // whole segments are wanted, however they come
    };
    if (segment.clip_to_ms > 0) {
        request.headers.add("content-slice-to", std::to_string(segment.clip_to_ms));
    }
    request.body = segment.bytes;
    auto fetched = co_await send(std::move(request), kAnswerBytesMax, deadline);
    if (!fetched) {
        co_return fail(std::move(fetched.error()));
    }
    const auto type = fetched->headers.get("content-type").value_or("");
    auto boundary = http::boundary_of(type);
    if (!boundary) {
        co_return fail(
            Errc::kProtocol, "the gateway's answer is not multipart; is this a Framegrid gateway?"
        );
    }
    auto parts = http::parse_multipart(fetched->body, *boundary);
    if (!parts) {
        co_return fail(std::move(parts.error()).with_context("the gateway's answer"));
    }
    std::vector<Rendition> renditions;
    for (auto& part : *parts) {
        renditions.push_back(
            {std::string(part.headers.get("rendition-name").value_or("")),
             std::string(part.headers.get("content-type").value_or("")), part.body}
        );
    }
    co_return renditions;
}

namespace {

http::Part form_part(const std::string& name, Blob body, bool is_file) {
    http::Part part;
    part.headers.add(
        "content-disposition",
        fmt::format("form-data; name=\"{}\"{}", name, is_file ? "; filename=\"input\"" : "")
    );
    if (is_file) {
        part.headers.add("content-type", "application/octet-stream");
    }
    part.body = std::move(body);
    return part;
}

// Of an "error" event.
int status_of_event(std::string_view json) {
    boost::system::error_code error;
    const auto body = boost::json::parse(json, error);
    const auto* status = !error && body.is_object() ? body.get_object().if_contains("status") : nullptr;
    const bool fits = status != nullptr && status->is_int64() && status->get_int64() >= 400;
    return fits ? static_cast<int>(std::min<std::int64_t>(status->get_int64(), 599)) : 502;
}

bool wants_several(const AiCall& call) {
    return std::ranges::any_of(call.parameters, [](const auto& parameter) {
        return parameter.first == "num_images_per_prompt" && parameter.second != "1";
    });
}

}  // namespace

// The result or the error that an event stream ends with, as if it had come alone.
Task<Result<http::Fetched>> GatewayClient::read_events(
    http::Request request, const AiCall& call, Deadline deadline
) {
    auto response = co_await session_.client.open(std::move(request), deadline);
    if (!response) {
        co_return fail(std::move(response.error()));
    }
    http::Fetched fetched{response->head.status, std::move(response->head.headers), {}, {}};
    const bool is_stream =
        fetched.headers.get("content-type").value_or("").starts_with(http::kEventStreamType);
    http::EventReader events(kAnswerBytesMax);
    while (is_stream) {
        auto event = co_await http::read_event(*response->body, events);
        if (!event) {
            co_return fail(std::move(event.error()));
        }
        if (!*event) {
            co_return fail(Errc::kUnavailable, "the gateway broke off its answer");
        }
        if ((*event)->name != "progress") {
            fetched.status = (*event)->name == "result" ? 200 : status_of_event((*event)->data);
            fetched.body = Blob(to_bytes((*event)->data));
            co_return fetched;
        }
        if (const auto progress = wire::read_progress((*event)->data)) {
            call.progress(*progress);
        }
    }
    auto body = co_await http::read_all(*response->body, kAnswerBytesMax);
    if (!body) {
        co_return fail(std::move(body.error()));
    }
    fetched.body = std::move(*body);
    co_return fetched;
}

Task<Result<AiResult>> GatewayClient::run_ai(AiCall call, Deadline deadline) {
    auto url = http::parse_url(url_ + "/" + call.pipeline);
    if (!url) {
        co_return fail(std::move(url.error()));
    }
    const std::string boundary = "fg" + session_.random.hex(9);
    std::vector<http::Part> parts;
    for (const auto& [name, value] : call.parameters) {
        parts.push_back(form_part(name, Blob::copy_of(value), false));
    }
    if (!call.file_field.empty()) {
        parts.push_back(form_part(call.file_field, call.file, true));
    }
    if (!call.mask.empty()) {
        parts.push_back(form_part("mask", call.mask, true));
    }
    const bool streams = call.progress != nullptr;
    const bool listed = streams || wants_several(call);
    http::Request request;
    request.method = "POST";
    request.url = std::move(*url);
    request.headers = http::Headers{
        {"accept", streams  ? std::string(http::kEventStreamType)
                   : listed ? "application/json"
                            : "application/octet-stream"},
        {"x-framegrid-previews", std::to_string(call.preview_steps)},
        {"content-type", "multipart/form-data; boundary=" + boundary},
    };
    if (!call.priority.empty()) {
        request.headers.add("x-framegrid-priority", call.priority);
    }
    request.body = http::join(http::format_multipart(parts, boundary));
    Exchange exchange = [&](const http::Request& sent) {
        return streams ? read_events(sent, call, deadline)
                       : session_.client.fetch(sent, kAnswerBytesMax, deadline);
    };
    auto fetched = co_await send_patiently(std::move(request), std::move(exchange), deadline);
    if (!fetched) {
        co_return fail(std::move(fetched.error()));
    }
    if (listed) {
        co_return co_await fetch_listed(std::string(fetched->body.text()), deadline);
    }
    AiResult result;
    result.run = fetched->headers.get("x-framegrid-run").value_or("");
    result.files.push_back(
        {call.pipeline, std::string(fetched->headers.get("content-type").value_or("")), fetched->body}
    );
    co_return result;
}

Task<Result<AiResult>> GatewayClient::fetch_listed(std::string json, Deadline deadline) {
    boost::system::error_code error;
    const auto body = boost::json::parse(json, error);
    const auto* images = !error && body.is_object() ? body.get_object().if_contains("images") : nullptr;
    if (images == nullptr || !images->is_array()) {
        co_return fail(
            Errc::kProtocol, "the gateway's answer lists no results; is this a Framegrid gateway?"
        );
    }
    AiResult result;
    if (const auto* run = body.get_object().if_contains("framegrid")) {
        result.run = boost::json::serialize(*run);
    }
    for (const auto& image : images->get_array()) {
        const auto* link = image.is_object() ? image.get_object().if_contains("url") : nullptr;
        auto url =
            http::parse_url(link != nullptr && link->is_string() ? std::string_view(link->get_string()) : "");
        if (!url) {
            co_return fail(std::move(url.error()).with_context("a result's URL"));
        }
        http::Request request;
        request.url = std::move(*url);
        auto fetched = co_await send(std::move(request), kAnswerBytesMax, deadline);
        if (!fetched) {
            co_return fail(std::move(fetched.error()));
        }
        result.files.push_back(
            {std::to_string(result.files.size()),
             std::string(fetched->headers.get("content-type").value_or("")), fetched->body}
        );
    }
    co_return result;
}

Task<int> GatewayClient::capacity() {
    auto url = http::parse_url(url_ + "/status");
    if (!url) {
        co_return 0;
    }
    http::Request request;
    request.url = std::move(*url);
    const Deadline deadline = Deadline::after(session_.clock, std::chrono::seconds(2));
    auto fetched = co_await session_.client.fetch(std::move(request), 16u << 20, deadline);
    if (!fetched || fetched->status != 200) {
        co_return 0;
    }
    boost::system::error_code bad;
    const auto status = boost::json::parse(fetched->body.text(), bad);
    const auto* pool = !bad && status.is_object() ? status.as_object().if_contains("orchestrators") : nullptr;
    std::int64_t total = 0;
    if (pool != nullptr && pool->is_array()) {
        for (const auto& entry : pool->as_array()) {
            const auto* capacity = entry.is_object() ? entry.as_object().if_contains("capacity") : nullptr;
            total += capacity != nullptr && capacity->is_int64() ? capacity->as_int64() : 0;
        }
    }
    co_return static_cast<int>(std::min<std::int64_t>(total, 256));
}

}  // namespace framegrid::app
