// /v1/videos: every durable job that makes a video from text or a picture, in OpenAI's form.
#pragma once

#include <framegrid/rest/openai_api.hpp>

namespace framegrid::rest {

class OpenAiVideos {
  public:
    explicit OpenAiVideos(OpenAiCommon& common) : common_(common) {}
    void add_routes(Router& router);

  private:
    Task<Answer> create(Call& call);
    Task<Answer> list(Call& call);
    Task<Answer> show(Call& call);
    Task<Answer> erase(Call& call);
    Task<Answer> content(Call& call);

    Task<Result<job::Document>> read_document(Call& call);
    // kNotFound: no such job, no video, or one whose file was deleted.
    Task<Result<job::Record>> find(Call& call);
    Task<Result<std::vector<job::Record>>> newest(Call& call, OpenAiPage page);
    // The stored result of a job; kNotFound when it has none (any more).
    Task<Result<job::ArtifactRecord>> result_of(Call& call, job::Record record);
    Task<Result<boost::json::object>> described(Call& call, job::Record record);
    Task<int> progress_of(job::Record record);

    OpenAiCommon& common_;
};

}  // namespace framegrid::rest
