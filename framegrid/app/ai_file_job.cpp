#include <framegrid/app/ai_file_job.hpp>

#include <set>

#include <fmt/format.h>

#include <framegrid/host/terminal.hpp>
#include <framegrid/media/sniff.hpp>
#include <framegrid/media_ffmpeg/assembler.hpp>
#include <framegrid/media_ffmpeg/segmenter.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::app {

namespace {

using media_ffmpeg::Segment;
using media_ffmpeg::Segmenter;

constexpr std::size_t kImageBytesMax = 256u << 20;
constexpr std::size_t kSniffBytes = 4096;

class PieceByPiece {
  public:
    PieceByPiece(Session& session, GatewayClient& gateway, AiFileJobOptions options, Progress progress)
        : session_(session),
          gateway_(gateway),
          options_(std::move(options)),
          progress_(std::move(progress)) {}

    Task<Result<AiFileReport>> run();

  private:
    Task<Result<bool>> feed(TaskGroup& group);
    Task<void> process(Segment segment);
    Task<Result<bool>> process_or_fail(Segment segment);
    host::Path piece(std::uint64_t seq) const { return pieces_->path() / std::to_string(seq); }
    Result<void> assemble() const;

    Session& session_;
    GatewayClient& gateway_;
    AiFileJobOptions options_;
    Progress progress_;
    std::unique_ptr<Segmenter> segmenter_;
    std::optional<host::TempDir> pieces_;  // finished segments wait here, not in memory
    std::set<std::uint64_t> done_;
    double media_done_ms_ = 0;
    TimePoint started_{};
    std::size_t parallel_ = 1;
    std::size_t in_flight_ = 0;
    Notifier slot_free_;
    std::optional<Error> error_;
};

Task<Result<AiFileReport>> PieceByPiece::run() {
    started_ = session_.clock.now();
    auto pieces = host::TempDir::make("framegrid-pieces");
    if (!pieces) {
        co_return fail(std::move(pieces.error()));
    }
    pieces_.emplace(std::move(*pieces));
    auto opened = co_await offload(session_.pool, [this] {
        return Segmenter::open(
            options_.input.string(),
            {.target_ms = options_.segment_ms, .reach_next = options_.between_pictures}
        );
    });
    if (!opened) {
        co_return fail(std::move(opened.error()));
    }
    segmenter_ = std::move(*opened);
    const int capacity = options_.parallel > 0 ? options_.parallel : co_await gateway_.capacity();
    parallel_ = static_cast<std::size_t>(std::clamp(capacity, 2, 16));
    TaskGroup group(session_.loop.executor(), parallel_, session_.log);
    auto fed = co_await with_group<bool>(group, feed(group));
    if (error_) {
        co_return fail(std::move(*error_));
    }
    if (!fed) {
        co_return fail(std::move(fed.error()));
    }
    if (done_.empty()) {
        co_return fail(Errc::kUnprocessable, "the file holds no video that can be cut into segments");
    }
    auto assembled = co_await offload(session_.pool, [this] { return assemble(); });
    if (!assembled) {
        co_return fail(std::move(assembled.error()));
    }
    AiFileReport report;
    report.video = true;
    report.segments = done_.size();
    report.client_retries = gateway_.retries();
    report.media_seconds = media_done_ms_ / 1000;
    report.wall_seconds = std::chrono::duration<double>(session_.clock.now() - started_).count();
    std::error_code ignored;
    report.bytes = std::filesystem::file_size(options_.output, ignored);
    co_return report;
}

Task<Result<bool>> PieceByPiece::feed(TaskGroup& group) {
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

Task<void> PieceByPiece::process(Segment segment) {
    auto done = co_await process_or_fail(std::move(segment));
    if (!done && !error_) {
        error_ = std::move(done.error());
    }
    --in_flight_;
    slot_free_.notify_all();
}

Task<Result<bool>> PieceByPiece::process_or_fail(Segment segment) {
    const auto seq = static_cast<std::uint64_t>(segment.seq);
    AiCall call{options_.pipeline, options_.parameters, "video", std::move(segment.bytes), {}};
    if (segment.reaches_next) {
        call.parameters.emplace_back("open_end", "true");
    }
    const Deadline deadline = Deadline::after(session_.clock, options_.item_time_max);
    auto done = co_await gateway_.run_ai(std::move(call), deadline);
    if (!done) {
        co_return fail(std::move(done.error()).with_context(fmt::format("segment {}", seq)));
    }
    auto wrote = co_await offload(session_.pool, [&] {
        return host::write_file_atomic(piece(seq), done->files.front().bytes.view());
    });
    if (!wrote) {
        co_return fail(std::move(wrote.error()));
    }
    done_.insert(seq);
    media_done_ms_ += static_cast<double>(segment.duration_ms);
    if (progress_) {
        const auto& info = segmenter_->info();
        const double wall = std::chrono::duration<double>(session_.clock.now() - started_).count();
        const double total_ms = std::max<double>(1, static_cast<double>(info.duration_ms));
        const double speed = media_done_ms_ / 1000 / std::max(wall, 1e-3);
        const double left = std::max(0.0, (total_ms - media_done_ms_) / 1000) / std::max(speed, 1e-3);
        progress_(
            std::min(1.0, media_done_ms_ / total_ms),
            fmt::format(
                "{:.1f} fps, {:.2f}x real time, ETA {}", speed * info.fps_num / std::max(1, info.fps_den),
                speed, host::format_seconds(left)
            )
        );
    }
    co_return true;
}

Result<void> PieceByPiece::assemble() const {
    auto next = done_.begin();
    FG_TRY(written, media_ffmpeg::write_mp4(options_.output.string(), [&]() -> Result<std::optional<Blob>> {
               if (next == done_.end()) {
                   return std::optional<Blob>();
               }
               FG_TRY(bytes, host::read_file(piece(*next++), std::size_t{4} << 30));
               return std::optional<Blob>(Blob(std::move(bytes)));
           }));
    (void)written;
    return {};
}

Task<Result<AiFileReport>> run_picture(Session& session, GatewayClient& gateway, AiFileJobOptions options) {
    const TimePoint started = session.clock.now();
    auto file = host::read_file(options.input, kImageBytesMax);
    if (!file) {
        co_return fail(std::move(file.error()));
    }
    AiCall call{options.pipeline, options.parameters, "image", Blob(std::move(*file)), {}};
    const Deadline deadline = Deadline::after(session.clock, options.item_time_max);
    auto done = co_await gateway.run_ai(std::move(call), deadline);
    if (!done) {
        co_return fail(std::move(done.error()));
    }
    const Blob& bytes = done->files.front().bytes;
    auto wrote = host::write_file_atomic(options.output, bytes.view());
    if (!wrote) {
        co_return fail(std::move(wrote.error()));
    }
    AiFileReport report;
    report.client_retries = gateway.retries();
    report.bytes = bytes.size();
    report.wall_seconds = std::chrono::duration<double>(session.clock.now() - started).count();
    co_return report;
}

}  // namespace

Task<Result<AiFileReport>> run_ai_file(
    Session& session, GatewayClient& gateway, AiFileJobOptions options, Progress progress
) {
    auto head = host::read_head(options.input, kSniffBytes);
    if (!head) {
        co_return fail(std::move(head.error()));
    }
    if (!media::looks_like_video(*head)) {
        co_return co_await run_picture(session, gateway, std::move(options));
    }
    PieceByPiece job(session, gateway, std::move(options), std::move(progress));
    co_return co_await job.run();
}

}  // namespace framegrid::app
