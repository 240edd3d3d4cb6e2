// A video file cut into segments, several of which are worked on at once: what every command that sends a
// file piece by piece has in common.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <framegrid/app/session.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/media_ffmpeg/segmenter.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::app {

// done in 0..1, and a line of text for a progress bar.
using Progress = std::function<void(double done, const std::string& detail)>;

// On the session's loop; outlives its run().
class SegmentPump {
  public:
    // All that is done with one segment. Called on the loop; what it refers to outlives run().
    using Work = std::function<Task<Result<bool>>(media_ffmpeg::Segment)>;

    SegmentPump(Session& session, Progress progress) : session_(session), progress_(std::move(progress)) {}
    SegmentPump(const SegmentPump&) = delete;
    SegmentPump& operator=(const SegmentPump&) = delete;

    // Wall time is counted from here. Errors: Segmenter::open's.
    Task<Result<bool>> open(host::Path input, media_ffmpeg::SegmenterSettings settings);
    // Of the file; after open().
    const media_ffmpeg::MediaInfo& info() const { return segmenter_->info(); }
    // Every segment through `work`, at most `parallel` at once. The first failure is the result: nothing is
    // cut after it, and what is under way is cancelled. kUnprocessable: no segment in the file.
    Task<Result<bool>> run(Work work, std::size_t parallel);

    // By finished segments, so far.
    double media_seconds() const { return media_done_ms_ / 1000; }
    double wall_seconds() const;

  private:
    Task<Result<bool>> feed(TaskGroup& group);
    Task<void> process(media_ffmpeg::Segment segment);
    void show_progress() const;

    Session& session_;
    Progress progress_;
    std::unique_ptr<media_ffmpeg::Segmenter> segmenter_;
    Work work_;
    std::size_t parallel_ = 1;
    std::size_t in_flight_ = 0;
    std::uint64_t segments_ = 0;
    double media_done_ms_ = 0;
    TimePoint started_{};
    Notifier slot_free_;
    std::optional<Error> error_;
};

}  // namespace framegrid::app
