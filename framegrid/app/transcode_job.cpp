#include <framegrid/app/transcode_job.hpp>

#include <filesystem>
#include <map>

#include <fmt/format.h>

#include <framegrid/media/hls.hpp>
#include <framegrid/media_ffmpeg/assembler.hpp>
#include <framegrid/media_ffmpeg/probe.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::app {

namespace {

using media_ffmpeg::MediaInfo;
using media_ffmpeg::Segment;

struct WrittenSegment {
    std::int64_t duration_ms = 0;
    std::vector<std::int64_t> bytes;  // by profile
};

double fps_of(const MediaInfo& info) {
    return static_cast<double>(info.fps_num) / std::max(1, info.fps_den);
}

class FileTranscode {
  public:
    FileTranscode(
        Session& session, GatewayClient& gateway, TranscodeJobOptions options, Progress progress,
        OnSegment on_segment
    )
        : session_(session),
          gateway_(gateway),
          options_(std::move(options)),
          on_segment_(std::move(on_segment)),
          stream_("file-" + session.random.hex(8)),
          pump_(session, std::move(progress)) {}

    Task<Result<TranscodeReport>> run();

  private:
    Task<Result<bool>> transcode(Segment segment);
    Result<void> write_segment(std::uint64_t seq, const std::vector<Rendition>& renditions);
    Result<TranscodeReport> finish();
    Result<RenditionReport> finish_rendition(std::size_t index);
    Result<void> write_playlist(std::size_t index, RenditionReport& report);
    Result<void> join_segments(std::size_t index, RenditionReport& report);
    std::string file_name(std::size_t index, std::uint64_t seq) const;
    Task<Result<int>> choose_parallel();

