// The gateway's public HTTP API: everything between http::Server and the gateway role.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/api/media_probe.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/gateway/gateway.hpp>
#include <framegrid/http/message.hpp>
#include <framegrid/rest/authenticator.hpp>
#include <framegrid/rest/jobs_api.hpp>
#include <framegrid/rest/settings.hpp>
#include <framegrid/rest/status_pages.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/runtime/tracing.hpp>

namespace framegrid::rest {

// What the references name outlives the Rest.
struct RestPorts {
    Executor executor;
    Clock& clock;
    Random& random;
    Logger log;
    WorkPool& pool;  // for what would hold up the event loop
    gateway::Gateway& gateway;
    api::MediaProbe& probe;
    // Further samples for /metrics (the server's, the client's); may be empty.
    std::function<void(MetricsWriter&)> metrics;
    // Without them there is no /v1/jobs.
    std::optional<JobPorts> jobs{};
    // nullptr: everybody may do everything. Else the pages for operators (/status, /metrics) are served by
    // admin_handler() alone.
    Authenticator* authenticator = nullptr;
    Tracer tracer{};
};

// Single-threaded, on ports.executor. Outlives every request that its handler serves.
class Rest {
  public:
    Rest(RestPorts ports, RestSettings settings);
    ~Rest();
    Rest(const Rest&) = delete;
    Rest& operator=(const Rest&) = delete;

    // Refers to this object.
    http::Handler handler();
    // The operator's pages, for a listener that the public cannot reach. Refers to this object.
    http::Handler admin_handler();
    // Ends idle streams and drops old results, until cancelled.
    Task<Result<bool>> serve();
    RestStats stats() const;
    // "GET /v1/jobs/{}" of every route of handler().
    std::vector<std::string> routes() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace framegrid::rest
