#include <framegrid/media_ffmpeg/likeness.hpp>

#include <cmath>
#include <cstdlib>
#include <vector>

#include <fmt/format.h>

#include <framegrid/media/sniff.hpp>
#include <framegrid/media_ffmpeg/probe.hpp>
#include <framegrid/media_ffmpeg/still_image.hpp>
#include <framegrid/media_ffmpeg/video_pictures.hpp>

namespace framegrid::media_ffmpeg {
namespace {

constexpr std::int64_t kPicturePixelsMax = 200'000'000;
constexpr std::int64_t kSamples = 8;      // pictures of a video
constexpr std::int64_t kSameTimeMs = 10;  // rounding, never a whole picture
constexpr std::int64_t kFramesSlack = 1;  // encoders differ in what they do with the last one
constexpr std::int64_t kDurationSlackMs = 100;

Likeness differs(std::string how) {
    return {std::move(how), {}};
}

std::string size_text(media::Size size) {
    return fmt::format("{}x{}", size.width, size.height);
}

// What cannot be decoded is the difference that there is.
Likeness quality_or_difference(Result<Quality> quality) {
    if (!quality) {
        return differs("cannot be compared: " + quality.error().message);
    }
    return {{}, *quality};
}

Likeness compare_stills(const Blob& a, const Blob& b) {
    const auto one = decode_still_image(a, kPicturePixelsMax);
    const auto other = decode_still_image(b, kPicturePixelsMax);
    if (!one || !other) {
        return differs("one is damaged: " + (one ? other : one).error().message);
    }
    const media::Size size{one->width, one->height};
    const media::Size other_size{other->width, other->height};
    if (size != other_size) {
        return differs(size_text(size) + " and " + size_text(other_size));
    }
    return quality_or_difference(compare_images(*one, *other));
}

struct Sample {
    std::int64_t at_ms;
    api::RgbImage image;
};

Result<std::vector<Sample>> samples_of(const Blob& video, std::int64_t frames, const api::StopFlag& stop) {
    const std::int64_t step = std::max<std::int64_t>(1, frames / kSamples);
    std::vector<Sample> out;
    std::int64_t index = 0;
    VideoPictures pictures(video, stop);
    FG_CHECK(pictures.read([&](const AVFrame& picture, std::int64_t at_ms) -> Result<bool> {
        if (index++ % step == 0) {
            FG_TRY(image, pictures.rgb(picture));
            out.push_back({at_ms, std::move(image)});
        }
        return std::ssize(out) < kSamples;
    }));
    return out;
}

// Pictures of the same time from each video's first one: where that lies in the file is its encoder's
// business.
Result<Quality> compare_pictures(
    const Blob& a, const Blob& b, std::int64_t frames, const api::StopFlag& stop
) {
    FG_TRY(samples, samples_of(a, frames, stop));
    Quality total;
    double error_sum = 0;
    VideoPictures pictures(b, stop);
    FG_CHECK(pictures.read([&](const AVFrame& picture, std::int64_t at_ms) -> Result<bool> {
        const auto& sample = samples[static_cast<std::size_t>(total.pictures)];
        if (std::abs(at_ms - sample.at_ms) <= kSameTimeMs) {
            FG_TRY(other, pictures.rgb(picture));
            FG_TRY(quality, compare_images(sample.image, other));
            error_sum += std::pow(10.0, -quality.psnr_db / 10.0);
            total.ssim += quality.ssim;
            ++total.pictures;
        }
        return std::cmp_less(total.pictures, samples.size()) && at_ms <= sample.at_ms + kSameTimeMs;
    }));
    if (std::cmp_less(total.pictures, samples.size())) {
        return fail(Errc::kUnprocessable, "their pictures are shown at different times");
    }
    total.ssim /= total.pictures;
    total.psnr_db = -10.0 * std::log10(error_sum / total.pictures);
    return total;
}

Likeness compare_films(const Blob& a, const Blob& b, const api::StopFlag& stop) {
    const auto one = probe(a);
    const auto other = probe(b);
    if (!one || !other) {
        return differs("one is damaged: " + (one ? other : one).error().message);
    }
    if (one->upright_size() != other->upright_size()) {
        return differs(size_text(one->upright_size()) + " and " + size_text(other->upright_size()));
    }
    if (std::abs(one->frames - other->frames) > kFramesSlack) {
        return differs(fmt::format("{} and {} pictures", one->frames, other->frames));
    }
    if (std::abs(one->duration_ms - other->duration_ms) > kDurationSlackMs) {
        return differs(fmt::format("{} and {} ms", one->duration_ms, other->duration_ms));
    }
    return quality_or_difference(compare_pictures(a, b, one->frames, stop));
}

}  // namespace

Result<Likeness> compare_files(const Blob& a, const Blob& b, const api::StopFlag& stop) {
    const bool still = media::still_format(a.view()).has_value();
    const bool other_still = media::still_format(b.view()).has_value();
    const bool film = media::looks_like_video(a.view());
    const bool other_film = media::looks_like_video(b.view());
    if (!still && !film) {
        return fail(Errc::kUnprocessable, "neither a picture nor a video");
    }
    if (still != other_still || film != other_film) {
        return differs("one is a picture or a video, and the other is not");
    }
    return guarded([&]() -> Result<Likeness> {
        return still ? compare_stills(a, b) : compare_films(a, b, stop);
    });
}

}  // namespace framegrid::media_ffmpeg
