// A server with a FakeService and clients of it, in one event loop.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include <framegrid/host/loop.hpp>
#include <framegrid/http/client.hpp>
#include <framegrid/http/server.hpp>
#include <framegrid/wire/orchestrator_client.hpp>
#include <framegrid/wire/orchestrator_server.hpp>
#include <framegrid/wire/worker_client.hpp>

#include "fake_service.hpp"

// ASSERT_TRUE for coroutines.
#define CO_ASSERT(...)                            \
    if (!static_cast<bool>(__VA_ARGS__)) {        \
        ADD_FAILURE() << "not so: " #__VA_ARGS__; \
        co_return;                                \
    }                                             \
    static_assert(true)

namespace framegrid::tests {

inline http::ClientSettings wire_client_settings() {
    http::ClientSettings settings;
    settings.cleartext_http2 = true;
    return settings;
}

inline http::ServerSettings wire_server_settings(bool tls) {
    http::ServerSettings settings;
    settings.tls = tls;
    return settings;
}

class Rig {
  public:
    explicit Rig(bool tls)
        : clock(loop.executor()),
          pool(1),
          client(loop.executor(), clock, wire_client_settings(), {}),
          service(clock),
          adapter({service, client, clock, pool, {}}, {}),
          server(loop.executor(), clock, wire_server_settings(tls), adapter.handler(), {}),
          ports{client, clock, pool, random} {
        EXPECT_TRUE(server.listen());
        uri = (tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(server.port());
        service.service_uri = uri;
        adapter.set_service_uri(uri);
        orchestrator = std::make_unique<wire::WireOrchestrator>(ports, uri);
        host = std::make_unique<wire::WireWorkerHost>(ports, uri);
    }

    Deadline soon() { return Deadline::after(clock, std::chrono::seconds(20)); }

    // Runs a test body and stops everything.
    void run(Task<void> (*body)(Rig&)) {
        const auto result = loop.run_main(main(*this, body));
        EXPECT_TRUE(result) << (result ? "" : result.error().message);
    }

    // The declaration order is the order of construction and the reverse of destruction.
    host::Loop loop;
    host::SteadyClock clock;
    host::SystemRandom random;
    host::ThreadPool pool;
    http::Client client;
    FakeService service;
    wire::OrchestratorServer adapter;
    http::Server server;
    wire::ClientPorts ports;
    std::string uri;
    std::unique_ptr<wire::WireOrchestrator> orchestrator;
    std::unique_ptr<wire::WireWorkerHost> host;

  private:
    static Task<Result<int>> main(Rig& rig, Task<void> (*body)(Rig&)) {
        co_await body(rig);
        rig.service.tasks.close();
        co_await rig.client.stop();
        co_await rig.server.stop(std::chrono::seconds(1));
        co_return 0;
    }
};

}  // namespace framegrid::tests
