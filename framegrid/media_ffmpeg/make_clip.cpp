#include <framegrid/media_ffmpeg/make_clip.hpp>

#include <algorithm>
#include <new>

extern "C" {
#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavutil/channel_layout.h>
#include <libavutil/display.h>
#include <libavutil/mathematics.h>
#include <libavutil/pixdesc.h>
#include <libavutil/samplefmt.h>
}

#include <framegrid/media_ffmpeg/av.hpp>

namespace framegrid::media_ffmpeg {
namespace {

// One synthetic source, its encoder and its place in the file.
class Source {
  public:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    ~Source() { avfilter_graph_free(&graph_); }

    Result<void> open_graph(const std::string& description, bool is_video);
    Result<void> open_encoder(
        const std::string& name, const std::string& options, const ClipSpec& spec, int flags
    );
    Result<void> add_to(AVFormatContext* file, int rotation);
    // Encodes one frame; false at the end of the stream.
    Result<bool> step(AVFormatContext* file);
    bool done() const { return done_; }
    double position() const { return position_; }

  private:
    AVFilterGraph* graph_ = nullptr;
    AVFilterContext* sink_ = nullptr;
    CodecPtr encoder_;
    AVStream* stream_ = nullptr;
    bool done_ = false;
    double position_ = 0;
};

Result<void> Source::open_graph(const std::string& description, bool is_video) {
    graph_ = avfilter_graph_alloc();
    if (graph_ == nullptr) {
        throw std::bad_alloc();
    }
    graph_->nb_threads = 1;
    int error = avfilter_graph_create_filter(
        &sink_, avfilter_get_by_name(is_video ? "buffersink" : "abuffersink"), "out", nullptr, nullptr, graph_
    );
    if (error >= 0) {
        AVFilterInOut* inputs = avfilter_inout_alloc();
        inputs->name = av_strdup("out");
        inputs->filter_ctx = sink_;
        AVFilterInOut* outputs = nullptr;
        error = avfilter_graph_parse_ptr(graph_, (description + "[out]").c_str(), &inputs, &outputs, nullptr);
        avfilter_inout_free(&inputs);
        avfilter_inout_free(&outputs);
    }
    error = error < 0 ? error : avfilter_graph_config(graph_, nullptr);
    if (error < 0) {
        return av_fail(error, "opening the source " + description, Errc::kUnsupported);
    }
    return {};
}

Result<void> Source::open_encoder(
    const std::string& name, const std::string& options, const ClipSpec& spec, int flags
) {
    const AVCodec* codec = avcodec_find_encoder_by_name(name.c_str());
    if (codec == nullptr) {
        return fail(Errc::kUnsupported, "Encoder not found: " + name);
    }
    encoder_.reset(avcodec_alloc_context3(codec));
    if (!encoder_) {
        throw std::bad_alloc();
    }
    AVCodecContext& context = *encoder_;
    context.time_base = av_buffersink_get_time_base(sink_);
    context.flags |= flags;
    context.thread_count = 1;
    context.strict_std_compliance = FF_COMPLIANCE_EXPERIMENTAL;
    if (codec->type == AVMEDIA_TYPE_VIDEO) {
        context.width = av_buffersink_get_w(sink_);
        context.height = av_buffersink_get_h(sink_);
        context.pix_fmt = static_cast<AVPixelFormat>(av_buffersink_get_format(sink_));
        context.framerate = {spec.fps_num, spec.fps_den};
        context.gop_size = static_cast<int>(
            std::max<std::int64_t>(1, av_rescale(spec.keyframe_ms, spec.fps_num, 1000LL * spec.fps_den))
        );
    } else {
        context.sample_rate = av_buffersink_get_sample_rate(sink_);
        context.sample_fmt = static_cast<AVSampleFormat>(av_buffersink_get_format(sink_));
        av_buffersink_get_ch_layout(sink_, &context.ch_layout);
    }
    AVDictionary* dictionary = nullptr;
    av_dict_parse_string(&dictionary, options.c_str(), "=", ":", 0);
    const int error = avcodec_open2(&context, codec, &dictionary);
    av_dict_free(&dictionary);
    if (error < 0) {
        return av_fail(error, "opening the encoder " + name, Errc::kUnsupported);
    }
    if (codec->type == AVMEDIA_TYPE_AUDIO && context.frame_size > 0) {
        av_buffersink_set_frame_size(sink_, static_cast<unsigned>(context.frame_size));
    }
    return {};
}

Result<void> Source::add_to(AVFormatContext* file, int rotation) {
    stream_ = avformat_new_stream(file, nullptr);
    if (stream_ == nullptr || avcodec_parameters_from_context(stream_->codecpar, encoder_.get()) < 0) {
        throw std::bad_alloc();
    }
    stream_->time_base = encoder_->time_base;
    stream_->avg_frame_rate = encoder_->framerate;
    if (rotation != 0) {
        AVCodecParameters& parameters = *stream_->codecpar;
        AVPacketSideData* side = av_packet_side_data_new(
            &parameters.coded_side_data, &parameters.nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX,
            9 * sizeof(std::int32_t), 0
        );
        if (side != nullptr) {
            av_display_rotation_set(reinterpret_cast<std::int32_t*>(side->data), rotation);
        }
    }
    return {};
}

Result<bool> Source::step(AVFormatContext* file) {
    FramePtr frame = make_frame();
    const int got = av_buffersink_get_frame(sink_, frame.get());
    if (got < 0 && got != AVERROR_EOF) {
        return av_fail(got, "making a picture");
    }
    done_ = got == AVERROR_EOF;
    if (!done_) {
        position_ = static_cast<double>(frame->pts) * av_q2d(encoder_->time_base);
        frame->pict_type = AV_PICTURE_TYPE_NONE;
    }
    if (const int error = avcodec_send_frame(encoder_.get(), done_ ? nullptr : frame.get()); error < 0) {
        return av_fail(error, "encoding");
    }
    while (true) {
        PacketPtr packet = make_packet();
        if (avcodec_receive_packet(encoder_.get(), packet.get()) < 0) {
            return !done_;
        }
        packet->stream_index = stream_->index;
        av_packet_rescale_ts(packet.get(), encoder_->time_base, stream_->time_base);
        if (const int error = av_interleaved_write_frame(file, packet.get()); error < 0) {
            return av_fail(error, "writing the clip");
        }
    }
}

struct OutputFile {
    AVFormatContext* context = nullptr;
    OutputFile() = default;
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile() {
        if (context != nullptr) {
            avio_closep(&context->pb);
            avformat_free_context(context);
        }
    }
};

std::string video_description(const ClipSpec& spec) {
    const std::string seconds = std::to_string(static_cast<double>(spec.duration_ms) / 1000.0);
    std::string text = spec.source + (spec.source.find('=') == std::string::npos ? "=" : ":") +
                       "size=" + std::to_string(spec.width) + "x" + std::to_string(spec.height) +
                       ":rate=" + std::to_string(spec.fps_num) + "/" + std::to_string(spec.fps_den) +
                       ":duration=" + seconds;
    if (!spec.video_filter.empty()) {
        text += "," + spec.video_filter;
    }
    return text + ",format=" + spec.pixel_format;
}

// What the audio encoder takes, as an option of the source.
std::string sample_format_option(const std::string& encoder) {
    const AVCodec* codec = avcodec_find_encoder_by_name(encoder.c_str());
    const void* formats = nullptr;
    int count = 0;
    if (codec == nullptr ||
        avcodec_get_supported_config(nullptr, codec, AV_CODEC_CONFIG_SAMPLE_FORMAT, 0, &formats, &count) <
            0 ||
        count == 0) {
        return {};
    }
    return std::string(":sample_fmts=") +
           av_get_sample_fmt_name(*static_cast<const AVSampleFormat*>(formats));
}

Result<void> write_clip(const std::string& path, const ClipSpec& spec) {
    OutputFile file;
    if (const int error = avformat_alloc_output_context2(&file.context, nullptr, nullptr, path.c_str());
        error < 0) {
        return av_fail(error, "opening " + path, Errc::kUnsupported);
    }
    const int flags =
        (file.context->oformat->flags & AVFMT_GLOBALHEADER) != 0 ? AV_CODEC_FLAG_GLOBAL_HEADER : 0;
    std::vector<std::unique_ptr<Source>> sources;
    if (spec.video) {
        sources.push_back(std::make_unique<Source>());
        FG_CHECK(sources.back()->open_graph(video_description(spec), true));
        FG_CHECK(sources.back()->open_encoder(spec.video_encoder, spec.video_options, spec, flags));
        FG_CHECK(sources.back()->add_to(file.context, spec.rotation));
    }
    if (spec.audio) {
        const std::string seconds = std::to_string(static_cast<double>(spec.duration_ms) / 1000.0);
        sources.push_back(std::make_unique<Source>());
        FG_CHECK(sources.back()->open_graph(
            "sine=frequency=440:beep_factor=4:sample_rate=" + std::to_string(spec.audio_rate) + ":duration=" +
                seconds + ",aformat=channel_layouts=stereo" + sample_format_option(spec.audio_encoder),
            false
        ));
        FG_CHECK(sources.back()->open_encoder(spec.audio_encoder, "", spec, flags));
        FG_CHECK(sources.back()->add_to(file.context, 0));
    }
    if (const int error = avio_open(&file.context->pb, path.c_str(), AVIO_FLAG_WRITE); error < 0) {
        return av_fail(error, "cannot write " + path, Errc::kIo);
    }
    if (const int error = avformat_write_header(file.context, nullptr); error < 0) {
        return av_fail(error, "writing the header of " + path, Errc::kUnsupported);
    }
    while (true) {
        Source* behind = nullptr;
        for (const auto& source : sources) {
            if (!source->done() && (behind == nullptr || source->position() < behind->position())) {
                behind = source.get();
            }
        }
        if (behind == nullptr) {
            break;
        }
        FG_CHECK(behind->step(file.context));
    }
    if (const int error = av_write_trailer(file.context); error < 0) {
        return av_fail(error, "finishing " + path, Errc::kIo);
    }
    return {};
}

}  // namespace

Result<void> make_clip(const std::string& path, const ClipSpec& spec) {
    quiet_av_logs();
    try {
        return write_clip(path, spec);
    } catch (const std::exception& error) {
        return fail(Errc::kInternal, std::string("out of memory: ") + error.what());
    }
}

}  // namespace framegrid::media_ffmpeg
