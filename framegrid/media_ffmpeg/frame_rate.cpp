#include <framegrid/media_ffmpeg/frame_rate.hpp>

#include <algorithm>

extern "C" {
#include <libavutil/mathematics.h>
}

namespace framegrid::media_ffmpeg {
namespace {

constexpr std::int64_t kRunawayFactor = 25;

}  // namespace

FrameRate::FrameRate(AVRational source_time_base, AVRational rate)
    : in_(source_time_base),
      out_(rate.num > 0 ? av_inv_q(rate) : source_time_base),
      passthrough_(rate.num <= 0) {}

Result<void> FrameRate::emit_until(std::int64_t end, const Emit& emit, bool stop_at_limit) {
    while (next_ < end) {
        if (emitted_ >= kRunawayFactor * pushed_) {
            if (stop_at_limit) {
                return {};
            }
            return fail(Errc::kUnprocessable, "Encoded frames runaway");
        }
        ++emitted_;
        FG_CHECK(emit({*held_, held_serial_, next_++, 1}));
    }
    return {};
}

Result<void> FrameRate::push(FramePtr picture, const Emit& emit) {
    ++pushed_;
    if (passthrough_) {
        std::int64_t pts = picture->pts;
        if (last_ != AV_NOPTS_VALUE && pts <= last_) {
            pts = last_ + 1;
        }
        last_ = pts;
        return emit({*picture, pushed_, pts, picture->duration});
    }
    const std::int64_t pts = av_rescale_q_rnd(
        picture->pts, in_, out_, static_cast<AVRounding>(AV_ROUND_NEAR_INF | AV_ROUND_PASS_MINMAX)
    );
    if (held_) {
        FG_CHECK(emit_until(pts, emit, false));
    } else {
        next_ = pts;
    }
    held_ = std::move(picture);
    held_serial_ = pushed_;
    return {};
}

Result<void> FrameRate::finish(const Emit& emit) {
    if (passthrough_ || !held_) {
        return {};
    }
    const std::int64_t end = av_rescale_q_rnd(
        held_->pts + std::max<std::int64_t>(0, held_->duration), in_, out_, AV_ROUND_NEAR_INF
    );
    // Even a segment shorter than one tick shows something.
    return emit_until(std::max(end, emitted_ == 0 ? next_ + 1 : next_), emit, true);
}

}  // namespace framegrid::media_ffmpeg
