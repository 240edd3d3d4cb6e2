#include <framegrid/app/demo_checks.hpp>

#include <fmt/format.h>

#include <framegrid/media_ffmpeg/contact_sheet.hpp>
#include <framegrid/media_ffmpeg/media_codec.hpp>
#include <framegrid/media_ffmpeg/probe.hpp>
#include <framegrid/media_ffmpeg/quality.hpp>
#include <framegrid/media_ffmpeg/segmenter.hpp>

namespace framegrid::app {

namespace {

constexpr std::size_t kFileBytesMax = std::size_t{4} << 30;
constexpr int kSamplesPerSegment = 2;
constexpr std::uint64_t kCompareEvery =
    3;  // segments: decoding all of them again would take as long as the demo

Result<Blob> read_blob(const host::Path& path) {
    FG_TRY(bytes, host::read_file(path, kFileBytesMax));
    return Blob(std::move(bytes));
}

}  // namespace

Result<std::vector<RenditionCheck>> check_renditions(
    const TranscodeJobOptions& job, const TranscodeReport& report, std::int64_t& source_pictures
) {
    std::vector<RenditionCheck> checks(job.profiles.size());
    std::vector<int> compared(job.profiles.size());
    FG_TRY(
        segmenter,
        media_ffmpeg::Segmenter::open(job.input.string(), {.target_ms = job.segment_ms, .any_codec = true})
    );
    source_pictures = 0;
    for (;;) {
        FG_TRY(segment, segmenter->next());
        if (!segment) {
            break;
        }
        FG_TRY(source, media_ffmpeg::probe(segment->bytes));
        source_pictures += source.frames;
        for (std::size_t i = 0; i < job.profiles.size(); ++i) {
            const auto& profile = job.profiles[i];
            const auto path = job.output_dir / profile.name /
                              fmt::format("{}{}", segment->seq, media::extension_of(profile.container));
            FG_TRY(rendition, read_blob(path));
            FG_TRY(info, media_ffmpeg::probe(rendition));
            auto& check = checks[i];
            check.name = profile.name;
            ++check.segments;
            check.pictures += info.frames;
            if (static_cast<std::uint64_t>(segment->seq) % kCompareEvery == 0) {
                FG_TRY(quality, media_ffmpeg::compare_videos(segment->bytes, rendition, kSamplesPerSegment));
                check.psnr_db += quality.psnr_db;
                check.ssim += quality.ssim;
                ++compared[i];
            }
        }
    }
    for (std::size_t i = 0; i < checks.size(); ++i) {
        checks[i].psnr_db /= std::max(1, compared[i]);
        checks[i].ssim /= std::max(1, compared[i]);
        if (checks[i].segments != report.segments) {
            return fail(Errc::kInternal, "segments differ between the two cuts of the same file");
        }
    }
    return checks;
}

Result<UpscaleCheck> check_upscale(
    const host::Path& source, const host::Path& small, const host::Path& upscaled, const host::Path& sheet
) {
    FG_TRY(source_blob, read_blob(source));
    FG_TRY(small_blob, read_blob(small));
    FG_TRY(upscaled_blob, read_blob(upscaled));
    FG_TRY(info, media_ffmpeg::probe(upscaled_blob));
    UpscaleCheck check;
    check.size = info.upright_size();
    check.pictures = info.frames;
    std::vector<media_ffmpeg::SheetTile> tiles;
    int samples = 0;
    for (const std::int64_t at_ms : {500, 1500}) {
        FG_TRY(original, media_ffmpeg::picture_at(source_blob, at_ms));
        FG_TRY(before, media_ffmpeg::picture_at(small_blob, at_ms));
        FG_TRY(after, media_ffmpeg::picture_at(upscaled_blob, at_ms));
        const media::Size size{after.width, after.height};
        FG_TRY(reference, media_ffmpeg::resize(original, size));
        FG_TRY(bicubic, media_ffmpeg::resize(before, size));
        FG_TRY(model_quality, media_ffmpeg::compare_images(reference, after));
        FG_TRY(bicubic_quality, media_ffmpeg::compare_images(reference, bicubic));
        check.psnr_db += model_quality.psnr_db;
        check.psnr_bicubic_db += bicubic_quality.psnr_db;
        ++samples;
        tiles.push_back({fmt::format("source {}x{}", original.width, original.height), std::move(reference)});
        tiles.push_back({fmt::format("before: {}x{}", before.width, before.height), std::move(before)});
        tiles.push_back({fmt::format("bicubic {:.2f} dB", bicubic_quality.psnr_db), std::move(bicubic)});
        tiles.push_back({fmt::format("after: 2x {:.2f} dB", model_quality.psnr_db), std::move(after)});
    }
    check.psnr_db /= samples;
    check.psnr_bicubic_db /= samples;
    FG_TRY(picture, media_ffmpeg::contact_sheet(tiles, {.columns = 2, .tile_width = 852, .pixelated = true}));
    FG_TRY(png, media_ffmpeg::FfmpegMediaCodec().encode_image(picture, api::ImageFormat::kPng, 100));
    FG_CHECK(host::write_file_atomic(sheet, png.view()));
    return check;
}

}  // namespace framegrid::app
