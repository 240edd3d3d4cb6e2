#include <framegrid/media_ffmpeg/quality.hpp>

#include <cmath>

extern "C" {
#include <libavutil/mathematics.h>
}

#include <framegrid/media_ffmpeg/rgb.hpp>
#include <framegrid/media_ffmpeg/segment_decoder.hpp>

namespace framegrid::media_ffmpeg {
namespace {

constexpr int kWindow = 8;
constexpr int kStep = 4;
constexpr AVRational kTicks{1, 90'000};

std::vector<float> brightness(const api::RgbImage& image) {
    std::vector<float> luma(image.pixels.size() / 3);
    for (std::size_t i = 0; i < luma.size(); ++i) {
        luma[i] = 0.299F * image.pixels[3 * i] + 0.587F * image.pixels[3 * i + 1] +
                  0.114F * image.pixels[3 * i + 2];
    }
    return luma;
}

// Structural similarity of one window of two pictures of the same width.
double window_ssim(const float* a, const float* b, int stride, int width, int height) {
    double sum_a = 0;
    double sum_b = 0;
    double sum_aa = 0;
    double sum_bb = 0;
    double sum_ab = 0;
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            const double va = a[y * stride + x];
            const double vb = b[y * stride + x];
            sum_a += va;
            sum_b += vb;
            sum_aa += va * va;
            sum_bb += vb * vb;
            sum_ab += va * vb;
        }
    }
    constexpr double kC1 = 0.01 * 255 * 0.01 * 255;
    constexpr double kC2 = 0.03 * 255 * 0.03 * 255;
    const double n = width * height;
    const double mean_a = sum_a / n;
    const double mean_b = sum_b / n;
    const double var_a = sum_aa / n - mean_a * mean_a;
    const double var_b = sum_bb / n - mean_b * mean_b;
    const double covariance = sum_ab / n - mean_a * mean_b;
    return (2 * mean_a * mean_b + kC1) * (2 * covariance + kC2) /
           ((mean_a * mean_a + mean_b * mean_b + kC1) * (var_a + var_b + kC2));
}

double ssim_of(const api::RgbImage& a, const api::RgbImage& b) {
    const std::vector<float> luma_a = brightness(a);
    const std::vector<float> luma_b = brightness(b);
    const int width = std::min(kWindow, a.width);
    const int height = std::min(kWindow, a.height);
    double sum = 0;
    std::int64_t windows = 0;
    for (int y = 0; y + height <= a.height; y += kStep) {
        for (int x = 0; x + width <= a.width; x += kStep) {
            const std::ptrdiff_t at = std::ptrdiff_t{y} * a.width + x;
            sum += window_ssim(luma_a.data() + at, luma_b.data() + at, a.width, width, height);
            ++windows;
        }
    }
    return sum / static_cast<double>(std::max<std::int64_t>(1, windows));
}

double psnr_of(double mean_square_error) {
    return mean_square_error <= 0 ? 100.0
                                  : std::min(100.0, 10.0 * std::log10(255.0 * 255.0 / mean_square_error));
}

// Decodes a segment and shows each picture with its time in 1/90000 s, until `look` returns false.
Result<void> look_through(
    const Blob& video, const std::function<Result<bool>(const AVFrame& picture, std::int64_t ticks)>& look
) {
    const api::StopFlag stop{false};
    const Hardware hardware;
    Session session;
    SegmentRun run;
    run.hardware = &hardware;
    run.stop = &stop;
    FG_TRY(decoder, SegmentDecoder::open(video, session, run, 1, hardware));
    Result<bool> looked = true;
    const auto decoded = decoder->decode(std::nullopt, [&](const AVFrame& picture) {
        looked = look(picture, av_rescale_q(picture.pts, run.time_base, kTicks));
        return looked.has_value() && *looked;
    });
    if (!looked) {
        return fail(std::move(looked).error());
    }
    if (!decoded && *looked) {
        return fail(decoded.error());
    }
    return {};
}

struct Sample {
    std::int64_t ticks;
    api::RgbImage image;
};

Result<Quality> compare_decoded(const Blob& source, const Blob& rendition, int samples) {
    std::vector<std::int64_t> times;
    FG_CHECK(look_through(rendition, [&](const AVFrame&, std::int64_t ticks) -> Result<bool> {
        times.push_back(ticks);
        return true;
    }));
    const auto count = static_cast<std::int64_t>(times.size());
    const std::int64_t step = std::max<std::int64_t>(1, count / std::clamp(samples, 1, 64));
    std::vector<Sample> picked;
    std::int64_t index = 0;
    Scaler scaler;
    FG_CHECK(look_through(rendition, [&](const AVFrame& picture, std::int64_t ticks) -> Result<bool> {
        if (index++ % step == 0) {
            FG_TRY(image, to_rgb(scaler, picture, {picture.width, picture.height}));
            picked.push_back({ticks, std::move(image)});
        }
        return static_cast<int>(picked.size()) < std::clamp(samples, 1, 64);
    }));
    Quality total;
    double error_sum = 0;
    constexpr std::int64_t kSameTime = 900;  // 10 ms: rounding, never a whole picture
    std::size_t next = 0;
    FG_CHECK(look_through(source, [&](const AVFrame& picture, std::int64_t ticks) -> Result<bool> {
        while (next < picked.size() && picked[next].ticks < ticks - kSameTime) {
            ++next;
        }
        if (next == picked.size()) {
            return false;
        }
        if (picked[next].ticks > ticks + kSameTime) {
            return true;
        }
        const api::RgbImage& made = picked[next++].image;
        FG_TRY(wanted, to_rgb(scaler, picture, {made.width, made.height}));
        FG_TRY(quality, compare_images(wanted, made));
        error_sum += 255.0 * 255.0 / std::pow(10.0, quality.psnr_db / 10.0);
        total.ssim += quality.ssim;
        ++total.pictures;
        return true;
    }));
    if (total.pictures == 0) {
        return fail(Errc::kUnprocessable, "the videos have no pictures of the same time");
    }
    total.ssim /= total.pictures;
    total.psnr_db = psnr_of(error_sum / total.pictures);
    return total;
}

}  // namespace

