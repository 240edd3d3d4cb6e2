// POST /v1/images/generations and /v1/images/edits.
#pragma once

#include <framegrid/rest/openai_api.hpp>

namespace framegrid::rest {

class OpenAiImages {
  public:
    explicit OpenAiImages(OpenAiCommon& common) : common_(common) {}
    void add_routes(Router& router);

  private:
    Task<Answer> generate(Call& call);
    Task<Answer> edit(Call& call);

    // The request's picture and mask become stored files that the document names.
    Task<Result<ImageRequest>> read_edit(Call& call);
    Task<Answer> run(Call& call, ImageRequest request, std::string event_prefix);
    Task<Result<boost::json::array>> pictures(Call& call, ImageRequest request, job::Record record);
    Task<Answer> stream(Call& call, ImageRequest request, job::Record record, std::string event_prefix);
    Task<Result<job::Record>> tell_partial(
        Call& call, int partial_images, std::string id, std::string event_prefix
    );
    Task<Result<void>> write_event(Call& call, std::string name, std::string data);

    OpenAiCommon& common_;
};

}  // namespace framegrid::rest
