#include <framegrid/media_ffmpeg/operations.hpp>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>

#include <fmt/format.h>

#include <framegrid/media/hls.hpp>
#include <framegrid/media_ffmpeg/assembler.hpp>
#include <framegrid/media_ffmpeg/contact_sheet.hpp>
#include <framegrid/media_ffmpeg/media_codec.hpp>
#include <framegrid/media_ffmpeg/rgb_video.hpp>
#include <framegrid/media_ffmpeg/segmenter.hpp>
#include <framegrid/media_ffmpeg/still_image.hpp>
#include <framegrid/media_ffmpeg/video_pictures.hpp>

namespace framegrid::media_ffmpeg {
namespace {

constexpr int kLookWidth = 64;  // pixels; cuts are seen at this size
constexpr int kLookHeight = 36;
constexpr double kFullChange = 100;  // mean difference of 8-bit values that counts as 1
constexpr std::size_t kHeldBytesMax = 1'500'000'000;
constexpr std::size_t kSegmentsMax = 4'096;
constexpr int kSheetQuality = 90;
constexpr int kSheetSideMax = 4'096;

std::unexpected<Error> cancelled() {
    return fail(Errc::kCancelled, "cancelled");
}

api::Artifact file_of(std::string name, std::string content_type, Blob bytes) {
    return {std::move(name), std::move(content_type), std::move(bytes), {}, {}};
}

api::Artifact text_file(std::string name, std::string_view text) {
    return file_of(std::move(name), "application/vnd.apple.mpegurl", Blob::copy_of(text));
}

Result<std::vector<Segment>> cut(
    const Blob& video, std::int64_t segment_ms, bool overlap, const api::StopFlag& stop
) {
    FG_TRY(segmenter, Segmenter::open(video, {.target_ms = segment_ms, .overlap = overlap}));
    std::vector<Segment> out;
    for (;;) {
        if (stop.load(std::memory_order_relaxed)) {
            return cancelled();
        }
        FG_TRY(next, segmenter->next());
        if (!next) {
            return out;
        }
        if (out.size() >= kSegmentsMax) {
            return fail(Errc::kTooLarge, "over " + std::to_string(kSegmentsMax) + " segments");
        }
        out.push_back(std::move(*next));
    }
}

std::string extension_of(api::ImageFormat format) {
    return format == api::ImageFormat::kPng ? ".png" : format == api::ImageFormat::kJpeg ? ".jpg" : ".webp";
}

std::string content_type_of(api::ImageFormat format) {
    return format == api::ImageFormat::kPng    ? "image/png"
           : format == api::ImageFormat::kJpeg ? "image/jpeg"
                                               : "image/webp";
}

// Mean difference of two small pictures, 0 to 255.
double difference(const api::RgbImage& a, const api::RgbImage& b) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < a.pixels.size(); ++i) {
        sum += std::abs(int{a.pixels[i]} - int{b.pixels[i]});
    }
    return static_cast<double>(sum) / static_cast<double>(a.pixels.size());
}

// How much a picture looks like the first one of a scene, 0 to 1. Steady motion changes each picture by as
// much as the one before: only what goes beyond that counts.
class SceneChange {
  public:
    double next(api::RgbImage image) {
        const double change = last_.pixels.empty() ? 0 : difference(image, last_);
        const double beyond = std::min(change, std::abs(change - last_change_));
        last_ = std::move(image);
        last_change_ = change;
        return std::clamp(beyond / kFullChange, 0.0, 1.0);
    }

  private:
    api::RgbImage last_;
    double last_change_ = 0;
};

