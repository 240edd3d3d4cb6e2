// /v1/jobs: durable jobs over HTTP (docs/jobs.md).
#pragma once

#include <framegrid/api/artifact_index.hpp>
#include <framegrid/api/job_store.hpp>
#include <framegrid/api/objects.hpp>
#include <framegrid/api/stored_files.hpp>
#include <framegrid/api/uploads.hpp>
#include <framegrid/gateway/job_desk.hpp>
#include <framegrid/gateway/job_work.hpp>
#include <framegrid/gateway/workflow_work.hpp>
#include <framegrid/rest/object_sweep.hpp>
#include <framegrid/rest/router.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::rest {

// What durable jobs need. The references outlive whoever has them.
struct JobPorts {
    gateway::JobDesk& desk;
    api::JobStore& store;
    api::Objects& objects;
    api::ArtifactIndex& artifacts;
    gateway::JobWork& singles;
    gateway::WorkflowWork& workflows;
    gateway::WorkSettings work;
    api::Uploads* uploads = nullptr;      // nullptr: there is no /v1/uploads
    Bytes url_secret = {};                // signs URLs of files; empty: one that ends with this process
    api::ObjectUpkeep* upkeep = nullptr;  // nullptr: bytes stay when their last record goes
    ObjectSweepSettings sweep = {};
};

struct JobsApiSettings {
    std::size_t body_bytes_max = 310'000'000;      // of a submission with its files
    std::size_t listeners_max = 20'000;            // open event streams
    Duration wait_max = std::chrono::minutes(10);  // of Prefer: wait
    Duration upload_time_max = std::chrono::minutes(5);
    Duration quote_time_max = std::chrono::minutes(2);  // inputs are read for it
    std::string public_url;                             // as RestSettings
};

// Lives as long as the Rest.
class JobsApi {
  public:
    JobsApi(JobPorts ports, WorkPool& pool, Clock& clock, Random& random, JobsApiSettings settings);
    void add_routes(Router& router);

    // For other forms of the same API. A job of the caller's; the errors of JobDesk::submit().
    Task<Result<api::Submitted>> accept(Call& call, job::Document document);
    // kNotFound: there is none, or it is somebody else's.
    Task<Result<job::Record>> find(Call& call, std::string id);
    // The record when the job is over, or at that time.
    Task<Result<job::Record>> wait_for(std::string id, TimePoint until);
    // The status of what accept() refuses.
    static int refusal_status(const Error& error);

  private:
    Task<Answer> submit(Call& call);
    Task<Answer> quote(Call& call);
    Task<Answer> list(Call& call);
    Task<Answer> show(Call& call);
    Task<Answer> cancel(Call& call);
    Task<Answer> events(Call& call);
    Task<Answer> deliveries(Call& call);

    Task<Result<job::Document>> read_document(Call& call);
    Task<std::string> request_digest(Call& call, job::Document document);
    Task<Result<std::string>> read_form(Call& call, std::string boundary);
    Task<Result<void>> tell(Call& call, job::Record record, std::uint64_t number);
    Answer job_answer(const Call& call, const job::Record& record, int status) const;
    std::string described(const Call& call, const job::Record& record) const;

    JobPorts ports_;
    WorkPool& pool_;
    Clock& clock_;
    Random& random_;
    const JobsApiSettings settings_;
    api::StoredFiles files_;
    std::size_t listeners_ = 0;
};

}  // namespace framegrid::rest
