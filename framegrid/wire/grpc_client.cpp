#include <framegrid/wire/grpc.hpp>

#include <charconv>

#include <framegrid/wire/protocol_error.hpp>

namespace framegrid::wire {

namespace {

bool is_grpc_type(const http::Headers& headers) {
    return headers.get("content-type").value_or("").starts_with("application/grpc");
}

// grpc-status and grpc-message stand in the trailers, or in the head when there is no message at all.
std::optional<GrpcStatus> status_in(const http::Headers& headers) {
    const auto text = headers.get("grpc-status");
    if (!text) {
        return std::nullopt;
    }
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc{} || end != text->data() + text->size() || number > 16) {
        number = static_cast<unsigned>(GrpcCode::kUnknown);
    }
    return GrpcStatus{
        .code = static_cast<GrpcCode>(number),
        .message = percent_decode(headers.get("grpc-message").value_or(""))
    };
}

Result<void> check_head(int status, const http::Headers& headers) {
    if (status != 200) {
        Error error = error_from_answer(status, headers, {});
        // 404 from something that is no gRPC server says nothing about the call's subject.
        if (error.code == Errc::kNotFound || error.disposition == Disposition::kReject) {
            error = as_peer_fault(std::move(error), "gRPC");
        }
        return fail(std::move(error));
    }
    if (!is_grpc_type(headers)) {
        return fail(Errc::kProtocol, "the peer does not speak gRPC");
    }
    return {};
}

Result<void> check_end(const http::Headers& head, const http::Headers& trailers) {
    auto status = status_in(trailers);
    if (!status) {
        status = status_in(head);
    }
    if (!status) {
        return fail(Errc::kProtocol, "the call ended without a gRPC status");
    }
    if (status->code != GrpcCode::kOk) {
        return fail(error_of(*status));
    }
    return {};
}

}  // namespace

http::Request GrpcClient::make_request(const std::string& method, std::string_view request) const {
    http::Request out;
    out.method = "POST";
    out.url = base_;
    out.url.target = "/" + method;
    out.headers = {
        {"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "grpc-framegrid/0.1"}
    };
    out.body = grpc_frame(request);
    return out;
}

Task<Result<std::string>> GrpcClient::unary(std::string method, std::string request, Deadline deadline) {
    http::Request call = make_request(method, request);
    call.headers.add("grpc-timeout", format_timeout(deadline.left(clock_)));
    auto answer = co_await client_.fetch(std::move(call), kGrpcMessageMax + 64, deadline);
    if (!answer) {
        Error error = std::move(answer).error();
        co_return fail(
            error.code == Errc::kTooLarge ? as_peer_fault(std::move(error), method) : std::move(error)
        );
    }
    FG_CO_CHECK(check_head(answer->status, answer->headers));
    FG_CO_CHECK(check_end(answer->headers, answer->trailers));
    GrpcFrames frames;
    frames.feed(answer->body.view());
    auto message = frames.next();
    if (!message) {
        co_return fail(as_peer_fault(std::move(message).error(), method));
    }
    if (!*message || !frames.empty()) {
        co_return fail(Errc::kProtocol, method + ": the answer is not exactly one message");
    }
    co_return std::move(**message);
}

Task<Result<std::unique_ptr<GrpcStream>>> GrpcClient::server_stream(
    std::string method, std::string request, Deadline deadline
) {
    http::Request call = make_request(method, request);
    FG_CO_TRY(response, co_await client_.open(std::move(call), deadline));
    FG_CO_CHECK(check_head(response.head.status, response.head.headers));
    co_return std::make_unique<GrpcStream>(std::move(response));
}

Task<Result<std::optional<std::string>>> GrpcStream::next() {
    while (true) {
        auto message = frames_.next();
        if (!message) {
            co_return fail(as_peer_fault(std::move(message).error(), "gRPC stream"));
        }
        if (*message) {
            co_return std::move(message);
        }
        FG_CO_TRY(piece, co_await response_.body->read());
        if (piece.empty()) {
            break;
        }
        frames_.feed(piece.view());
    }
    FG_CO_CHECK(check_end(response_.head.headers, response_.body->trailers()));
    if (!frames_.empty()) {
        co_return fail(Errc::kProtocol, "the stream ended inside a message");
    }
    co_return std::optional<std::string>();
}

}  // namespace framegrid::wire