// One rendition of a playlist: its segments as files, and its line of the master playlist.
Result<media::HlsVariant> add_rendition(
    const Blob& video, const std::string& folder, std::int64_t segment_ms, const api::StopFlag& stop,
    std::vector<api::Artifact>& files
) {
    FG_TRY(info, probe(video));
    FG_TRY(segments, cut(video, segment_ms, false, stop));
    std::vector<media::HlsSegment> listed;
    const bool independent = std::ranges::all_of(segments, &Segment::independent);
    for (auto& segment : segments) {
        if (segment.content_type != "video/mp2t") {
            return fail(
                Errc::kUnsupported, "HLS segments are MPEG-TS, which does not carry " + info.video_codec
            );
        }
        const std::string name = fmt::format("segment-{:05}.ts", segment.seq);
        listed.push_back({name, segment.duration_ms, static_cast<std::int64_t>(segment.bytes.size()), false});
        files.push_back(file_of(fmt::format("{}/{}", folder, name), "video/mp2t", std::move(segment.bytes)));
    }
    const auto playlist = media::media_playlist(listed, {.independent = independent});
    files.push_back(text_file(folder + "/index.m3u8", playlist));
    media::HlsVariant variant;
    variant.independent = independent;
    variant.uri = folder + "/index.m3u8";
    variant.bandwidth_bps = media::peak_bandwidth_bps(listed);
    variant.average_bps = media::average_bandwidth_bps(listed);
    variant.size = info.upright_size();
    variant.codecs = info.codecs;
    variant.fps = info.fps_num > 0 ? static_cast<double>(info.fps_num) / info.fps_den : 0;
    return variant;
}

// The pictures that are shown at these times.
class FrameTaker {
  public:
    FrameTaker(
        const Blob& video, const std::vector<std::int64_t>& times_ms, api::ImageFormat format,
        const api::StopFlag& stop
    )
        : pictures_(video, stop), times_ms_(times_ms), format_(format) {}

    Result<std::vector<api::Artifact>> take() {
        FG_CHECK(pictures_.read([this](const AVFrame& picture, std::int64_t at_ms) {
            return look(picture, at_ms);
        }));
        FG_CHECK(put_before(std::nullopt));
        return std::move(out_);
    }

  private:
    // False: no more are wanted.
    Result<bool> look(const AVFrame& picture, std::int64_t at_ms) {
        FG_CHECK(put_before(at_ms));
        shown_.reset(av_frame_clone(&picture));
        if (shown_ == nullptr) {
            throw std::bad_alloc();
        }
        return out_.size() < times_ms_.size();
    }
    // The picture that is shown, for each time up to the next picture's; nullopt: none comes.
    Result<void> put_before(std::optional<std::int64_t> at_ms) {
        while (shown_ != nullptr && out_.size() < times_ms_.size() &&
               (!at_ms || times_ms_[out_.size()] < *at_ms)) {
            FG_TRY(image, pictures_.rgb(*shown_));
            FG_TRY(bytes, encode_still_image(image, format_, kSheetQuality));
            out_.push_back(file_of(
                fmt::format("frame-{:05}{}", out_.size(), extension_of(format_)), content_type_of(format_),
                std::move(bytes)
            ));
        }
        return {};
    }

    VideoPictures pictures_;
    const std::vector<std::int64_t>& times_ms_;
    api::ImageFormat format_;
    FramePtr shown_;  // the picture before the one that comes
    std::vector<api::Artifact> out_;
};

}  // namespace

Result<std::vector<api::Artifact>> split(
    const Blob& video, std::int64_t segment_ms, bool overlap, const api::StopFlag& stop
) {
    return guarded([&]() -> Result<std::vector<api::Artifact>> {
        FG_TRY(segments, cut(video, segment_ms, overlap, stop));
        std::vector<api::Artifact> out;
        for (auto& segment : segments) {
            const auto clip = overlap ? fmt::format(".{}", segment.clip_to_ms) : std::string();
            out.push_back(file_of(
                fmt::format("segment-{:05}{}", segment.seq, clip), segment.content_type,
                std::move(segment.bytes)
            ));
        }
        return out;
    });
}

Result<api::Artifact> join(
    const std::vector<Blob>& segments, api::VideoFormat format, const api::StopFlag& stop
) {
    return guarded([&]() -> Result<api::Artifact> {
        const bool is_mp4 = format == api::VideoFormat::kMp4;
        FG_TRY(bytes, join_in_memory(segments, format, stop));
        return file_of(
            is_mp4 ? "video.mp4" : "video.webm", is_mp4 ? "video/mp4" : "video/webm", std::move(bytes)
        );
    });
}

