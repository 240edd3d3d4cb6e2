#include <framegrid/media_ffmpeg/test_media.hpp>

#include <unistd.h>

#include <fstream>
#include <sstream>

extern "C" {
#include <libavutil/mathematics.h>
}

#include <gtest/gtest.h>
#include <framegrid/media_ffmpeg/video_decoder.hpp>

namespace framegrid::media_ffmpeg {

TempDir::TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "framegrid-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
        ADD_FAILURE() << "cannot make a folder for the test";
    }
    path_ = pattern;
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

ClipSpec small_clip() {
    ClipSpec spec;
    spec.width = 320;
    spec.height = 180;
    spec.duration_ms = 1000;
    spec.keyframe_ms = 1000;
    spec.video_options = "preset=ultrafast:crf=30";
    return spec;
}

Blob file_bytes(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return Blob::copy_of(text.str());
}

Blob clip_bytes(const ClipSpec& spec, const std::string& name) {
    const TempDir directory;
    const auto made = make_clip(directory.file(name), spec);
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().message);
    return file_bytes(directory.file(name));
}

Look look_at(const Blob& file) {
    Look look;
    auto input = Input::open(file);
    if (!input || !(*input)->find_streams(10'000'000, 10'000)) {
        ADD_FAILURE() << "the file cannot be opened";
        return look;
    }
    AVStream* video = (*input)->video();
    const AVStream* audio = (*input)->audio();
    std::unique_ptr<VideoDecoder> decoder;
    if (video != nullptr) {
        look.video_codec = avcodec_get_name(video->codecpar->codec_id);
        auto opened = VideoDecoder::open(*video->codecpar, video->time_base, 1, nullptr);
        EXPECT_TRUE(opened.has_value());
        decoder = std::move(*opened);
    }
    const auto drain = [&] {
        while (FramePtr frame = decoder->receive().value()) {
            look.shots.push_back(
                {av_rescale_q(frame->best_effort_timestamp, video->time_base, {1, 90'000}),
                 {frame->width, frame->height},
                 (frame->flags & AV_FRAME_FLAG_KEY) != 0,
                 frame->data[0][frame->width / 2]}
            );
        }
    };
    PacketPtr packet = make_packet();
    std::int64_t last_dts = INT64_MIN;
    while ((*input)->read(*packet).value()) {
        if (audio != nullptr && packet->stream_index == audio->index) {
            look.audio_pts.push_back(av_rescale_q(packet->pts, audio->time_base, {1, 90'000}));
        } else if (video != nullptr && packet->stream_index == video->index) {
            look.dts_rises = look.dts_rises && packet->dts > last_dts && packet->dts <= packet->pts;
            last_dts = packet->dts;
            EXPECT_TRUE(decoder->send(packet.get()).has_value());
            drain();
        }
    }
    if (decoder) {
        EXPECT_TRUE(decoder->send(nullptr).has_value());
        drain();
    }
    return look;
}

Blob filter_packets(const Blob& file, const std::function<bool(int index, bool is_key)>& keep) {
    auto input = Input::open(file);
    if (!input || !(*input)->find_streams(10'000'000, 10'000)) {
        ADD_FAILURE() << "the file cannot be opened";
        return {};
    }
    AVStream* video = (*input)->video();
    std::vector<Track> tracks(1);
    tracks[0].parameters = copy_parameters(*video->codecpar);
    tracks[0].time_base = video->time_base;
    int index = 0;
    PacketPtr packet = make_packet();
    while ((*input)->read(*packet).value()) {
        if (packet->stream_index == video->index && keep(index++, (packet->flags & AV_PKT_FLAG_KEY) != 0)) {
            tracks[0].packets.emplace_back(av_packet_clone(packet.get()));
        }
    }
    auto muxed = mux(OutputFormat::kMpegTs, tracks);
    EXPECT_TRUE(muxed.has_value());
    return *muxed;
}

}  // namespace framegrid::media_ffmpeg

#if defined(__SANITIZE_THREAD__)
// FFmpeg and the codecs are not instrumented: the sanitizer cannot see the atomic reference counts that order
// their accesses, and reports memory that libavutil hands from one thread to another.
extern "C" const char* __tsan_default_suppressions() {
    return "called_from_lib:libavutil.so\ncalled_from_lib:libavcodec.so\ncalled_from_lib:libavfilter.so\n"
           "called_from_lib:libavformat.so\ncalled_from_lib:libswscale.so\ncalled_from_lib:libx264.so\n"
           "called_from_lib:libx265.so\ncalled_from_lib:libvpx.so\ncalled_from_lib:libdav1d.so\n"
           "called_from_lib:libaom.so\n";
}
#endif
