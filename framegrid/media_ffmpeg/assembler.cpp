#include <framegrid/media_ffmpeg/assembler.hpp>

#include <filesystem>
#include <new>

extern "C" {
#include <libavutil/mathematics.h>
}

#include <framegrid/media_ffmpeg/audio_recoder.hpp>
#include <framegrid/media_ffmpeg/av.hpp>
#include <framegrid/media_ffmpeg/video_decoder.hpp>

namespace framegrid::media_ffmpeg {
namespace {

constexpr AVRational kMicroseconds{1, 1'000'000};
constexpr std::int64_t kProbeBytes = 5'000'000;
constexpr std::int64_t kProbeMs = 5'000;
// Pieces of one time line meet within this; anything else is another time line. They do not overlap by more
// than a guess at their last picture's duration.
constexpr std::int64_t kGapUsMax = 500'000;
constexpr std::int64_t kOverlapUsMax = 100'000;

// The pictures and the sound of one piece.
struct Piece {
    std::optional<Track> video;
    std::optional<Track> audio;
    std::int64_t begin_us = INT64_MAX;  // earliest time shown
    std::int64_t video_begin_us = INT64_MAX;
    std::int64_t video_end_us = INT64_MIN;
    const std::int32_t* display_matrix = nullptr;
    std::unique_ptr<Input> input;  // owns what display_matrix points to
};

Track track_of(const AVStream& stream) {
    Track track;
    track.parameters = copy_parameters(*stream.codecpar);
    track.time_base = stream.time_base;
    track.frame_rate = stream.avg_frame_rate;
    return track;
}

Result<Piece> read_piece(Blob bytes) {
    Piece piece;
    FG_TRY(input, Input::open(std::move(bytes)));
    FG_CHECK(input->find_streams(kProbeBytes, kProbeMs));
    piece.input = std::move(input);
    const AVStream* video = piece.input->video();
    const AVStream* audio = piece.input->audio();
    if (video != nullptr) {
        piece.video = track_of(*video);
        piece.display_matrix = display_matrix_of(*video->codecpar);
    }
    if (audio != nullptr) {
        piece.audio = track_of(*audio);
    }
    while (true) {
        PacketPtr packet = make_packet();
        FG_TRY(more, piece.input->read(*packet));
        if (!more) {
            break;
        }
        const bool is_video = video != nullptr && packet->stream_index == video->index;
        if (!is_video && (audio == nullptr || packet->stream_index != audio->index)) {
            continue;
        }
        Track& track = is_video ? *piece.video : *piece.audio;
        if (packet->pts != AV_NOPTS_VALUE) {
            const std::int64_t at = av_rescale_q(packet->pts, track.time_base, kMicroseconds);
            const std::int64_t long_us = av_rescale_q(packet->duration, track.time_base, kMicroseconds);
            piece.begin_us = std::min(piece.begin_us, at);
            if (is_video) {
                piece.video_begin_us = std::min(piece.video_begin_us, at);
                piece.video_end_us = std::max(piece.video_end_us, at + long_us);
            }
        }
        track.packets.push_back(std::move(packet));
    }
    if (piece.video) {
        repair_dts(*piece.video);
    }
    return piece;
}

// How far each piece is moved so that one follows the other.
class TimeLine {
  public:
    // Of the next piece.
    std::int64_t shift_us(const Piece& piece) {
        if (first_) {
            shift_us_ = -piece.begin_us;
        } else if (piece.video_begin_us != INT64_MAX && end_us_ != INT64_MIN) {
            const std::int64_t gap = piece.video_begin_us + shift_us_ - end_us_;
            if (gap > kGapUsMax || gap < -kOverlapUsMax) {
                shift_us_ = end_us_ - piece.video_begin_us;
            }
        }
        first_ = false;
        if (piece.video_end_us != INT64_MIN) {
            end_us_ = std::max(end_us_, piece.video_end_us + shift_us_);
        }
        return shift_us_;
    }
    std::int64_t end_us() const { return end_us_; }  // of the pictures so far; INT64_MIN: none

