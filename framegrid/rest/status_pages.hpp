// The text of /status, /metrics and /. Pure.
#pragma once

#include <cstdint>
#include <string>

#include <framegrid/gateway/gateway.hpp>
#include <framegrid/rest/gate.hpp>
#include <framegrid/rest/live_ingest.hpp>
#include <framegrid/runtime/histogram.hpp>
#include <framegrid/runtime/metrics.hpp>

namespace framegrid::rest {

struct RestStats {
    std::uint64_t answered = 0;       // status below 400
    std::uint64_t client_errors = 0;  // 4xx
    std::uint64_t server_errors = 0;  // 5xx
    std::uint64_t refused = 0;        // over a limit of this process, among the 5xx
    std::uint64_t aborted = 0;        // the client went away before its answer
    std::uint64_t bytes_in = 0;       // bodies of finished requests
    std::uint64_t bytes_out = 0;
    std::size_t jobs_in_flight = 0;
    std::size_t memory_bytes = 0;  // bodies held now
    std::size_t memory_bytes_max = 0;
    std::size_t streams = 0;
    std::size_t hls_bytes = 0;
    std::size_t results = 0;
    std::size_t results_bytes = 0;
    IngestStats ingest;
    GateStats gate;
    Timings requests;  // by route
};
void dump(MetricsWriter& out, const RestStats& stats);

// "orchestrators" lists at most `orchestrators_max` of the pool; "orchestrators_known" counts all.
std::string status_json(
    const std::string& version, Duration uptime, const std::vector<market::PoolEntryView>& pool,
    const gateway::Stats& jobs, const RestStats& rest, std::size_t orchestrators_max
);

// What is served here, for a person who opens the gateway's address.
std::string help_text(const std::string& version);

}  // namespace framegrid::rest
