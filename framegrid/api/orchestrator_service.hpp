// The orchestrator role as the adapter that serves it over the wire sees it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/api/worker_host.hpp>
#include <framegrid/crypto/hash.hpp>

namespace framegrid::api {

class OrchestratorService : public Orchestrator, public WorkerHost {
  public:
    // The checks of protocol section 3.3 that come before the media: token, capabilities, capacity. `head`
    // has no input yet. kForbidden with the protocol's texts ("invalid auth token", "incompatible
    // capabilities") or kCapacity
    // ("OrchestratorCapped").
    virtual Result<void> admit(const Job& head) = 0;

    // Whether a worker's upload is worth reading; submit() checks again. Compares in constant time.
    virtual bool is_worker_secret(std::string_view secret) const = 0;

    // Signatures over Ping values and rendition digests; empty off-chain.
    virtual Bytes sign_ping(BytesView value) = 0;
    virtual Bytes sign_result(const std::vector<crypto::Hash32>& rendition_hashes) = 0;

    // The node's memory store behind GET /stream/...: bounded in bytes, oldest first out.
    // Returns the URL path ("/stream/<unguessable session>/<name>").
    virtual std::string store(const std::string& session_id, const std::string& name, Blob bytes) = 0;
    virtual std::optional<Blob> stored(std::string_view path) = 0;
};

}  // namespace framegrid::api
