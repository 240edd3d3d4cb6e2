// The gateway's public HTTP API: everything between http::Server and the gateway role.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <framegrid/api/media_probe.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/gateway/gateway.hpp>
#include <framegrid/http/message.hpp>
#include <framegrid/rest/jobs_api.hpp>
#include <framegrid/rest/settings.hpp>
#include <framegrid/rest/status_pages.hpp>
#include <framegrid/runtime/offload.hpp>

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
    // Ends idle streams and drops old results, until cancelled.
    Task<Result<bool>> serve();
    RestStats stats() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace framegrid::rest
