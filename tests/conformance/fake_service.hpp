// An orchestrator role for tests: a few fixed answers, and dispatch to whoever registers.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include <framegrid/api/orchestrator_service.hpp>
#include <framegrid/runtime/channel.hpp>

namespace framegrid::tests {

inline constexpr const char* kSecret = "s3cret";
inline constexpr const char* kSession = "session-1";

// Single-threaded. What jobs do follows from their manifest id: "busy", "no-keyframes", "boom", "short",
// "slow"; "work" goes to a registered worker; anything else is answered at once with renditions made of the
// input.
class FakeService final : public api::OrchestratorService {
  public:
    explicit FakeService(Clock& clock) : clock_(clock) {}

    Task<Result<api::OrchestratorInfo>> get_info(api::InfoRequest request, Deadline deadline) override;
    Task<Result<api::JobOutput>> run(api::Job job, Deadline deadline) override;
    Task<Result<void>> end_session(api::AuthToken token, Deadline deadline) override;
    Task<Result<std::unique_ptr<api::TaskStream>>> register_worker(
        api::Registration registration, Deadline deadline
    ) override;
    Task<Result<Blob>> fetch_input(std::string url, Deadline deadline) override;
    Task<Result<void>> submit(api::TaskReport report, Deadline deadline) override;
    Task<Result<void>> submit_early(api::EarlyReport report, Deadline deadline) override;
    Task<Result<void>> submit_progress(api::ProgressReport report, Deadline deadline) override;
    Result<void> admit(const api::Job& head) override;
    bool is_worker_secret(std::string_view secret) const override {
        return trust_uploads || secret == kSecret;
    }
    Bytes sign_ping(BytesView value) override;
    Bytes sign_result(const std::vector<crypto::Hash32>& rendition_hashes) override;
    std::string store(const std::string& session_id, const std::string& name, Blob bytes) override;
    std::optional<Blob> stored(std::string_view path) override;

    static api::AuthToken token();

    std::string service_uri;
    bool capped = false;
    bool trust_uploads = false;  // lets uploads through to submit(), which must refuse them itself
    bool signs = true;
    std::size_t registered = 0;
    std::size_t signed_results = 0;
    std::size_t refused_results = 0;
    api::Registration last_registration;
    std::vector<std::string> ended_sessions;
    Channel<api::WorkerTask> tasks{16};

  private:
    class Stream;
    Task<Result<api::JobOutput>> give_back(api::Job job, Deadline deadline);
    Task<Result<api::JobOutput>> run_on_worker(api::Job job, Deadline deadline);
    struct Pending {
        OneShot done;
        std::optional<Result<api::WorkOutput>> outcome;
        api::ArtifactSink early;
        api::ProgressSink progress;
        std::map<std::size_t, api::Artifact> delivered;
    };

    Clock& clock_;
    std::map<std::string, Blob, std::less<>> files_;
    std::map<std::int64_t, std::shared_ptr<Pending>> pending_;
    std::int64_t next_task_ = 1;
};

// A transcode job of `profiles` H.264 renditions named p0, p1 ...
api::Job transcode_job(const std::string& manifest_id, Blob input, int profiles);
api::Job ai_job(const std::string& pipeline, const std::string& manifest_id, Blob input);

}  // namespace framegrid::tests
