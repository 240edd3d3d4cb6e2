// Image-to-video whose result is asked for later, as gateways of the other make have it: another form of
// durable jobs.
#pragma once

#include <framegrid/rest/ai_jobs.hpp>
#include <framegrid/rest/openai_api.hpp>

namespace framegrid::rest {

// What the references name outlives it.
class AsyncVideos {
  public:
    AsyncVideos(AiJobs& ai_jobs, OpenAiCommon& common) : ai_jobs_(ai_jobs), common_(common) {}
    void add_routes(Router& router);

    // "Prefer: respond-async" on the only route that has this.
    static bool is_wanted(const Call& call, const job::PipelineSpec& spec);
    // 202 {"request_id"}: a job's id.
    Task<Answer> submit(Call& call, const job::PipelineSpec& spec);

  private:
    // 202 {"status":"processing"}, 200 {"status":"complete","result":{"images"} or {"error":{"message"}}};
    // 400: there is no such job of the caller's.
    Task<Answer> result(Call& call);
    Task<Result<job::Record>> find(Call& call);
    boost::json::object images_of(const Call& call, const job::Record& record) const;

    AiJobs& ai_jobs_;
    OpenAiCommon& common_;
};

}  // namespace framegrid::rest
