// /v1/files and /v1/models, and what says that other routes of OpenAI's are not here yet.
#pragma once

#include <framegrid/rest/openai_api.hpp>

namespace framegrid::rest {

class OpenAiFiles {
  public:
    explicit OpenAiFiles(OpenAiCommon& common) : common_(common) {}
    void add_routes(Router& router);

  private:
    Task<Answer> upload(Call& call);
    Task<Answer> list(Call& call);
    Task<Answer> show(Call& call);
    Task<Answer> erase(Call& call);
    Task<Answer> content(Call& call);
    Task<Answer> models(Call& call);
    Task<Answer> model(Call& call);
    Task<Answer> not_here_yet(Call& call);

    OpenAiCommon& common_;
};

}  // namespace framegrid::rest
