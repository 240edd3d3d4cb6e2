// Private: MediaInfo of an opened container, from its headers alone.
#pragma once

#include <framegrid/media_ffmpeg/av.hpp>
#include <framegrid/media_ffmpeg/probe.hpp>

namespace framegrid::media_ffmpeg {

MediaInfo describe(const Input& input);

}  // namespace framegrid::media_ffmpeg
