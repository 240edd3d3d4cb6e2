// Private: the optional GPU of a codec session.
#pragma once

#include <string>

#include <framegrid/media_ffmpeg/av.hpp>

namespace framegrid::media_ffmpeg {

// An opened GPU, or none. Frames always cross the pipeline in system memory, so every codec mix works.
struct Hardware {
    enum class Kind : std::uint8_t { kNone, kNvidia, kVaapi };
    Kind kind = Kind::kNone;
    BufferPtr device;
    // Whether it encodes, too. GPUs made for computing (A100, H100, H200) only decode.
    bool encodes = false;
};

// "none", "nvidia", "vaapi" or "auto" (the first that opens, else none); `device` may name one ("1",
// "/dev/dri/..."). kInvalidArgument: unknown name; kUnsupported: the named hardware does not open.
Result<Hardware> open_hardware(const std::string& name, const std::string& device);

}  // namespace framegrid::media_ffmpeg
