// Orchestrators behind the wire: api::Orchestrator over the node protocol (sections 2 and 3).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/http/client.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/runtime/random.hpp>
#include <framegrid/wire/early_renditions.hpp>
#include <framegrid/wire/segment_header.hpp>

namespace framegrid::wire {

// What clients of peers need; all outlive them. `client` has cleartext_http2 set when peers may be http://
// URIs.
struct ClientPorts {
    http::Client& client;
    Clock& clock;
    WorkPool& pool;
    Random& random;
    RequestSigner* signer = nullptr;  // of requests; null off-chain
};

// One orchestrator. Holds no connection of its own: calls share the client's. Single-threaded, as the client
// is.
class WireOrchestrator final : public api::Orchestrator {
  public:
    // A malformed URI makes every call fail with kInvalidArgument.
    WireOrchestrator(ClientPorts ports, const std::string& service_uri);

    Task<Result<api::OrchestratorInfo>> get_info(api::InfoRequest request, Deadline deadline) override;
    // Sends the media, waits for the result and downloads every artifact. A rejected or expired token is
    // kForbidden with Disposition::kRetry: get_info() brings a fresh one.
    Task<Result<api::JobOutput>> run(api::Job job, Deadline deadline) override;
    Task<Result<void>> end_session(api::AuthToken token, Deadline deadline) override;
    // The orchestrator's signature over `value`; empty off-chain.
    Task<Result<Bytes>> ping(Bytes value, Deadline deadline);

  private:
    Task<Result<api::JobOutput>> run_transcode(api::Job job, Deadline deadline);
    Task<Result<api::JobOutput>> run_ai(api::Job job, Deadline deadline);
    // The JSON of the job's answer; tells `progress` of steps when the answer is an event stream.
    Task<Result<std::string>> exchange_ai(
        http::Request request, Deadline deadline, api::ProgressSink progress
    );
    Task<Result<api::JobOutput>> run_echo(api::Job job, Deadline deadline);
    struct EarlyDownloads;
    Task<Result<std::string>> exchange_segment(
        http::Request request, Deadline upload, Deadline deadline, EarlyDownloads& early
    );
    Task<Result<Blob>> read_answer(http::BodyReader& body, Deadline deadline, EarlyDownloads& early);
    Task<void> download_early(EarlyRendition rendition, Deadline deadline, EarlyDownloads& early);
    Task<Result<std::string>> call(std::string method, std::string request, Deadline deadline);
    // No URL: nothing to fetch, an empty result.
    Task<Result<std::vector<Blob>>> download_all(
        std::vector<std::optional<std::string>> urls, Deadline deadline
    );
    std::string payment_header(const api::Job& job);
    http::Request job_request(
        const api::Job& job, const SegmentProof& proof, std::string_view path, std::string content_type
    );

    ClientPorts ports_;
    SegmentSigner signer_;
    SegmentHeaderWriter segment_headers_;
    std::shared_ptr<const pay::Payment> on_credit_;  // the last payment without tickets
    std::string on_credit_header_;
    Result<http::Url> base_;
};

// Orchestrators by URI, made on first use. Keeps at most `max`; those in use are never dropped.
class WireDirectory final : public api::OrchestratorDirectory {
  public:
    explicit WireDirectory(ClientPorts ports, std::size_t max = 20'000) : ports_(ports), max_(max) {}
    std::shared_ptr<api::Orchestrator> at(const std::string& service_uri) override;
    std::size_t size() const { return known_.size(); }

  private:
    ClientPorts ports_;
    std::size_t max_;
    std::unordered_map<std::string, std::shared_ptr<WireOrchestrator>> known_;
};

}  // namespace framegrid::wire
