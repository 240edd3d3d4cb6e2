#include <framegrid/wire/grpc.hpp>

namespace framegrid::wire {

namespace {

constexpr Duration kUnaryTimeMax = std::chrono::minutes(1);  // when the caller names no timeout

GrpcStatus framing_status(const Error& error) {
    switch (error.code) {
        case Errc::kUnsupported:
            return {GrpcCode::kUnimplemented, error.message};
        case Errc::kTooLarge:
            return {GrpcCode::kResourceExhausted, error.message};
        case Errc::kUnavailable:
        case Errc::kCancelled:
            return {GrpcCode::kCancelled, error.message};
        default:
            return {GrpcCode::kInternal, error.message};
    }
}

// The one message of a call that is no client stream.
Task<Result<std::string>> read_request(http::BodyReader& body) {
    GrpcFrames frames;
    std::optional<std::string> request;
    while (true) {
        FG_CO_TRY(piece, co_await body.read());
        if (piece.empty()) {
            break;
        }
        if (request) {
            co_return fail(Errc::kProtocol, "more than one request message");
        }
        frames.feed(piece.view());
        FG_CO_TRY(message, frames.next());
        request = std::move(message);
    }
    if (!request || !frames.empty()) {
        co_return fail(Errc::kProtocol, "not exactly one request message");
    }
    co_return std::move(*request);
}

http::ResponseHead response_head() {
    http::ResponseHead head;
    head.headers = {{"content-type", "application/grpc"}};
    return head;
}

}  // namespace

bool GrpcServer::is_grpc(const http::RequestHead& head) {
    return head.version == http::Version::kHttp2 &&
           head.headers.get("content-type").value_or("").starts_with("application/grpc");
}

Task<Result<void>> GrpcSink::send(std::string message) {
    co_return co_await response_.write(grpc_frame(message));
}

Task<GrpcStatus> GrpcServer::run_unary(const Unary& handler, http::Exchange& exchange, std::string request)
    const {
    Deadline deadline = Deadline::after(clock_, kUnaryTimeMax);
    if (const auto text = exchange.head.headers.get("grpc-timeout")) {
        const auto timeout = parse_timeout(*text);
        if (!timeout) {
            co_return GrpcStatus{GrpcCode::kInvalidArgument, "malformed grpc-timeout"};
        }
        deadline = Deadline::after(clock_, *timeout);
    }
    Task<Result<std::string>> work = handler(std::move(request), deadline);
    auto answer = co_await with_deadline<std::string>(clock_, deadline, std::move(work));
    if (!answer) {
        co_return status_of_(answer.error());
    }
    if (answer->size() > kGrpcMessageMax) {
        co_return GrpcStatus{GrpcCode::kResourceExhausted, "the answer is too large"};
    }
    http::ResponseHead head = response_head();
    if (const auto started = co_await exchange.response.start(std::move(head)); !started) {
        co_return framing_status(started.error());
    }
    if (const auto sent = co_await exchange.response.write(grpc_frame(*answer)); !sent) {
        co_return framing_status(sent.error());
    }
    co_return GrpcStatus{};
}

Task<GrpcStatus> GrpcServer::run_streaming(
    const Streaming& handler, http::Exchange& exchange, std::string request
) const {
    // The head goes out at once: it tells the caller that the node is there, long before the first message.
    http::ResponseHead head = response_head();
    if (const auto started = co_await exchange.response.start(std::move(head)); !started) {
        co_return framing_status(started.error());
    }
    GrpcSink sink(exchange.response);
    const auto done = co_await handler(std::move(request), sink);
    co_return done ? GrpcStatus{} : status_of_(done.error());
}

Task<GrpcStatus> GrpcServer::dispatch(http::Exchange& exchange) const {
    if (exchange.head.method != "POST") {
        co_return GrpcStatus{GrpcCode::kUnimplemented, "gRPC calls are POST requests"};
    }
    const std::string method(exchange.head.path().substr(1));
    const auto unary = unary_.find(method);
    const auto streaming = streaming_.find(method);
    if (unary == unary_.end() && streaming == streaming_.end()) {
        co_return GrpcStatus{GrpcCode::kUnimplemented, "unknown method " + method};
    }
    auto request = co_await read_request(exchange.body);
    if (!request) {
        co_return framing_status(request.error());
    }
    if (unary != unary_.end()) {
        co_return co_await run_unary(unary->second, exchange, std::move(*request));
    }
    co_return co_await run_streaming(streaming->second, exchange, std::move(*request));
}

Task<void> GrpcServer::serve(http::Exchange& exchange) const {
    const GrpcStatus status = co_await dispatch(exchange);
    if (!exchange.response.started()) {
        http::ResponseHead head = response_head();
        if (const auto started = co_await exchange.response.start(std::move(head)); !started) {
            co_return;  // nobody is left to answer
        }
    }
    http::Headers trailers{{"grpc-status", std::to_string(static_cast<int>(status.code))}};
    if (!status.message.empty()) {
        trailers.add("grpc-message", percent_encode(status.message));
    }
    // A peer that is gone by now needs no status.
    [[maybe_unused]] const auto finished = co_await exchange.response.finish(std::move(trailers));
}

}  // namespace framegrid::wire
