// Private: decoding one video stream to upright, progressive pictures in system memory.
#pragma once

#include <framegrid/media_ffmpeg/av.hpp>
#include <framegrid/media_ffmpeg/hardware.hpp>

struct AVFilterGraph;
struct AVFilterContext;

namespace framegrid::media_ffmpeg {

// What FFmpeg can decode and this network accepts.
bool is_supported_input(AVCodecID codec);

// Rotation of a display matrix in degrees clockwise, a multiple of 90 in 0..270.
int rotation_of(const std::int32_t* matrix);
// The stream's display matrix, or nullptr.
const std::int32_t* display_matrix_of(const AVCodecParameters& parameters);

// Turns pictures upright and weaves interlaced ones; free for pictures that need neither.
class PictureFilter {
  public:
    PictureFilter() = default;
    PictureFilter(const PictureFilter&) = delete;
    PictureFilter& operator=(const PictureFilter&) = delete;
    ~PictureFilter();

    // True when pictures with these properties must go through push()/pull().
    static bool needed(const AVFrame& frame, const std::int32_t* stream_matrix);
    Result<void> push(FramePtr frame, const std::int32_t* stream_matrix, AVRational time_base);
    // No more input before reset(): what is inside comes out of pull().
    void finish();
    // nullptr: nothing ready.
    FramePtr pull();
    void reset();

  private:
    Result<void> build(const AVFrame& frame, const std::string& chain, AVRational time_base);

    AVFilterGraph* graph_ = nullptr;
    AVFilterContext* source_ = nullptr;
    AVFilterContext* sink_ = nullptr;
    AVRational time_base_{0, 1};  // of what comes in, and of what goes out
    std::string key_;
};

// One decoder that lives across the segments of a session.
class VideoDecoder {
  public:
    // kUnsupported: "Decoder not found". Which codecs the network takes is the callers' question.
    static Result<std::unique_ptr<VideoDecoder>> open(
        const AVCodecParameters& parameters, AVRational time_base, int threads, const Hardware* hardware
    );
    // Whether a stream with these parameters can go on with this decoder.
    bool fits(const AVCodecParameters& parameters) const;

    // Feeds one packet (nullptr: the end). Damaged packets are skipped.
    Result<void> send(const AVPacket* packet);
    // The next picture, or nullptr when more input is needed (or all is out). Timestamps in the stream's time
    // base.
    Result<FramePtr> receive();
    // Ready for the next segment.
    void flush();

  private:
    VideoDecoder() = default;
    static AVPixelFormat choose_format(AVCodecContext* context, const AVPixelFormat* formats);

    CodecPtr codec_;
    ParametersPtr parameters_;
};

}  // namespace framegrid::media_ffmpeg