  private:
    bool first_ = true;
    std::int64_t shift_us_ = 0;
    std::int64_t end_us_ = INT64_MIN;
};

class Mp4File {
  public:
    explicit Mp4File(std::string path) : path_(std::move(path)) {}
    Mp4File(const Mp4File&) = delete;
    Mp4File& operator=(const Mp4File&) = delete;
    ~Mp4File();

    Result<void> add(Piece piece);
    Result<Assembled> finish();

  private:
    struct Output {
        AVStream* stream = nullptr;
        std::int64_t last_dts = AV_NOPTS_VALUE;
    };
    Result<void> open(const Piece& first);
    Result<Output> add_stream(const Track& track, const std::int32_t* display_matrix);
    Result<void> write(Output& output, const Track& track, AVPacket& packet);

    std::string path_;
    AVFormatContext* context_ = nullptr;
    Output video_;
    Output audio_;
    TimeLine line_;
    std::int64_t shift_us_ = 0;  // of the piece that is being written
    Assembled made_;
    bool opened_ = false;
    bool finished_ = false;
};

Mp4File::~Mp4File() {
    if (context_ == nullptr) {
        return;
    }
    avio_closep(&context_->pb);
    avformat_free_context(context_);
    std::error_code ignored;
    // Only what this object made: never a device or a pipe that somebody named as output.
    if (opened_ && !finished_ && std::filesystem::is_regular_file(path_, ignored)) {
        std::filesystem::remove(path_, ignored);
    }
}

Result<Mp4File::Output> Mp4File::add_stream(const Track& track, const std::int32_t* display_matrix) {
    AVStream* stream = avformat_new_stream(context_, nullptr);
    if (stream == nullptr || avcodec_parameters_copy(stream->codecpar, track.parameters.get()) < 0) {
        throw std::bad_alloc();
    }
    stream->codecpar->codec_tag =
        stream->codecpar->codec_id == AV_CODEC_ID_HEVC ? MKTAG('h', 'v', 'c', '1') : 0;
    stream->time_base = track.time_base;
    stream->avg_frame_rate = track.frame_rate;
    if (display_matrix == nullptr) {
        // Side data came along with the parameters; nothing else of it belongs here.
        av_packet_side_data_free(&stream->codecpar->coded_side_data, &stream->codecpar->nb_coded_side_data);
    }
    return Output{stream, AV_NOPTS_VALUE};
}

Result<void> Mp4File::open(const Piece& first) {
    if (!first.video) {
        return fail(Errc::kUnprocessable, "the first piece holds no pictures");
    }
    if (const int error = avformat_alloc_output_context2(&context_, nullptr, "mp4", path_.c_str());
        error < 0) {
        return av_fail(error, "opening the muxer");
    }
    FG_TRY(video, add_stream(*first.video, first.display_matrix));
    video_ = video;
    if (first.audio) {
        FG_TRY(audio, add_stream(*first.audio, nullptr));
        audio_ = audio;
    }
    if (const int error = avio_open(&context_->pb, path_.c_str(), AVIO_FLAG_WRITE); error < 0) {
        return av_fail(error, "cannot write " + path_, Errc::kIo);
    }
    opened_ = true;
    Options options;
    options.set("movflags", "+faststart");
    if (const int error = avformat_write_header(context_, options.get()); error < 0) {
        return av_fail(error, "writing the header of " + path_, Errc::kUnsupported);
    }
    return {};
}

Result<void> Mp4File::write(Output& output, const Track& track, AVPacket& packet) {
    if (output.stream == nullptr) {
        return {};
    }
    packet.stream_index = output.stream->index;
    packet.pos = -1;
    av_packet_rescale_ts(&packet, track.time_base, output.stream->time_base);
    const std::int64_t shift = av_rescale_q(shift_us_, kMicroseconds, output.stream->time_base);
    packet.dts = packet.dts == AV_NOPTS_VALUE ? packet.dts : packet.dts + shift;
    packet.pts = packet.pts == AV_NOPTS_VALUE ? packet.pts : packet.pts + shift;
    if (packet.dts == AV_NOPTS_VALUE) {
        packet.dts = packet.pts != AV_NOPTS_VALUE        ? packet.pts
                     : output.last_dts == AV_NOPTS_VALUE ? 0
                                                         : output.last_dts + 1;
    }
    if (output.last_dts != AV_NOPTS_VALUE && packet.dts <= output.last_dts) {
        packet.dts = output.last_dts + 1;
    }
    packet.pts = packet.pts == AV_NOPTS_VALUE ? packet.dts : std::max(packet.pts, packet.dts);
    output.last_dts = packet.dts;
    if (const int error = av_interleaved_write_frame(context_, &packet); error < 0) {
        return av_fail(error, "writing " + path_, Errc::kIo);
    }
    return {};
}

Result<void> Mp4File::add(Piece piece) {
    if (context_ == nullptr) {
        FG_CHECK(open(piece));
    }
    shift_us_ = line_.shift_us(piece);
    std::size_t next_video = 0;
    std::size_t next_audio = 0;
    const std::size_t videos = piece.video ? piece.video->packets.size() : 0;
    const std::size_t audios = piece.audio ? piece.audio->packets.size() : 0;
    while (next_video < videos || next_audio < audios) {
        const bool video_first =
            next_audio == audios ||
            (next_video < videos && av_compare_ts(
                                        piece.video->packets[next_video]->dts, piece.video->time_base,
                                        piece.audio->packets[next_audio]->dts, piece.audio->time_base
                                    ) <= 0);
        if (video_first) {
            FG_CHECK(write(video_, *piece.video, *piece.video->packets[next_video++]));
        } else {
            FG_CHECK(write(audio_, *piece.audio, *piece.audio->packets[next_audio++]));
        }
    }
    ++made_.pieces;
    made_.pictures += static_cast<std::int64_t>(videos);
    return {};
}

Result<Assembled> Mp4File::finish() {
    if (context_ == nullptr) {
        return fail(Errc::kUnprocessable, "there is nothing to join");
    }
    if (const int error = av_write_trailer(context_); error < 0) {
        return av_fail(error, "finishing " + path_, Errc::kIo);
    }
    if (const int error = avio_closep(&context_->pb); error < 0) {
        return av_fail(error, "finishing " + path_, Errc::kIo);
    }
    finished_ = true;
    made_.duration_ms = line_.end_us() == INT64_MIN ? 0 : line_.end_us() / 1000;
    std::error_code ignored;
    made_.bytes = static_cast<std::int64_t>(std::filesystem::file_size(path_, ignored));
    return made_;
}

// Adds a piece's packets to a track that began with another one's.
void append(Track& to, Track from, std::int64_t shift_us) {
    const std::int64_t shift = av_rescale_q(shift_us, kMicroseconds, to.time_base);
    for (PacketPtr& packet : from.packets) {
        av_packet_rescale_ts(packet.get(), from.time_base, to.time_base);
        packet->pts = packet->pts == AV_NOPTS_VALUE ? packet->pts : packet->pts + shift;
        packet->dts = packet->dts == AV_NOPTS_VALUE ? packet->dts : packet->dts + shift;
        to.packets.push_back(std::move(packet));
    }
}

bool same_pictures(const Track& a, const Track& b) {
    return a.parameters->codec_id == b.parameters->codec_id && a.parameters->width == b.parameters->width &&
           a.parameters->height == b.parameters->height;
}

// One description in the file stands for all of it.
bool same_sound(const Track& a, const Track& b) {
    return a.parameters->codec_id == b.parameters->codec_id &&
           a.parameters->sample_rate == b.parameters->sample_rate &&
           a.parameters->ch_layout.nb_channels == b.parameters->ch_layout.nb_channels;
}

bool fits_webm(AVCodecID codec) {
    return codec == AV_CODEC_ID_VP8 || codec == AV_CODEC_ID_VP9 || codec == AV_CODEC_ID_AV1;
}

bool is_webm_sound(AVCodecID codec) {
    return codec == AV_CODEC_ID_OPUS || codec == AV_CODEC_ID_VORBIS;
}

Result<Track> opus_of(const Track& sound) {
    FG_TRY(encoder, AudioRecoder::open(*sound.parameters, sound.time_base, AudioRecoder::To::kOpus));
    Track out;
    for (const PacketPtr& packet : sound.packets) {
        FG_CHECK(encoder->push(packet.get(), out.packets));
    }
    FG_CHECK(encoder->push(nullptr, out.packets));
    out.parameters = encoder->parameters();
    out.time_base = encoder->time_base();
    return out;
}

// One file of all pieces, in memory.
class MemoryJoin {
  public:
    Result<void> add(Piece piece, std::size_t number);
    Result<Blob> finish(OutputFormat format);

