// Cutting a file into segments at its keyframes, without re-encoding the video where that can be done.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <framegrid/base/bytes.hpp>
#include <framegrid/media_ffmpeg/probe.hpp>

namespace framegrid::media_ffmpeg {

struct SegmenterSettings {
    std::int64_t target_ms = media::kSegmentMsDefault;
    // Each segment also holds the picture that the next one starts with: for work between neighbours.
    bool reach_next = false;
    // Pictures of an open GOP that need both sides of a cut stay before it, with the picture behind the cut
    // that they need: see Segment::clip_to_ms. Not with reach_next.
    bool overlap = false;
    // Sound that players do not take from MPEG-TS (MP2, Opus) becomes AAC, too.
    bool hls_sound = false;
    // Video in codecs that the network does not take is re-encoded without loss (FFV1) instead of refused:
    // for files that their owner cuts.
    bool any_codec = false;
};

struct Segment {
    std::int64_t seq = 0;  // from 0
    Blob bytes;
    std::string content_type;   // "video/mp2t", or what takes the codec: "video/mp4", "video/quicktime",
                                // "video/x-matroska"
    std::int64_t start_ms = 0;  // of its first picture, from the file's first picture
    std::int64_t duration_ms = 0;
    bool starts_with_keyframe = true;
    // Nothing before it is needed to decode it. Not so where a group of pictures is open: some that follow
    // its keyframe are shown before that, and need what came before.
    bool independent = true;
    bool reaches_next = false;  // its last picture is the next one's first
    // Pictures from here on, counted from its first one, are the next segment's; 0: none. With overlap only.
    std::int64_t clip_to_ms = 0;
};

// Pull-style; holds one segment at a time, never the file. One thread at a time.
class Segmenter {
  public:
    // kNotFound/kIo: no such file; kUnprocessable "TranscoderInvalidVideo": not media, or no video in it.
    static Result<std::unique_ptr<Segmenter>> open(const std::string& path, SegmenterSettings settings = {});
    // The same for a file in memory.
    static Result<std::unique_ptr<Segmenter>> open(Blob file, SegmenterSettings settings = {});
    ~Segmenter();

    // Of the whole file, from its headers: duration and frames may be estimates.
    const MediaInfo& info() const;
    // The next segment, nothing at the end. Segments keep the file's time line (moved so that it starts
    // at 2 s), so they can be joined again. A file whose first keyframe is its only one for over 300 s or 300
    // MB is re-encoded without loss, to be cut anywhere; kTooLarge: that happened further on.
    Result<std::optional<Segment>> next();

  private:
    struct State;
    explicit Segmenter(std::unique_ptr<State> state);
    static Result<std::unique_ptr<Segmenter>> open(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace framegrid::media_ffmpeg
