// Transcoding with FFmpeg's libraries: one decoder feeding all renditions, segments in memory from end to
// end.
#pragma once

#include <memory>
#include <string>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/base/log.hpp>

namespace framegrid::media_ffmpeg {

struct TranscoderSettings {
    std::string preset = "medium";  // of the software encoders
    std::string tune;               // "", "zerolatency", "film" ...
    int encoder_threads = 1;        // per rendition; renditions run in parallel anyway
    int decoder_threads = 1;
    std::string hw = "none";            // "none", "nvidia", "vaapi", "auto" (the first that opens)
    std::string hw_device;              // "" or what FFmpeg calls the device
    std::size_t sessions_max = 8;       // kept between segments; the least recently used goes first
    std::size_t frames_queued_max = 8;  // decoded pictures waiting for one rendition
    // For segments whose renditions are wanted early: the pictures of one segment that wait in memory while
    // the first rendition goes ahead of the others.
    std::size_t early_bytes_max = std::size_t{256} << 20;
    Logger log{};  // told once what of the hardware is used
};

// For processes that do nothing but codec work, once at their start: the C library keeps freed pictures
// instead of returning them to the system and clearing them again for the next segment (3 % less processor
// time).
void keep_freed_memory();

class FfmpegTranscoder final : public api::Transcoder {
  public:
    // kUnsupported: the hardware asked for does not open.
    static Result<std::unique_ptr<FfmpegTranscoder>> open(TranscoderSettings settings);
    ~FfmpegTranscoder() override;

    // Safe to call from several threads. Segments of one session in parallel work, but only one keeps its
    // codecs.
    Result<api::WorkOutput> transcode(
        const std::string& session_id, const api::TranscodeWork& work, const Blob& segment,
        const api::StopFlag& stop, const api::ArtifactSink& early
    ) override;
    void end_session(const std::string& session_id) override;

    std::size_t session_count() const;

  private:
    struct State;
    explicit FfmpegTranscoder(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace framegrid::media_ffmpeg
