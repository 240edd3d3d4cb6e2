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
};

// "none", "nvidia", "vaapi" or "auto" (the first that opens, else none); `device` may name one ("1",
// "/dev/dri/..."). kInvalidArgument: unknown name; kUnsupported: the named hardware does not open.
Result<Hardware> open_hardware(const std::string& name, const std::string& device);

}  // namespace framegrid::media_ffmpeg
