// An AI request as a job of the gateway, whichever door it came through.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <framegrid/gateway/gateway.hpp>
#include <framegrid/job/pipelines.hpp>

namespace framegrid::gateway {

// The model that a request uses: the one it names, else `defaults`' for the pipeline, else the table's.
std::string model_for(
    const job::PipelineSpec& spec, std::string wanted, const std::map<std::string, std::string>& defaults
);
// Pipelines and their models, from texts as PIPELINE=MODEL; of several for a pipeline the last one counts.
// kInvalidArgument names "default-model".
Result<std::map<std::string, std::string>> read_default_models(const std::vector<std::string>& texts);
// A seed for a request that names none: 1 to 2^32 - 1, as peers draw it.
std::int64_t draw_seed(Random& random);
// kNotFound: nobody has ever offered this model, so waiting would not help; `field` is at fault.
Result<void> check_model(
    const Gateway& gateway, const job::PipelineSpec& spec, const std::string& model_id, std::string field
);
// Without input and parameters.
JobRequest make_ai_request(const job::PipelineSpec& spec, const std::string& model_id);

// A request with its files, and what it is paid by; of videos the pixels of all their pictures are not known
// here.
struct AiJob {
    JobRequest request;
    Pixels units;
};
// `parameters`: a JSON object; `files` by the names of the pipeline's files, "mask" among them. Pictures over
// `pixels_max` are kTooLarge. Errors name the field ("inputs.image").
Result<AiJob> make_ai_job(
    const job::PipelineSpec& spec, const std::string& model_id, std::string_view parameters,
    std::map<std::string, Blob> files, std::int64_t pixels_max
);

}  // namespace framegrid::gateway
