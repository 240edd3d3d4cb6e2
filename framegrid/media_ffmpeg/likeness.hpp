// Whether two files that were made apart show the same.
#pragma once

#include <string>

#include <framegrid/media_ffmpeg/quality.hpp>

namespace framegrid::media_ffmpeg {

struct Likeness {
    std::string difference;  // of their forms, for a person: "320x180 and 640x360"; empty: none
    Quality quality;         // of one against the other; nothing, where the forms differ
};

// Two pictures, or two videos: their forms, then their pictures (of videos some, spread over them). What
// cannot be read in one of them is a difference. Blocking. kUnprocessable: neither a picture nor a video.
Result<Likeness> compare_files(const Blob& a, const Blob& b, const api::StopFlag& stop);

}  // namespace framegrid::media_ffmpeg
