// The bodies of the AI routes (AI API section 2): JSON, or a form with files, checked against the pipeline's
// table.
#pragma once

#include <framegrid/http/multipart.hpp>
#include <framegrid/job/pipelines.hpp>

namespace framegrid::rest {

struct AiRequest {
    job::Parameters parameters;
    Blob file;           // empty: the pipeline has no input
    media::Size size{};  // of an input picture, as its header says
};

// Fields may come in any order; unknown ones are ignored; declared types of files are ignored, content is
// looked at. kInvalidArgument or kUnprocessable with the field's name. Cheap: reads headers, not pixels.
Result<AiRequest> read_ai_form(
    const job::PipelineSpec& spec, const std::vector<http::Part>& parts, std::int64_t image_pixels_max
);

// For pipelines without files. kInvalidArgument when the pipeline needs one.
Result<AiRequest> read_ai_json(const job::PipelineSpec& spec, std::string_view body);

}  // namespace framegrid::rest
