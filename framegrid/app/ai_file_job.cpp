#include <framegrid/app/ai_file_job.hpp>

#include <algorithm>
#include <set>

#include <framegrid/media/sniff.hpp>
#include <framegrid/media_ffmpeg/assembler.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::app {

namespace {

using media_ffmpeg::Segment;

constexpr std::size_t kImageBytesMax = 256u << 20;
constexpr std::size_t kSniffBytes = 4096;

class PieceByPiece {
  public:
    PieceByPiece(Session& session, GatewayClient& gateway, AiFileJobOptions options, Progress progress)
        : session_(session),
          gateway_(gateway),
          options_(std::move(options)),
          pump_(session, std::move(progress)) {}

    Task<Result<AiFileReport>> run();

  private:
    Task<Result<bool>> process(Segment segment);
    host::Path piece(std::uint64_t seq) const { return pieces_->path() / std::to_string(seq); }
    Result<void> assemble() const;

    Session& session_;
    GatewayClient& gateway_;
    AiFileJobOptions options_;
    SegmentPump pump_;
    std::optional<host::TempDir> pieces_;  // finished segments wait here, not in memory
    std::set<std::uint64_t> done_;
};

Task<Result<AiFileReport>> PieceByPiece::run() {
    auto pieces = host::TempDir::make("framegrid-pieces");
    if (!pieces) {
        co_return fail(std::move(pieces.error()));
    }
    pieces_.emplace(std::move(*pieces));
    const media_ffmpeg::SegmenterSettings cut{
        .target_ms = options_.segment_ms, .reach_next = options_.between_pictures, .any_codec = true
    };
    auto opened = co_await pump_.open(options_.input, cut);
    if (!opened) {
        co_return fail(std::move(opened.error()));
    }
    const int capacity = options_.parallel > 0 ? options_.parallel : co_await gateway_.capacity();
    SegmentPump::Work work = [this](Segment segment) { return process(std::move(segment)); };
    auto pumped = co_await pump_.run(std::move(work), static_cast<std::size_t>(std::clamp(capacity, 2, 16)));
    if (!pumped) {
        co_return fail(std::move(pumped.error()));
    }
    auto assembled = co_await offload(session_.pool, [this] { return assemble(); });
    if (!assembled) {
        co_return fail(std::move(assembled.error()));
    }
    AiFileReport report;
    report.video = true;
    report.segments = done_.size();
    report.client_retries = gateway_.retries();
    report.media_seconds = pump_.media_seconds();
    report.wall_seconds = pump_.wall_seconds();
    std::error_code ignored;
    report.bytes = std::filesystem::file_size(options_.output, ignored);
    co_return report;
}

Task<Result<bool>> PieceByPiece::process(Segment segment) {
    const auto seq = static_cast<std::uint64_t>(segment.seq);
    AiCall call{options_.pipeline, options_.parameters, "video", std::move(segment.bytes), {}};
    if (segment.reaches_next) {
        call.parameters.emplace_back("open_end", "true");
    }
    const Deadline deadline = Deadline::after(session_.clock, options_.item_time_max);
    auto done = co_await gateway_.run_ai(std::move(call), deadline);
    if (!done) {
        co_return fail(std::move(done.error()));
    }
    auto wrote = co_await offload(session_.pool, [&] {
        return host::write_file_atomic(piece(seq), done->files.front().bytes.view());
    });
    if (!wrote) {
        co_return fail(std::move(wrote.error()));
    }
    done_.insert(seq);
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
