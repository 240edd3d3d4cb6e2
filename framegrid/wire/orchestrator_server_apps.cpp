// The live-runner routes (AI API section 9.3) for the pipelines of this node: /discovery, and single-shot
// calls.
#include <framegrid/wire/app_names.hpp>
#include <framegrid/wire/orchestrator_server_impl.hpp>
#include <framegrid/wire/protocol_error.hpp>

namespace framegrid::wire {

namespace {

constexpr Duration kInfoTimeMax = std::chrono::seconds(5);

}  // namespace

Task<void> OrchestratorServer::Impl::serve_apps(http::Exchange& exchange) {
    const std::string path(exchange.head.path());
    const std::string& method = exchange.head.method;
    if (path == "/discovery") {
        if (method != "GET" && method != "HEAD") {
            co_await refuse(exchange, {405, "Method Not Allowed", Errc::kInvalidArgument});
        } else {
            co_await serve_discovery(exchange);
        }
        co_return;
    }
    constexpr std::size_t kBegin = std::string_view("/apps/").size();
    const auto end = path.find('/', kBegin);
    const bool is_call =
        end != std::string::npos && (path.substr(end) == "/app" || path.substr(end, 5) == "/app/");
    if (!is_call) {
        co_await refuse(
            exchange, {404, "applications here are single-shot: POST /apps/{runner}/app", Errc::kNotFound}
        );
    } else if (method != "POST") {
        co_await refuse(exchange, {405, "Method Not Allowed", Errc::kInvalidArgument});
    } else {
        co_await serve_app(exchange, path.substr(kBegin, end - kBegin));
    }
}

Task<void> OrchestratorServer::Impl::serve_discovery(http::Exchange& exchange) {
    const auto info = co_await ports_.service.get_info({}, Deadline::after(ports_.clock, kInfoTimeMax));
    if (!info) {
        co_await refuse(exchange, {503, info.error().message, info.error().code});
        co_return;
    }
    http::ResponseHead head;
    head.headers = {{"content-type", "application/json"}};
    Blob body(to_bytes(discovery_json(*info, settings_.service_uri)));
    [[maybe_unused]] const auto sent = co_await exchange.response.respond(std::move(head), std::move(body));
}

// A call without a payment: nodes ask for none yet. It is admitted as every other job is, with a token that
// the node gives itself.
Task<void> OrchestratorServer::Impl::serve_app(http::Exchange& exchange, std::string runner) {
    const auto app = parse_runner_id(runner);
    if (!app) {
        co_await refuse(exchange, {404, "no such application; GET /discovery lists all", Errc::kNotFound});
        co_return;
    }
    api::Job job;
    job.manifest_id = app->pipeline + "_" + app->model_id;
    job.needs = job::ai_needs(*job::capability_of_pipeline(app->pipeline), app->model_id);
    job.work.kind = api::AiWork{.pipeline = app->pipeline, .model_id = app->model_id, .parameters = {}};
    const api::InfoRequest wanted{job.needs, false};
    auto info = co_await ports_.service.get_info(wanted, Deadline::after(ports_.clock, kInfoTimeMax));
    if (info && !job::compatible(job.needs, info->capabilities)) {
        co_await refuse(exchange, {404, "no such application; GET /discovery lists all", Errc::kNotFound});
        co_return;
    }
    if (info) {
        job.token = info->auth_token;
    }
    const Result<void> admitted =
        info ? ports_.service.admit(job) : Result<void>(std::unexpected(info.error()));
    if (!admitted) {
        const bool full = admitted.error().code == Errc::kCapacity;
        co_await refuse(
            exchange,
            {full ? 503 : 404, full ? "no capacity" : admitted.error().message, admitted.error().code}
        );
        co_return;
    }
    co_await run_ai(exchange, std::move(job), false);
}

}  // namespace framegrid::wire
