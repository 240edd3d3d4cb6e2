#include <framegrid/wire/orchestrator_server.hpp>

#include <framegrid/crypto/segment_signature.hpp>
#include <framegrid/http/date.hpp>
#include <framegrid/media/file_types.hpp>
#include <framegrid/wire/ai_messages.hpp>
#include <framegrid/wire/convert.hpp>
#include <framegrid/wire/orchestrator_server_impl.hpp>
#include <framegrid/wire/protocol_error.hpp>
#include <framegrid/wire/task_result.hpp>

namespace framegrid::wire {

namespace {

// Existing peers only look at the text; the code is Unknown for all that a method says itself.
GrpcStatus method_status(const Error& error) {
    switch (error.code) {
        case Errc::kDeadline:
            return {GrpcCode::kDeadlineExceeded, error.message};
        case Errc::kUnavailable:
            return {GrpcCode::kUnavailable, error.message};
        case Errc::kCapacity:
            return {GrpcCode::kUnknown, text_from_error(error)};
        default:
            return {GrpcCode::kUnknown, error.message};
    }
}

// All zero: nobody that is known.
Result<crypto::Address> verify_caller(const net::OrchestratorRequest& message) {
    crypto::Address address{};
    const auto bytes = as_bytes(message.address());
    if (bytes.size() == address.size()) {
        std::ranges::copy(bytes, address.begin());
    }
    const bool anonymous = address == crypto::Address{} && (bytes.empty() || bytes.size() == address.size());
    if (anonymous ||
        crypto::verify_message(address, crypto::info_request_message(address), as_bytes(message.sig()))) {
        return address;
    }
    return fail(Errc::kForbidden, "Invalid orchestrator request: sig verification failed", "sig");
}

// The pipeline of an AI route, or an empty text.
std::string pipeline_route(std::string_view path) {
    const std::string_view name = path.substr(1);
    return job::capability_of_pipeline(name) ? std::string(name) : std::string();
}

}  // namespace

OrchestratorServer::OrchestratorServer(ServerPorts ports, OrchestratorServerSettings settings)
    : impl_(std::make_unique<Impl>(std::move(ports), std::move(settings))) {}

OrchestratorServer::~OrchestratorServer() = default;

http::Handler OrchestratorServer::handler() {
    return [impl = impl_.get()](http::Exchange& exchange) { return impl->serve(exchange); };
}

Task<void> OrchestratorServer::serve(http::Exchange& exchange) {
    return impl_->serve(exchange);
}

void OrchestratorServer::set_service_uri(std::string uri) {
    impl_->set_service_uri(std::move(uri));
}

const OrchestratorServerStats& OrchestratorServer::stats() const {
    return impl_->stats();
}

OrchestratorServer::Impl::Impl(ServerPorts ports, OrchestratorServerSettings settings)
    : ports_(std::move(ports)),
      settings_(std::move(settings)),
      grpc_(ports_.clock, &method_status),
      signs_(!ports_.service.sign_ping({}).empty()) {
    grpc_.add_unary("net.Orchestrator/GetOrchestrator", [this](std::string request, Deadline deadline) {
        return get_orchestrator(std::move(request), deadline);
    });
    grpc_.add_unary("net.Orchestrator/EndTranscodingSession", [this](std::string request, Deadline deadline) {
        return end_session(std::move(request), deadline);
    });
    grpc_.add_unary("net.Orchestrator/Ping", [this](std::string request, Deadline deadline) {
        return ping(std::move(request), deadline);
    });
    grpc_.add_streaming("net.Transcoder/RegisterTranscoder", [this](std::string request, GrpcSink& sink) {
        return register_transcoder(std::move(request), sink);
    });
    grpc_.add_streaming("net.AIWorker/RegisterAIWorker", [this](std::string request, GrpcSink& sink) {
        return register_ai_worker(std::move(request), sink);
    });
}

Task<void> OrchestratorServer::Impl::serve(http::Exchange& exchange) {
    if (GrpcServer::is_grpc(exchange.head)) {
        co_await grpc_.serve(exchange);
        co_return;
    }
    const std::string path(exchange.head.path());
    if (path.starts_with("/stream/") || path == "/healthz") {
        co_await serve_file(exchange);
        co_return;
    }
    if (path == "/discovery" || path.starts_with("/apps/")) {
        co_await serve_apps(exchange);
        co_return;
    }
    const bool results = path == "/transcodeResults" || path == "/aiResults";
    const bool early = path == kEarlyPath;
    const bool progress = path == kProgressPath;
    const std::string pipeline = pipeline_route(path);
    const bool payment = path == "/payment" || path == "/refresh-payment";
    if (path != "/segment" && path != "/echo" && !payment && !results && !early && !progress &&
        pipeline.empty()) {
        co_await refuse(exchange, {404, "404 page not found", Errc::kNotFound});
    } else if (exchange.head.method != "POST") {
        co_await refuse(exchange, {405, "Method Not Allowed", Errc::kInvalidArgument});
    } else if (path == "/segment") {
        co_await serve_segment(exchange);
    } else if (path == "/echo") {
        co_await serve_echo(exchange);
    } else if (path == "/payment") {
        co_await serve_payment(exchange);
    } else if (path == "/refresh-payment") {
        co_await serve_refresh_payment(exchange);
    } else if (early) {
        co_await answer_upload(exchange, take_early(exchange));
    } else if (progress) {
        co_await answer_upload(exchange, take_progress(exchange));
    } else if (results) {
        const bool ai = path == "/aiResults";
        co_await answer_upload(
            exchange, take_result(exchange, ai ? api::WorkerKind::kAi : api::WorkerKind::kTranscoder)
        );
    } else {
        co_await serve_ai(exchange, pipeline);
    }
}

Task<void> OrchestratorServer::Impl::refuse(http::Exchange& exchange, Refusal refusal) {
    ++stats_.refused;
    ports_.log.debug(
        "wire.request_refused",
        {{"path", exchange.head.path()}, {"status", refusal.status}, {"why", refusal.text}}
    );
    http::ResponseHead head{.status = refusal.status, .headers = {}};
    head.headers = {
        {"content-type", "text/plain; charset=utf-8"},
        {"x-content-type-options", "nosniff"},
        {std::string(kErrorCodeHeader), std::string(to_string(refusal.code))},
    };
    if (!refusal.detail.empty()) {
        head.headers.add(std::string(kErrorDetailHeader), clean_text(refusal.detail));
    }
    Blob body(to_bytes(refusal.text + "\n"));
    // A peer that is gone by now needs no answer.
    [[maybe_unused]] const auto sent = co_await exchange.response.respond(std::move(head), std::move(body));
}

Task<void> OrchestratorServer::Impl::serve_file(http::Exchange& exchange) {
    const std::string path(exchange.head.path());
    const bool head_only = exchange.head.method == "HEAD";
    if (exchange.head.method != "GET" && !head_only) {
        co_await refuse(exchange, {405, "Method Not Allowed", Errc::kInvalidArgument});
        co_return;
    }
    std::optional<Blob> file = path == "/healthz" ? Blob::copy_of("OK\n") : ports_.service.stored(path);
    if (!file) {
        co_await refuse(exchange, {404, "404 page not found", Errc::kNotFound});
        co_return;
    }
    http::ResponseHead head;
    head.headers = {
        {"content-type", std::string(path == "/healthz" ? "text/plain" : media::content_type_of(path))}
    };
    if (path == "/healthz") {  // others can tell whose clock is wrong
        head.headers.add("date", http::date_text(ports_.clock.unix_ms()));
    }
    if (head_only) {
        head.headers.add("content-length", std::to_string(file->size()));
        if (co_await exchange.response.start(std::move(head))) {
            [[maybe_unused]] const auto finished = co_await exchange.response.finish();
        }
        co_return;
    }
    [[maybe_unused]] const auto sent = co_await exchange.response.respond(std::move(head), std::move(*file));
}

std::string OrchestratorServer::Impl::stored_url(
    const std::string& session_id, const std::string& name, Blob bytes
) {
    std::string_view base = settings_.service_uri;
    if (base.ends_with('/')) {
        base.remove_suffix(1);
    }
    return std::string(base) + ports_.service.store(session_id, name, std::move(bytes));
}

Task<Result<std::string>> OrchestratorServer::Impl::get_orchestrator(std::string request, Deadline deadline) {
    FG_CO_TRY(message, parse_message<net::OrchestratorRequest>(request));
    FG_CO_TRY(caller, verify_caller(message));
    api::InfoRequest wanted;
    wanted.sender = caller;
    wanted.ignore_capacity = message.ignorecapacitycheck();
    if (message.has_lost_jobs()) {
        wanted.lost = from_proto(message.lost_jobs());
    }
    if (message.has_capabilities()) {
        FG_CO_TRY(needs, from_proto(message.capabilities()));
        wanted.needs = std::move(needs);
    }
    FG_CO_TRY(info, co_await ports_.service.get_info(std::move(wanted), deadline));
    co_return to_proto(info).SerializeAsString();
}

Task<Result<std::string>> OrchestratorServer::Impl::end_session(std::string request, Deadline deadline) {
    FG_CO_TRY(message, parse_message<net::EndTranscodingSessionRequest>(request));
    FG_CO_TRY(token, from_proto(message.auth_token()));
    FG_CO_CHECK(co_await ports_.service.end_session(std::move(token), deadline));
    co_return net::EndTranscodingSessionResponse().SerializeAsString();
}

Task<Result<std::string>> OrchestratorServer::Impl::ping(std::string request, Deadline /*deadline*/) {
    FG_CO_TRY(message, parse_message<net::PingPong>(request));
    const Bytes signature = ports_.service.sign_ping(as_bytes(message.value()));
    net::PingPong pong;
    pong.set_value(signature.data(), signature.size());
    co_return pong.SerializeAsString();
}

void dump(MetricsWriter& out, const OrchestratorServerStats& stats) {
    out.counter("framegrid_wire_segments_total", stats.segments);
    out.counter("framegrid_wire_ai_jobs_total", stats.ai_jobs);
    out.counter("framegrid_wire_requests_refused_total", stats.refused);
    out.counter("framegrid_wire_results_total", stats.results, {{"result", "taken"}});
    out.counter("framegrid_wire_results_total", stats.results_refused, {{"result", "refused"}});
    out.gauge("framegrid_wire_task_streams", static_cast<double>(stats.task_streams));
}

}  // namespace framegrid::wire
