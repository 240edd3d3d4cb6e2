// Private: demuxes and decodes one segment, hands its pictures on and collects its audio.
#pragma once

#include <functional>

#include <framegrid/api/work.hpp>
#include <framegrid/media_ffmpeg/rendition.hpp>
#include <framegrid/media_ffmpeg/video_decoder.hpp>

namespace framegrid::media_ffmpeg {

// What was found out about a session's first MPEG-TS segment. Finding it out decodes some twenty pictures, so
// the segments that follow with the same streams do without.
struct KnownStreams {
    struct Stream {
        int id;
        AVCodecID codec;
        bool operator==(const Stream&) const = default;
    };
    std::vector<Stream> streams;
    int video = -1;
    int audio = -1;
    ParametersPtr video_parameters;
    ParametersPtr audio_parameters;
    AVRational frame_rate{30, 1};
};

// What a stream keeps between its segments.
struct Session {
    std::optional<KnownStreams> known;
    std::unique_ptr<VideoDecoder> decoder;
    std::vector<std::unique_ptr<Scaler>> scalers;  // one per rendition
    bool had_video = false;
};

class SegmentDecoder {
  public:
    // False: nobody wants pictures any more.
    using Sink = std::function<bool(const AVFrame& picture)>;

    // Finds the streams, opens or reuses the session's decoder and fills `run` with what renditions must
    // know. kUnprocessable "TranscoderInvalidVideo": there is no video at all.
    static Result<std::unique_ptr<SegmentDecoder>> open(
        const Blob& segment, Session& session, SegmentRun& run, int threads, const Hardware& hardware
    );
    // Decodes everything inside `clip`. Returns the decoded pixels. kCancelled; kUnprocessable "No keyframes
    // in input".
    Result<Pixels> decode(const std::optional<api::Clip>& clip, const Sink& sink);
    bool has_video() const { return video_ != nullptr; }

  private:
    SegmentDecoder(Session& session, SegmentRun& run) : session_(session), run_(run) {}
    // Picks the streams and tells of their parameters, from the session's memory or from the segment.
    Result<AVRational> choose_streams();
    bool recall();
    void remember(AVRational frame_rate);
    Result<bool> drain(const Sink& sink);
    Result<bool> deliver(FramePtr picture, const Sink& sink);
    void repair_time(AVFrame& picture);
    void clip_audio();
    Result<void> fit_audio();

    Session& session_;
    SegmentRun& run_;
    std::unique_ptr<Input> input_;
    AVStream* video_ = nullptr;
    AVStream* audio_ = nullptr;
    const std::int32_t* matrix_ = nullptr;
    PictureFilter filter_;
    bool filtering_ = false;
    std::optional<api::Clip> clip_;
    std::int64_t first_pts_ = AV_NOPTS_VALUE;
    std::int64_t last_pts_ = AV_NOPTS_VALUE;
    std::int64_t step_ = 1;
    std::int64_t pixels_ = 0;
    std::int64_t pictures_ = 0;
};

}  // namespace framegrid::media_ffmpeg