  private:
    std::optional<Track> video_;
    std::optional<Track> audio_;
    std::unique_ptr<Input> first_;  // owns the display matrix
    TimeLine line_;
};

Result<void> MemoryJoin::add(Piece piece, std::size_t number) {
    const std::string name = "segment " + std::to_string(number);
    if (!piece.video || piece.begin_us == INT64_MAX) {
        return fail(Errc::kUnprocessable, name + " holds no pictures");
    }
    const std::int64_t shift = line_.shift_us(piece);
    if (!video_) {
        video_.emplace(std::move(*piece.video));
        video_->display_matrix = piece.display_matrix;
        first_ = std::move(piece.input);
        auto packets = std::move(video_->packets);
        video_->packets.clear();
        append(*video_, Track{nullptr, video_->time_base, {0, 1}, std::move(packets)}, shift);
    } else if (!same_pictures(*video_, *piece.video)) {
        return fail(Errc::kUnprocessable, name + " has pictures of another codec or size than the first");
    } else {
        append(*video_, std::move(*piece.video), shift);
    }
    if (piece.audio && !audio_) {
        audio_.emplace(Track{copy_parameters(*piece.audio->parameters), piece.audio->time_base, {0, 1}, {}});
    }
    if (piece.audio) {
        if (!same_sound(*audio_, *piece.audio)) {
            return fail(
                Errc::kUnprocessable,
                name + " has sound of another codec, rate or number of channels than those before"
            );
        }
        append(*audio_, std::move(*piece.audio), shift);
    }
    return {};
}

Result<Blob> MemoryJoin::finish(OutputFormat format) {
    if (!video_) {
        return fail(Errc::kUnprocessable, "there is nothing to join");
    }
    if (format == OutputFormat::kWebm && !fits_webm(video_->parameters->codec_id)) {
        return fail(
            Errc::kUnsupported,
            std::string("WebM does not take ") + avcodec_get_name(video_->parameters->codec_id) +
                "; join as mp4, or make VP9 of the segments first: a step with pipeline transcode and "
                "profiles [{\"name\": \"vp9\", \"encoder\": \"VP9\", \"height\": 720, \"bitrate\": 2000000}]",
            "output_format"
        );
    }
    std::vector<Track> tracks;
    tracks.push_back(std::move(*video_));
    if (audio_ && format == OutputFormat::kWebm && !is_webm_sound(audio_->parameters->codec_id)) {
        FG_TRY(opus, opus_of(*audio_));
        tracks.push_back(std::move(opus));
    } else if (audio_ && (format == OutputFormat::kWebm || fits_mp4(audio_->parameters->codec_id))) {
        tracks.push_back(std::move(*audio_));
    }
    return mux(format, tracks);
}

}  // namespace

Result<Blob> join_in_memory(
    const std::vector<Blob>& pieces, api::VideoFormat format, const api::StopFlag& stop
) {
    MemoryJoin join;
    std::size_t number = 0;
    for (const auto& bytes : pieces) {
        if (stop.load(std::memory_order_relaxed)) {
            return fail(Errc::kCancelled, "cancelled");
        }
        FG_TRY(piece, read_piece(bytes));
        FG_CHECK(join.add(std::move(piece), ++number));
    }
    return join.finish(format == api::VideoFormat::kMp4 ? OutputFormat::kMp4 : OutputFormat::kWebm);
}

Result<Assembled> write_mp4(const std::string& path, const NextPiece& next) {
    return guarded([&]() -> Result<Assembled> {
        Mp4File file(path);
        while (true) {
            FG_TRY(bytes, next());
            if (!bytes) {
                return file.finish();
            }
            FG_TRY(piece, read_piece(std::move(*bytes)));
            FG_CHECK(file.add(std::move(piece)));
        }
    });
}

}  // namespace framegrid::media_ffmpeg
