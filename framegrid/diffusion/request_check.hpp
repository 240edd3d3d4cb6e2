// What a request may ask of a pipeline.
#pragma once

#include <cstdint>
#include <vector>

#include <framegrid/diffusion/pipeline.hpp>

namespace framegrid::diffusion {

// The request with its sizes filled in and its pictures stretched to them. kInvalidArgument names the field;
// kUnsupported: this model cannot do that.
Result<Request> check_request(const PipelineConfig& config, bool can_encode, Request request);

// kInvalidArgument: the denoiser's sample, as it is declared, has another size than this (checked) request.
Result<void> check_fixed_size(
    const PipelineConfig& config, const std::vector<std::int64_t>& sample_shape, const Request& request
);

}  // namespace framegrid::diffusion
