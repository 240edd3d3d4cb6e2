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
    // capabilities") or kCapacity ("OrchestratorCapped"; "insufficient capacity" for AI work whose model has
    // no worker).
    virtual Result<void> admit(const Job& head) = 0;

    // Takes the payment of an admitted job out of its head, before the media is read: what wins is durable
    // when this returns. kForbidden (Disposition::kRetry) says why no work is done for it. run() does this
    // itself when the payment is still there.
    virtual Task<Result<void>> take_payment(Job& head, Deadline) {
        head.payment = nullptr;
        co_return Result<void>{};
    }
    // The same ahead of any job, for the credit of head.manifest_id, which may be less than a job needs
    // afterwards. Returns what to pay next time with.
    virtual Task<Result<OrchestratorInfo>> prepay(Job, Deadline) {
        co_return fail(Errc::kUnsupported, "nothing is paid here");
    }
    // What to pay with for a manifest id whose price is fixed. kNotFound: none is.
    virtual Task<Result<OrchestratorInfo>> payment_info(crypto::Address, std::string, Deadline) {
        co_return fail(Errc::kNotFound, "nothing is paid here");
    }

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
