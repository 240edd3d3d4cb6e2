// The files of a pipeline's request: what they must be, before anybody is asked to work on them.
#pragma once

#include <framegrid/base/bytes.hpp>
#include <framegrid/job/pipelines.hpp>

namespace framegrid::job {

// A picture's size as its header says; reads no pixels. kUnprocessable: not a picture, kTooLarge: over
// `pixels_max`; both with `field`.
Result<media::Size> check_picture(const Blob& file, std::int64_t pixels_max, const std::string& field);
// The same for what a pipeline wants: zero for a video.
Result<media::Size> check_file(
    const FileSpec& kind, const Blob& file, std::int64_t pixels_max, const std::string& field
);
// A mask as the parameter kMaskParameter that it travels as. kTooLarge with `field`.
Result<std::string> mask_parameter(const Blob& mask, const std::string& field);
// The names of a pipeline's files ("image or video"), for errors.
std::string file_names(const PipelineSpec& spec);

}  // namespace framegrid::job
