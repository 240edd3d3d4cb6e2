// POST /{pipeline}: the AI API's batch routes (section 2), and the pipelines of ours that it never had.
#pragma once

#include <framegrid/base/log.hpp>
#include <framegrid/gateway/gateway.hpp>
#include <framegrid/rest/ai_request.hpp>
#include <framegrid/rest/results_store.hpp>
#include <framegrid/rest/router.hpp>
#include <framegrid/rest/settings.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::rest {

class AiJobs {
  public:
    AiJobs(
        gateway::Gateway& gateway, ResultsStore& results, WorkPool& pool, Clock& clock, Random& random,
        AiSettings settings, Duration upload_time_max, std::string public_url, Logger log
    );
    // {"images":[{"url","seed","nsfw"}],"framegrid":{...}} with absolute URLs; the bytes themselves when
    // there is one result and Accept asks for its type.
    Task<Answer> post(Call& call, const job::PipelineSpec& spec);

    // The body of such a request, checked.
    Task<Result<AiRequest>> read_request(Call& call, const job::PipelineSpec& spec);

  private:
    gateway::JobRequest make_job(const job::PipelineSpec& spec, AiRequest request, std::int64_t seed) const;
    void log_done(
        const Call& call, const job::PipelineSpec& spec, const gateway::JobResult& result, TimePoint began,
        Pixels units
    ) const;
    Answer answer(Call& call, std::vector<api::Artifact> artifacts, std::string described, std::int64_t seed);
    Result<std::string> store(Call& call, api::Artifact artifact, std::string_view content_type);

    gateway::Gateway& gateway_;
    ResultsStore& results_;
    WorkPool& pool_;
    Clock& clock_;
    Random& random_;
    const AiSettings settings_;
    const Duration upload_time_max_;
    const std::string public_url_;
    Logger log_;
};

}  // namespace framegrid::rest
