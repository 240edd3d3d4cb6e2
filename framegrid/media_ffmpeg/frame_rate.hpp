// Private: which pictures are encoded, and when they are shown.
#pragma once

#include <functional>

#include <framegrid/media_ffmpeg/av.hpp>

namespace framegrid::media_ffmpeg {

// Passes pictures through with strictly rising times, or drops and repeats them to a constant rate: at each
// tick of the output clock the newest picture not after it is shown. Ticks count from time 0 of the source,
// so the segments of a stream meet without a gap.
class FrameRate {
  public:
    // A picture to show at `pts` (in time_base()). The same picture, with the same serial, may come several
    // times.
    struct Shown {
        const AVFrame& picture;
        std::int64_t serial;
        std::int64_t pts;
        std::int64_t duration;
    };
    using Emit = std::function<Result<void>(const Shown& shown)>;

    // rate 0/1: pass through.
    FrameRate(AVRational source_time_base, AVRational rate);
    AVRational time_base() const { return out_; }

    // kUnprocessable "Encoded frames runaway" when far more comes out than went in.
    Result<void> push(FramePtr picture, const Emit& emit);
    // The source ends: repeats the last picture up to its own end.
    Result<void> finish(const Emit& emit);

  private:
    Result<void> emit_until(std::int64_t end, const Emit& emit, bool stop_at_limit);

    AVRational in_;
    AVRational out_;
    bool passthrough_;
    FramePtr held_;
    std::int64_t held_serial_ = 0;
    std::int64_t next_ = 0;
    std::int64_t last_ = AV_NOPTS_VALUE;
    std::int64_t pushed_ = 0;
    std::int64_t emitted_ = 0;
};

}  // namespace framegrid::media_ffmpeg
