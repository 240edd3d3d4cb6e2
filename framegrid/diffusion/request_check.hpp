// What a request may ask of a pipeline.
#pragma once

#include <framegrid/diffusion/pipeline.hpp>

namespace framegrid::diffusion {

// The request with its sizes filled in and its pictures stretched to them. kInvalidArgument names the field;
// kUnsupported: this model cannot do that.
Result<Request> check_request(const PipelineConfig& config, bool can_encode, Request request);

}  // namespace framegrid::diffusion
