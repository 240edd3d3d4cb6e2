#include <framegrid/media_ffmpeg/probe.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

extern "C" {
#include <libavutil/mathematics.h>
#include <libavutil/pixdesc.h>
}

#include <framegrid/media_ffmpeg/describe.hpp>
#include <framegrid/media_ffmpeg/video_decoder.hpp>

namespace framegrid::media_ffmpeg {
namespace {

constexpr std::int64_t kProbeBytes = 5'000'000;
constexpr std::int64_t kProbeMs = 5'000;

void describe_video(MediaInfo& info, AVFormatContext* format, AVStream* stream) {
    const AVCodecParameters& parameters = *stream->codecpar;
    info.video_codec = avcodec_get_name(parameters.codec_id);
    info.size = {parameters.width, parameters.height};
    if (const char* name = av_get_pix_fmt_name(static_cast<AVPixelFormat>(parameters.format))) {
        info.pixel_format = name;
    }
    info.rotation = rotation_of(display_matrix_of(parameters));
    info.has_b_frames = parameters.video_delay > 0;
    const AVRational rate = av_guess_frame_rate(format, stream, nullptr);
    if (rate.num > 0 && rate.den > 0) {
        info.fps_num = rate.num;
        info.fps_den = rate.den;
    }
    info.codecs = codec_string(parameters);
}

void count_packets(MediaInfo& info, Input& input, const AVStream& video) {
    PacketPtr packet = make_packet();
    std::int64_t first = INT64_MAX;
    std::int64_t last = INT64_MIN;
    bool begun = false;
    while (true) {
        const auto more = input.read(*packet);
        if (!more || !*more) {
            break;
        }
        if (packet->stream_index != video.index) {
            continue;
        }
        const bool key = (packet->flags & AV_PKT_FLAG_KEY) != 0;
        info.starts_with_keyframe = info.starts_with_keyframe || (!std::exchange(begun, true) && key);
        if ((packet->flags & AV_PKT_FLAG_DISCARD) != 0) {
            continue;  // an edit list leaves it out: it is there to be decoded, not to be shown
        }
        info.keyframes += key ? 1 : 0;
        ++info.frames;
        if (packet->pts != AV_NOPTS_VALUE) {
            first = std::min(first, packet->pts);
            last = std::max(last, packet->pts + packet->duration);
        }
    }
    if (last > first && info.frames > 0) {
        info.start_ms = av_rescale_q(first, video.time_base, {1, 1000});
        info.duration_ms = av_rescale_q(last - first, video.time_base, {1, 1000});
    }
}

// As many as are shown: MP4 counts those that its edit list leaves out, too.
std::int64_t listed_frames(const AVFormatContext& format, AVStream* stream) {
    if (stream->nb_frames <= 0 || !std::string_view(format.iformat->name).starts_with("mov")) {
        return stream->nb_frames;
    }
    const int entries = avformat_index_get_entries_count(stream);
    std::int64_t hidden = 0;
    for (int i = 0; i < entries; ++i) {
        hidden += (avformat_index_get_entry(stream, i)->flags & AVINDEX_DISCARD_FRAME) != 0 ? 1 : 0;
    }
    return std::max<std::int64_t>(1, entries > 0 ? entries - hidden : stream->nb_frames);
}

}  // namespace

MediaInfo describe(const Input& input) {
    AVFormatContext* format = input.get();
    MediaInfo info;
    info.container = format->iformat->name;
    info.start_ms = format->start_time == AV_NOPTS_VALUE ? 0 : format->start_time / 1000;
    info.duration_ms =
        format->duration == AV_NOPTS_VALUE ? 0 : std::max<std::int64_t>(0, format->duration / 1000);
    AVStream* video = input.video();
    if (video != nullptr) {
        describe_video(info, format, video);
        info.frames = listed_frames(*format, video);
        if (info.frames <= 0 && info.fps_num > 0) {
            info.frames = av_rescale(info.duration_ms, info.fps_num, std::int64_t{info.fps_den} * 1000);
        }
    }
    if (const AVStream* audio = input.audio()) {
        info.audio_codec = avcodec_get_name(audio->codecpar->codec_id);
        const std::string name = codec_string(*audio->codecpar);
        if (!name.empty()) {
            info.codecs += (info.codecs.empty() ? "" : ",") + name;
        }
    }
    return info;
}

Result<MediaInfo> probe(const Blob& file) {
    return guarded([&]() -> Result<MediaInfo> {
        FG_TRY(input, Input::open(file));
        FG_CHECK(input->find_streams(kProbeBytes, kProbeMs));
        MediaInfo info = describe(*input);
        info.frames = 0;
        if (const AVStream* video = input->video()) {
            count_packets(info, *input, *video);
        }
        return info;
    });
}

bool is_supported_source(const std::string& video_codec) {
    const AVCodecDescriptor* descriptor = avcodec_descriptor_get_by_name(video_codec.c_str());
    return descriptor != nullptr && is_supported_input(descriptor->id);
}

}  // namespace framegrid::media_ffmpeg
