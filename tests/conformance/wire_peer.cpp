// A peer for conformance scripts.
//   wire_peer serve [--clear]   serves a FakeService; prints "listening <uri>", ends when standard input does
//   wire_peer call <uri>        makes the calls that tests/conformance/grpc_js/server.mjs expects; status 0
//   if all hold
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

#include <framegrid/host/loop.hpp>
#include <framegrid/http/client.hpp>
#include <framegrid/http/server.hpp>
#include <framegrid/wire/orchestrator_client.hpp>
#include <framegrid/wire/orchestrator_server.hpp>
#include <framegrid/wire/worker_client.hpp>

#include "fake_service.hpp"

namespace framegrid::tests {
namespace {

struct Node {
    Node() : clock(loop.executor()), pool(1), client(loop.executor(), clock, settings(), {}) {}
    static http::ClientSettings settings() {
        http::ClientSettings settings;
        settings.cleartext_http2 = true;
        return settings;
    }
    Deadline soon() { return Deadline::after(clock, std::chrono::seconds(5)); }

    host::Loop loop;
    host::SteadyClock clock;
    host::SystemRandom random;
    host::ThreadPool pool;
    http::Client client;
};

bool input_ended() {
    pollfd in{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    char byte = 0;
    return poll(&in, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

Task<Result<int>> serve(Node& node, bool tls) {
    FakeService service(node.clock);
    wire::OrchestratorServer adapter({service, node.client, node.clock, node.pool, {}}, {});
    http::ServerSettings settings;
    settings.tls = tls;
    http::Server server(node.loop.executor(), node.clock, settings, adapter.handler(), {});
    FG_CO_CHECK(server.listen());
    const std::string uri =
        (tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(server.port());
    adapter.set_service_uri(uri);
    service.service_uri = uri;
    // The first worker that registers gets this task.
    api::WorkerTask task;
    task.id = {7};
    task.work = transcode_job("m", Blob::copy_of("input"), 2).work;
    service.tasks.try_send(std::move(task));
    std::printf("listening %s\n", uri.c_str());
    std::fflush(stdout);
    while (!input_ended()) {
        co_await sleep_for(node.clock, std::chrono::milliseconds(50));
    }
    service.tasks.close();
    co_await server.stop(std::chrono::seconds(1));
    co_await node.client.stop();
    co_return 0;
}

int failures(const char* what, bool holds, const std::string& detail = {}) {
    std::printf("%s %s %s\n", holds ? "ok  " : "FAIL", what, detail.c_str());
    return holds ? 0 : 1;
}

Task<Result<int>> call(Node& node, std::string uri) {
    wire::ClientPorts ports{node.client, node.clock, node.pool, node.random};
    wire::WireOrchestrator orchestrator(ports, uri);
    int failed = 0;
    const auto info = co_await orchestrator.get_info({}, node.soon());
    failed += failures("GetOrchestrator", info && info->service_uri == uri, info ? "" : info.error().message);
    api::InfoRequest request;
    request.needs = job::default_capabilities();
    const auto capped = co_await orchestrator.get_info(std::move(request), node.soon());
    failed += failures("OrchestratorCapped", !capped && capped.error().code == Errc::kCapacity);
    Bytes value{1, 2, 3};
    const auto pong = co_await orchestrator.ping(std::move(value), node.soon());
    failed += failures("Ping", pong && *pong == (Bytes{3, 2, 1}));
    const auto ended = co_await orchestrator.end_session(FakeService::token(), node.soon());
    failed += failures("EndTranscodingSession", !ended && ended.error().message == "na??ve 100%");
    wire::WireWorkerHost host(ports, uri);
    api::Registration registration;
    registration.secret = kSecret;
    registration.capabilities = job::default_capabilities();
    auto stream = co_await host.register_worker(registration, node.soon());
    failed += failures("RegisterTranscoder", stream.has_value(), stream ? "" : stream.error().message);
    if (stream) {
        const auto task = co_await (*stream)->next();
        const bool good = task && task->id.value == 42 && task->input_url == uri + "/stream/in.ts";
        failed += failures("NotifySegment", good, task ? "" : task.error().message);
        const auto end = co_await (*stream)->next();
        failed += failures("end of the stream", !end && end.error().code == Errc::kUnavailable);
    }
    registration.secret = "guess";
    auto refused = co_await host.register_worker(std::move(registration), node.soon());
    if (refused) {
        const auto task = co_await (*refused)->next();
        failed += failures("invalid secret", !task && task.error().code == Errc::kUnauthorized);
    } else {
        failed += failures("invalid secret", refused.error().code == Errc::kUnauthorized);
    }
    co_await node.client.stop();
    co_return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace framegrid::tests

int main(int argc, char** argv) {
    using namespace framegrid::tests;
    const std::string_view verb = argc > 1 ? argv[1] : "";
    const std::string_view argument = argc > 2 ? argv[2] : "";
    if (verb != "serve" && (verb != "call" || argument.empty())) {
        std::fprintf(stderr, "usage: wire_peer serve [--clear] | call <uri>\n");
        return 2;
    }
    Node node;
    auto main_task = verb == "serve" ? serve(node, argument != "--clear") : call(node, std::string(argument));
    const auto result = node.loop.run_main(std::move(main_task));
    if (!result) {
        std::fprintf(stderr, "wire_peer: %s\n", result.error().message.c_str());
        return 1;
    }
    return *result;
}