    Session& session_;
    GatewayClient& gateway_;
    TranscodeJobOptions options_;
    OnSegment on_segment_;
    std::string stream_;
    std::string configuration_;
    SegmentPump pump_;
    std::map<std::uint64_t, WrittenSegment> written_;
    std::vector<MediaInfo> rendition_info_;
    std::vector<media::HlsVariant> variants_;
};

Task<Result<int>> FileTranscode::choose_parallel() {
    if (options_.parallel > 0) {
        co_return options_.parallel;
    }
    // One more than the network runs at once, so that nobody waits for an upload.
    const int capacity = co_await gateway_.capacity();
    co_return std::clamp(capacity + 1, 2, 64);
}

Task<Result<TranscodeReport>> FileTranscode::run() {
    const media_ffmpeg::SegmenterSettings cut{
        .target_ms = options_.segment_ms, .overlap = true, .hls_sound = true, .any_codec = true
    };
    auto opened = co_await pump_.open(options_.input, cut);
    if (!opened) {
        co_return fail(std::move(opened.error()));
    }
    configuration_ = "{\"profiles\":" + media::format_profiles(options_.profiles) + "}";
    for (const auto& profile : options_.profiles) {
        if (auto made = host::make_dirs(options_.output_dir / profile.name); !made) {
            co_return fail(std::move(made.error()));
        }
    }
    rendition_info_.resize(options_.profiles.size());
    auto parallel = co_await choose_parallel();
    SegmentPump::Work work = [this](Segment segment) { return transcode(std::move(segment)); };
    auto pumped = co_await pump_.run(std::move(work), static_cast<std::size_t>(*parallel));
    if (!pumped) {
        co_return fail(std::move(pumped.error()));
    }
    co_return co_await offload(session_.pool, [&] { return finish(); });
}

Task<Result<bool>> FileTranscode::transcode(Segment segment) {
    const auto seq = static_cast<std::uint64_t>(segment.seq);
    const std::int64_t duration_ms = std::max<std::int64_t>(1, segment.duration_ms);
    SegmentPush push;
    push.stream = stream_;
    push.seq = seq;
    push.bytes = std::move(segment.bytes);
    // What the renditions are to be; what a segment is, its bytes tell.
    push.container = media::Container::kMpegTs;
    push.duration_ms = duration_ms;
    push.clip_to_ms = segment.clip_to_ms;
    push.source = pump_.info().upright_size();
    push.configuration = configuration_;
    const Deadline deadline = Deadline::after(session_.clock, options_.segment_time_max);
    auto renditions = co_await gateway_.push(std::move(push), deadline);
    if (!renditions) {
        co_return fail(std::move(renditions.error()));
    }
    if (renditions->size() != options_.profiles.size()) {
        co_return fail(
            Errc::kProtocol,
            fmt::format("{} renditions for {} profiles", renditions->size(), options_.profiles.size())
        );
    }
    auto wrote = co_await offload(session_.pool, [&] { return write_segment(seq, *renditions); });
    if (!wrote) {
        co_return fail(std::move(wrote.error()));
    }
    WrittenSegment& entry = written_[seq];
    entry.duration_ms = duration_ms;
    for (std::size_t i = 0; i < renditions->size(); ++i) {
        entry.bytes.push_back(static_cast<std::int64_t>((*renditions)[i].bytes.size()));
        if (rendition_info_[i].size.width == 0) {
            if (auto probed = media_ffmpeg::probe((*renditions)[i].bytes)) {
                rendition_info_[i] = std::move(*probed);
            }
        }
    }
    if (on_segment_) {
        on_segment_(written_.size());
    }
    co_return true;
}

Result<void> FileTranscode::write_segment(std::uint64_t seq, const std::vector<Rendition>& renditions) {
    for (std::size_t i = 0; i < renditions.size(); ++i) {
        const auto path = options_.output_dir / options_.profiles[i].name / file_name(i, seq);
        FG_CHECK(host::write_file_atomic(path, renditions[i].bytes.view()));
    }
    return {};
}

std::string FileTranscode::file_name(std::size_t index, std::uint64_t seq) const {
    return fmt::format("{}{}", seq, media::extension_of(options_.profiles[index].container));
}

Result<RenditionReport> FileTranscode::finish_rendition(std::size_t index) {
    RenditionReport report;
    report.name = options_.profiles[index].name;
    report.size = rendition_info_[index].size;
    report.fps = fps_of(rendition_info_[index]);
    report.is_hls = options_.profiles[index].container == media::Container::kMpegTs;
    if (report.is_hls) {
        FG_CHECK(write_playlist(index, report));
    } else {
        FG_CHECK(join_segments(index, report));
    }
    return report;
}

Result<void> FileTranscode::write_playlist(std::size_t index, RenditionReport& report) {
    std::vector<media::HlsSegment> segments;
    for (const auto& [seq, written] : written_) {
        segments.push_back({file_name(index, seq), written.duration_ms, written.bytes[index], false});
        report.bytes += static_cast<std::uint64_t>(written.bytes[index]);
    }
    report.playlist = options_.output_dir / report.name / "index.m3u8";
    FG_CHECK(host::write_file_atomic(report.playlist, as_bytes(media::media_playlist(segments, {}))));
    media::HlsVariant variant;
    variant.uri = report.name + "/index.m3u8";
    variant.bandwidth_bps = media::peak_bandwidth_bps(segments);
    variant.average_bps = media::average_bandwidth_bps(segments);
    variant.size = report.size;
    variant.fps = report.fps;
    variant.codecs = rendition_info_[index].codecs;
    variants_.push_back(std::move(variant));
    return {};
}

// Self-contained MP4 files are no HLS segments: one file of all is what a player takes.
Result<void> FileTranscode::join_segments(std::size_t index, RenditionReport& report) {
    const auto folder = options_.output_dir / report.name;
    report.playlist = folder / "video.mp4";
    auto next = written_.begin();
    FG_TRY(joined, media_ffmpeg::write_mp4(report.playlist.string(), [&]() -> Result<std::optional<Blob>> {
               if (next == written_.end()) {
                   return std::optional<Blob>();
               }
               const auto path = folder / file_name(index, next->first);
               FG_TRY(bytes, host::read_file(path, media::kSegmentBytesMax));
               ++next;
               return std::optional(Blob(std::move(bytes)));
           }));
    report.bytes = static_cast<std::uint64_t>(joined.bytes);
    for (const auto& [seq, written] : written_) {
        std::error_code ignored;
        std::filesystem::remove(folder / file_name(index, seq), ignored);
    }
    return {};
}

Result<TranscodeReport> FileTranscode::finish() {
    TranscodeReport report;
    for (std::size_t i = 0; i < options_.profiles.size(); ++i) {
        FG_TRY(rendition, finish_rendition(i));
        report.renditions.push_back(std::move(rendition));
    }
    if (!variants_.empty()) {
        report.master_playlist = options_.output_dir / "master.m3u8";
        FG_CHECK(host::write_file_atomic(report.master_playlist, as_bytes(media::master_playlist(variants_)))
        );
    }
    report.segments = written_.size();
    report.client_retries = gateway_.retries();
    report.media_seconds = pump_.media_seconds();
    report.wall_seconds = pump_.wall_seconds();
    report.source_frames = static_cast<std::int64_t>(report.media_seconds * fps_of(pump_.info()) + 0.5);
    return report;
}

}  // namespace

Task<Result<TranscodeReport>> transcode_file(
    Session& session, GatewayClient& gateway, TranscodeJobOptions options, Progress progress,
    OnSegment on_segment
) {
    FileTranscode job(session, gateway, std::move(options), std::move(progress), std::move(on_segment));
    co_return co_await job.run();
}

}  // namespace framegrid::app
