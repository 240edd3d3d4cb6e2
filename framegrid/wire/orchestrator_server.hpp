// Serves an orchestrator role on the network: the protocol's gRPC and HTTP routes on one handler (sections 2,
// 3, 7).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <framegrid/api/orchestrator_service.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/http/client.hpp>
#include <framegrid/http/message.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::wire {

struct ServerPorts {
    api::OrchestratorService& service;
    http::Client& downloads;  // for segments that arrive as a URL
    Clock& clock;
    WorkPool& pool;
    Logger log;
};

struct OrchestratorServerSettings {
    std::string service_uri;  // in front of result and input URLs: "https://host:port"
    std::size_t body_bytes_max = media::kSegmentBytesMax;
    Duration download_time_max = std::chrono::seconds(8);
    Duration transcode_time_min = std::chrono::seconds(8);  // max(this, 4 x duration), section 6.7
    Duration ai_time_max = std::chrono::minutes(15);
};

struct OrchestratorServerStats {
    std::uint64_t segments = 0;         // answered with 200
    std::uint64_t ai_jobs = 0;          // answered with 200
    std::uint64_t refused = 0;          // answered with an error status
    std::uint64_t results = 0;          // uploads of workers that were taken
    std::uint64_t results_refused = 0;  // ... that were not
    std::size_t task_streams = 0;       // open registrations
};
void dump(MetricsWriter& out, const OrchestratorServerStats& stats);

// Routes: gRPC net.Orchestrator, net.Transcoder, net.AIWorker; POST /segment, /<AI pipeline>, /echo,
// /transcodeResults, /aiResults; GET /stream/..., /healthz. Single-threaded; outlives the http::Server that
// uses it.
class OrchestratorServer {
  public:
    OrchestratorServer(ServerPorts ports, OrchestratorServerSettings settings);
    ~OrchestratorServer();
    OrchestratorServer(const OrchestratorServer&) = delete;
    OrchestratorServer& operator=(const OrchestratorServer&) = delete;

    http::Handler handler();
    // Serves one request that one of the routes matches, else answers 404.
    Task<void> serve(http::Exchange& exchange);
    // For servers whose port the system has picked; before the first request.
    void set_service_uri(std::string uri);
    const OrchestratorServerStats& stats() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace framegrid::wire
