// What running a durable job means: inputs from the stores, the work on the network, results back into them.
#pragma once

#include <map>
#include <memory>
#include <string>

#include <framegrid/api/artifact_index.hpp>
#include <framegrid/api/media_operations.hpp>
#include <framegrid/api/media_probe.hpp>
#include <framegrid/api/objects.hpp>
#include <framegrid/api/result_index.hpp>
#include <framegrid/gateway/gateway.hpp>
#include <framegrid/gateway/job_desk.hpp>
#include <framegrid/gateway/verification.hpp>
#include <framegrid/job/document.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::gateway {

// Port: fetches an input that a job names by its URL.
class InputFetcher {
  public:
    virtual ~InputFetcher() = default;
    // kForbidden: the address is one that jobs may not use; kTooLarge over `limit` bytes; kUnavailable.
    virtual Task<Result<Blob>> fetch(std::string url, std::size_t limit, Deadline deadline) = 0;
};

struct WorkSettings {
    std::map<std::string, std::string> default_models{};        // pipeline -> model; others as the table says
    std::size_t input_bytes_max = 300'000'000;                  // that are in memory
    std::uint64_t transfer_bytes_max = api::kTransferBytesMax;  // of stored files that need not be
    std::int64_t image_pixels_max = 100'000'000;                // as declared by the picture's header
    Duration artifact_life = std::chrono::hours(24 * 7);
    Duration store_time_max = std::chrono::minutes(2);  // for each access to a stored file
    std::size_t items_max = 16;                         // of one workflow at once
    std::size_t segments_max = 8;                       // of one video that is transcoded at once
    Duration wait_first = std::chrono::seconds(1);      // when nobody could do a step; doubles up to wait_max
    Duration wait_max = std::chrono::seconds(15);
};

struct WorkPorts {
    Clock& clock;
    Random& random;
    Logger log;
    Gateway& gateway;
    api::Objects& objects;
    api::ArtifactIndex& artifacts;
    api::ResultIndex& results;
    InputFetcher& fetcher;
    api::MediaProbe& probe;
    api::MediaOperations& operations;
    WorkPool& pool;
    VerificationStats& verified;  // counted here
};

// Chooses what a document leaves open, so that a job that is run again does the same: model and seed.
void settle_document(job::Document& document, const WorkSettings& settings, Random& random);

// Runs single jobs. Results:
// {"outputs":[{"artifact","content_type","bytes","sha256","seed","nsfw"}],"run":{"model",
// "model_digest","steps","runtime_ms","units","price","wei","lost_wei","orchestrator","attempts"}}. `wei` is
// the bill: what was paid for attempts that a crash cut off (`lost_wei`), and for both runs of a job that is
// verified, included. What came of a verification is told as the event "verification".
class JobWork : public JobRunner {
  public:
    // What such a job may cost at most, at the prices of now: {"wei","units","price":{"wei","units"}}, and
    // "runs" where there are two.
    // kNotFound: nobody has ever offered its model. kUnavailable: nobody offers it now, or only above the
    // document's price.
    virtual Task<Result<std::string>> quote(std::string owner, job::Document document, Deadline deadline) = 0;
};
std::unique_ptr<JobWork> make_job_work(WorkPorts ports, WorkSettings settings);

}  // namespace framegrid::gateway
