#include <framegrid/app/gateway_client.hpp>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/http/multipart.hpp>

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

Task<Result<http::Fetched>> GatewayClient::send(http::Request request, std::size_t limit, Deadline deadline) {
    Duration pause = kPauseMin;
    for (;;) {
        auto fetched = co_await session_.client.fetch(request, limit, deadline);
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
    };
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

Task<Result<Rendition>> GatewayClient::upscale(UpscaleRequest upscale, Deadline deadline) {
    auto url = http::parse_url(url_ + "/upscale");
    if (!url) {
        co_return fail(std::move(url.error()));
    }
    const std::string boundary = "fg" + session_.random.hex(9);
    std::vector<http::Part> parts;
    const auto field = [&](const std::string& name, const std::string& value) {
        http::Part part;
        part.headers.add("content-disposition", fmt::format("form-data; name=\"{}\"", name));
        part.body = Blob::copy_of(value);
        parts.push_back(std::move(part));
    };
    http::Part file;
    file.headers.add(
        "content-disposition", fmt::format(
                                   "form-data; name=\"{}\"; filename=\"{}\"",
                                   upscale.video ? "video" : "image", upscale.video ? "segment" : "image"
                               )
    );
    file.headers.add("content-type", "application/octet-stream");
    file.body = upscale.bytes;
    parts.push_back(std::move(file));
    field("model_id", upscale.model_id);
    field("prompt", "");
    http::Request request;
    request.method = "POST";
    request.url = std::move(*url);
    request.headers = http::Headers{
        {"accept", upscale.video ? "video/*" : "image/png"},
        {"content-type", "multipart/form-data; boundary=" + boundary},
    };
    request.body = http::join(http::format_multipart(parts, boundary));
    auto fetched = co_await send(std::move(request), kAnswerBytesMax, deadline);
    if (!fetched) {
        co_return fail(std::move(fetched.error()));
    }
    co_return Rendition{
        "upscaled", std::string(fetched->headers.get("content-type").value_or("")), fetched->body
    };
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