Result<Quality> compare_images(const api::RgbImage& a, const api::RgbImage& b) {
    if (a.width != b.width || a.height != b.height || a.width <= 0 || a.pixels.size() != b.pixels.size() ||
        a.pixels.size() != static_cast<std::size_t>(a.width) * static_cast<std::size_t>(a.height) * 3) {
        return fail(Errc::kInvalidArgument, "the pictures differ in size");
    }
    double error = 0;
    for (std::size_t i = 0; i < a.pixels.size(); ++i) {
        const int difference = int{a.pixels[i]} - int{b.pixels[i]};
        error += difference * difference;
    }
    return Quality{psnr_of(error / static_cast<double>(a.pixels.size())), ssim_of(a, b), 1};
}

Result<Quality> compare_videos(const Blob& source, const Blob& rendition, int samples) {
    try {
        return compare_decoded(source, rendition, samples);
    } catch (const std::exception& error) {
        return fail(Errc::kInternal, std::string("out of memory: ") + error.what());
    }
}

Result<api::RgbImage> picture_at(const Blob& video, std::int64_t at_ms) {
    try {
        api::RgbImage image;
        Scaler scaler;
        std::int64_t first = INT64_MIN;
        FramePtr last;
        FG_CHECK(look_through(video, [&](const AVFrame& picture, std::int64_t ticks) -> Result<bool> {
            first = first == INT64_MIN ? ticks : first;
            last.reset(av_frame_clone(&picture));
            return ticks - first < at_ms * 90;
        }));
        if (!last) {
            return fail(Errc::kUnprocessable, "there are no pictures in the video");
        }
        return to_rgb(scaler, *last, {last->width, last->height});
    } catch (const std::exception& error) {
        return fail(Errc::kInternal, std::string("out of memory: ") + error.what());
    }
}

Result<api::RgbImage> resize(const api::RgbImage& image, media::Size size) {
    FG_CHECK(check_size(size.width, size.height));
    if (size.width <= 0 || size.height <= 0) {
        return fail(Errc::kInvalidArgument, "a picture needs a size");
    }
    try {
        FG_TRY(frame, from_rgb(image));
        Scaler scaler;
        return to_rgb(scaler, *frame, size);
    } catch (const std::exception& error) {
        return fail(Errc::kInternal, std::string("out of memory: ") + error.what());
    }
}

}  // namespace framegrid::media_ffmpeg
