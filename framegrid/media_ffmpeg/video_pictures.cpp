#include <framegrid/media_ffmpeg/video_pictures.hpp>

#include <algorithm>

extern "C" {
#include <libavutil/mathematics.h>
}

namespace framegrid::media_ffmpeg {

Result<void> VideoPictures::read(const Take& take) {
    FG_TRY(decoder, SegmentDecoder::open(video_, session_, run_, threads_, hardware_));
    Result<void> taken;
    bool enough = false;
    std::int64_t first = AV_NOPTS_VALUE;
    const auto decoded = decoder->decode(std::nullopt, [&](const AVFrame& picture) {
        run_.audio_packets.clear();
        first = first == AV_NOPTS_VALUE ? picture.pts : first;
        const auto more = take(picture, av_rescale_q(picture.pts - first, run_.time_base, {1, 1000}));
        if (!more) {
            taken = fail(more.error());
        }
        enough = more && !*more;
        return more && *more;
    });
    FG_CHECK(std::move(taken));
    if (!decoded && !enough) {
        return fail(decoded.error());
    }
    if (first == AV_NOPTS_VALUE) {
        return fail(Errc::kUnprocessable, "TranscoderInvalidVideo: no picture could be decoded");
    }
    return {};
}

AVRational VideoPictures::frame_rate() const {
    constexpr int kMost = 120;
    const AVRational rate = run_.frame_rate;
    if (rate.num <= 0 || rate.den <= 0) {
        return {30, 1};
    }
    return av_cmp_q(rate, {1, 1}) < 0       ? AVRational{1, 1}
           : av_cmp_q(rate, {kMost, 1}) > 0 ? AVRational{kMost, 1}
                                            : rate;
}

}  // namespace framegrid::media_ffmpeg
