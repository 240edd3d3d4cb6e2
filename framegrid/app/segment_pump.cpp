#include <framegrid/app/segment_pump.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <framegrid/host/terminal.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::app {

using media_ffmpeg::Segment;
using media_ffmpeg::Segmenter;

Task<Result<bool>> SegmentPump::open(host::Path input, media_ffmpeg::SegmenterSettings settings) {
    started_ = session_.clock.now();
    auto opened = co_await offload(session_.pool, [&] { return Segmenter::open(input.string(), settings); });
    if (!opened) {
        co_return fail(std::move(opened.error()));
    }
    segmenter_ = std::move(*opened);
    co_return true;
}

Task<Result<bool>> SegmentPump::run(Work work, std::size_t parallel) {
    work_ = std::move(work);
    parallel_ = parallel;
    TaskGroup group(session_.loop.executor(), parallel_, session_.log);
    auto fed = co_await with_group<bool>(group, feed(group));
    if (error_) {
        co_return fail(std::move(*error_));
    }
    if (fed && segments_ == 0) {
        co_return fail(Errc::kUnprocessable, "the file holds no video that can be cut into segments");
    }
    co_return fed;
}

Task<Result<bool>> SegmentPump::feed(TaskGroup& group) {
    for (;;) {
        while (!error_ && in_flight_ >= parallel_) {
            co_await slot_free_.wait();
        }
        if (error_) {
            co_return false;
        }
        auto segment = co_await offload(session_.pool, [this] { return segmenter_->next(); });
        if (!segment) {
            co_return fail(std::move(segment.error()));
        }
        if (!*segment) {
            break;
        }
        ++in_flight_;
        FG_ASSERT(group.spawn(process(std::move(**segment))));
    }
    while (!error_ && in_flight_ > 0) {
        co_await slot_free_.wait();
    }
    co_return true;
}

Task<void> SegmentPump::process(Segment segment) {
    const auto seq = segment.seq;
    const auto duration_ms = static_cast<double>(std::max<std::int64_t>(1, segment.duration_ms));
    auto done = co_await work_(std::move(segment));
    if (done) {
        ++segments_;
        media_done_ms_ += duration_ms;
        show_progress();
    } else if (!error_) {
        error_ = std::move(done.error()).with_context(fmt::format("segment {}", seq));
    }
    --in_flight_;
    slot_free_.notify_all();
}

double SegmentPump::wall_seconds() const {
    return std::chrono::duration<double>(session_.clock.now() - started_).count();
}

void SegmentPump::show_progress() const {
    if (!progress_) {
        return;
    }
    const double total_ms = std::max<double>(1, static_cast<double>(info().duration_ms));
    const double speed = media_seconds() / std::max(wall_seconds(), 1e-3);
    const double left = std::max(0.0, (total_ms - media_done_ms_) / 1000) / std::max(speed, 1e-3);
    const double fps = speed * info().fps_num / std::max(1, info().fps_den);
    progress_(
        std::min(1.0, media_done_ms_ / total_ms),
        fmt::format(
            "{:.{}f} fps, {:.2f}x real time, ETA {}", fps, fps < 10 ? 1 : 0, speed, host::format_seconds(left)
        )
    );
}

}  // namespace framegrid::app
