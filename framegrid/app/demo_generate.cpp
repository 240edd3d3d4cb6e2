#include <framegrid/app/demo_generate.hpp>

#include <cmath>

#include <fmt/format.h>

#include <framegrid/host/terminal.hpp>
#include <framegrid/media_ffmpeg/contact_sheet.hpp>
#include <framegrid/media_ffmpeg/media_codec.hpp>
#include <framegrid/media_ffmpeg/probe.hpp>
#include <framegrid/media_ffmpeg/quality.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::app {

namespace {

constexpr const char* kCaption = "a red ball rolls left over blue";
constexpr const char* kSeed = "1";
constexpr int kSheetColumns = 8;
constexpr double kMoveMin = 0.1;  // of the width

// The middle of what is red, as a part of the width; negative when nothing is.
double red_place(const api::RgbImage& image) {
    double sum = 0;
    std::int64_t count = 0;
    for (int y = 0; y < image.height; ++y) {
        for (int x = 0; x < image.width; ++x) {
            const auto at = (static_cast<std::size_t>(y) * static_cast<std::size_t>(image.width) +
                             static_cast<std::size_t>(x)) *
                            3;
            if (image.pixels[at] > image.pixels[at + 2] + 60) {
                sum += x;
                ++count;
            }
        }
    }
    const bool enough = count > std::int64_t{image.width} * image.height / 500;
    return enough ? sum / static_cast<double>(count) / image.width : -1;
}

Result<std::vector<api::RgbImage>> pictures_of(
    const Blob& video, const media_ffmpeg::MediaInfo& info, int count
) {
    std::vector<api::RgbImage> pictures;
    for (int i = 0; i < count; ++i) {
        const std::int64_t at_ms = info.duration_ms * (2 * i + 1) / (2 * count);
        FG_TRY(picture, media_ffmpeg::picture_at(video, at_ms));
        pictures.push_back(std::move(picture));
    }
    return pictures;
}

// Looks at both videos, draws the sheet, and writes everything down.
Result<void> judge(const Blob& before, const Blob& after, const host::Path& output, GeneratedVideo& made) {
    FG_TRY(info, media_ffmpeg::probe(before));
    FG_TRY(info_out, media_ffmpeg::probe(after));
    made.pictures = info.frames;
    made.pictures_out = info_out.frames;
    made.size = info.upright_size();
    made.size_out = info_out.upright_size();
    made.bytes = after.size();
    FG_TRY(small, pictures_of(before, info, kSheetColumns));
    FG_TRY(large, pictures_of(after, info_out, 2 * kSheetColumns));
    const double first = red_place(small.front());
    const double last = red_place(small.back());
    made.checks.push_back(
        {"the generated ball rolls left", first - last >= kMoveMin && last >= 0,
         fmt::format("from {:.0f} % to {:.0f} % of the width", first * 100, last * 100)}
    );
    made.checks.push_back(
        {"twice the size and the pictures",
         made.size_out == media::Size{made.size.width * 2, made.size.height * 2} &&
             made.pictures_out == 2 * made.pictures,
         fmt::format(
             "{}x{}, {} pictures to {}x{}, {}", made.size.width, made.size.height, made.pictures,
             made.size_out.width, made.size_out.height, made.pictures_out
         )}
    );
    std::vector<media_ffmpeg::SheetTile> tiles;
    for (auto& picture : small) {
        tiles.push_back({"generated", std::move(picture)});
    }
    for (auto& picture : large) {
        tiles.push_back({"2x size, 2x rate", std::move(picture)});
    }
    FG_TRY(
        sheet, media_ffmpeg::contact_sheet(
                   tiles, {.columns = kSheetColumns, .tile_width = made.size_out.width, .pixelated = true}
               )
    );
    FG_TRY(png, media_ffmpeg::FfmpegMediaCodec().encode_image(sheet, api::ImageFormat::kPng, 100));
    FG_CHECK(host::write_file_atomic(output / "generated.png", png.view()));
    return host::write_file_atomic(output / "generated.mp4", after.view());
}

}  // namespace

Task<Result<GeneratedVideo>> generate_video(Session& session, GatewayClient& gateway, host::Path output) {
    GeneratedVideo made;
    made.caption = kCaption;
    const TimePoint began = session.clock.now();
    const Deadline deadline = Deadline::after(session.clock, std::chrono::minutes(5));
    host::ProgressBar bar("generate ");
    const std::vector<AiCall> steps = {
        {"text-to-video", {{"prompt", kCaption}, {"seed", kSeed}}, "", {}, {}},
        {"upscale", {{"model_id", "framegrid/sr-2x"}}, "video", {}, {}},
        {"frame-interpolation", {{"multiplier", "2"}}, "video", {}, {}},
    };
    Blob first;
    Blob current;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        AiCall call = steps[i];
        bar.update(static_cast<double>(i) / static_cast<double>(steps.size()), call.pipeline);
        call.file = current;
        auto result = co_await gateway.run_ai(std::move(call), deadline);
        if (!result) {
            co_return fail(std::move(result.error()).with_context(steps[i].pipeline));
        }
        current = result->files.front().bytes;
        first = i == 0 ? current : first;
    }
    made.seconds = std::chrono::duration<double>(session.clock.now() - began).count();
    bar.finish(host::format_seconds(made.seconds));
    auto judged = co_await offload(session.pool, [&] { return judge(first, current, output, made); });
    if (!judged) {
        co_return fail(std::move(judged.error()));
    }
    co_return made;
}

}  // namespace framegrid::app