Result<std::vector<std::int64_t>> scene_cuts(
    const Blob& video, double threshold, std::size_t count_max, const api::StopFlag& stop
) {
    return guarded([&]() -> Result<std::vector<std::int64_t>> {
        VideoPictures pictures(video, stop);
        SceneChange change;
        std::vector<std::int64_t> out;
        FG_CHECK(pictures.read([&](const AVFrame& picture, std::int64_t at_ms) -> Result<bool> {
            FG_TRY(small, pictures.rgb(picture, {kLookWidth, kLookHeight}));
            if (const double score = change.next(std::move(small)); out.empty() || score > threshold) {
                out.push_back(at_ms);
            }
            return out.size() < count_max;
        }));
        return out;
    });
}

Result<std::vector<api::Artifact>> frames_at(
    const Blob& video, const std::vector<std::int64_t>& times_ms, api::ImageFormat format,
    const api::StopFlag& stop
) {
    return guarded([&] { return FrameTaker(video, times_ms, format, stop).take(); });
}

Result<api::Artifact> picture_sheet(
    const std::vector<Blob>& pictures, int columns, int tile_width, api::ImageFormat format,
    const api::StopFlag& stop
) {
    return guarded([&]() -> Result<api::Artifact> {
        std::vector<SheetTile> tiles;
        for (const auto& picture : pictures) {
            if (stop.load(std::memory_order_relaxed)) {
                return cancelled();
            }
            FG_TRY(image, decode_still_image(picture, kPixelsMax));
            // Small at once: hundreds of large pictures would not fit.
            const int width = std::min(tile_width, image.width);
            const auto height =
                std::clamp<std::int64_t>(std::int64_t{image.height} * width / image.width, 1, kSheetSideMax);
            FG_TRY(small, FfmpegMediaCodec().resize(image, {width, static_cast<int>(height)}));
            tiles.push_back({std::to_string(tiles.size() + 1), std::move(small)});
        }
        FG_TRY(sheet, contact_sheet(tiles, {.columns = columns, .tile_width = tile_width}));
        FG_TRY(bytes, encode_still_image(sheet, format, kSheetQuality));
        return file_of("sheet" + extension_of(format), content_type_of(format), std::move(bytes));
    });
}

Result<std::vector<api::Artifact>> hls(
    const std::vector<Blob>& renditions, std::int64_t segment_ms, const api::StopFlag& stop
) {
    return guarded([&]() -> Result<std::vector<api::Artifact>> {
        std::vector<api::Artifact> files;
        std::vector<media::HlsVariant> variants;
        std::map<std::string, int> folders;
        for (const auto& rendition : renditions) {
            FG_TRY(info, probe(rendition));
            std::string folder = std::to_string(info.upright_size().height) + "p";
            if (const int before = folders[folder]++; before > 0) {
                folder += "-" + std::to_string(before + 1);
            }
            FG_TRY(variant, add_rendition(rendition, folder, segment_ms, stop, files));
            variants.push_back(std::move(variant));
        }
        files.insert(files.begin(), text_file("master.m3u8", media::master_playlist(variants)));
        return files;
    });
}

Result<api::Artifact> loop(const Blob& video, bool there_and_back, const api::StopFlag& stop) {
    return guarded([&]() -> Result<api::Artifact> {
        VideoPictures pictures(video, stop);
        std::vector<api::RgbImage> frames;
        std::size_t held = 0;
        FG_CHECK(pictures.read([&](const AVFrame& picture, std::int64_t /*at_ms*/) -> Result<bool> {
            FG_TRY(image, pictures.rgb(picture));
            held += image.pixels.size() * (there_and_back ? 2 : 1);
            if (held > kHeldBytesMax) {
                return fail(Errc::kTooLarge, "the video is too long or too large for a loop");
            }
            frames.push_back(std::move(image));
            return true;
        }));
        if (there_and_back) {
            for (std::size_t i = frames.size() - 1; i > 1; --i) {
                frames.push_back(frames[i - 1]);
            }
        }
        return encode_frames({}, frames, pictures.frame_rate(), api::VideoFormat::kWebm, stop);
    });
}

}  // namespace framegrid::media_ffmpeg
