#include <framegrid/media_ffmpeg/segmenter.hpp>

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <iterator>
#include <new>

extern "C" {
#include <libavutil/mathematics.h>
}

#include <framegrid/media_ffmpeg/audio_recoder.hpp>
#include <framegrid/media_ffmpeg/describe.hpp>
#include <framegrid/media_ffmpeg/mezzanine.hpp>
#include <framegrid/media_ffmpeg/parameter_sets.hpp>
#include <framegrid/media_ffmpeg/video_decoder.hpp>

namespace framegrid::media_ffmpeg {
namespace {

constexpr std::int64_t kProbeBytes = 20'000'000;
constexpr std::int64_t kProbeMs = 10'000;
// Where the time line starts: room for reordered pictures before the first one. A whole number of seconds,
// because renditions of another frame rate have their pictures at multiples of its period, counted from 0.
constexpr std::int64_t kOriginUs = 2'000'000;
// MPEG-TS files may be several recordings in a row, each with a clock of its own: a step of this size is a
// new clock.
constexpr std::int64_t kClockBackUs = 1'000'000;
constexpr std::int64_t kClockAheadUs = 10'000'000;
// A keyframe this much before the target is near enough to cut at.
constexpr double kEarlyCut = 0.85;
constexpr std::size_t kPacketsMax = 2'000'000;
// Codecs reorder by 16 pictures at most.
constexpr std::size_t kLeadingMax = 32;
constexpr std::size_t kAheadMax = 10'000;
// Containers cost a little on top of the packets.
constexpr std::size_t kPayloadMax = media::kSegmentBytesMax / 16 * 15;
// Video without loss is large and can be cut anywhere.
constexpr std::size_t kMezzanineMax = 100'000'000;

std::int64_t time_of(const AVPacket& packet) {
    return packet.pts != AV_NOPTS_VALUE ? packet.pts : packet.dts;
}

bool same_shape(AVRational container, AVRational codec) {
    return container.num <= 0 || container.den <= 0 ||
           av_cmp_q(container, codec.num > 0 ? codec : AVRational{1, 1}) == 0;
}

OutputFormat choose_format(const AVStream& stream) {
    const AVCodecParameters& video = *stream.codecpar;
    // MPEG-TS cannot say that a picture lies on its side, or that its pixels are not what the codec says.
    if (fits_mpegts(video.codec_id) && rotation_of(display_matrix_of(video)) == 0 &&
        same_shape(stream.sample_aspect_ratio, video.sample_aspect_ratio)) {
        return OutputFormat::kMpegTs;
    }
    return fits_mp4(video.codec_id)   ? OutputFormat::kMp4
           : fits_mov(video.codec_id) ? OutputFormat::kMov
                                      : OutputFormat::kMatroska;
}

std::string content_type_of(OutputFormat format) {
    return format == OutputFormat::kMpegTs ? "video/mp2t"
           : format == OutputFormat::kMp4  ? "video/mp4"
           : format == OutputFormat::kMov  ? "video/quicktime"
                                           : "video/x-matroska";
}

// Whether pictures behind the first one are shown before it.
bool has_leading(const std::vector<PacketPtr>& packets) {
    const std::int64_t first = packets.front()->pts;
    return std::ranges::any_of(packets, [first](const PacketPtr& packet) {
        return packet->pts != AV_NOPTS_VALUE && first != AV_NOPTS_VALUE && packet->pts < first;
    });
}

// What players take from MPEG-TS (RFC 8216, section 3.2).
bool is_hls_sound(AVCodecID codec) {
    return codec == AV_CODEC_ID_AAC || codec == AV_CODEC_ID_MP3 || codec == AV_CODEC_ID_AC3 ||
           codec == AV_CODEC_ID_EAC3;
}

}  // namespace

struct Segmenter::State {
    Result<void> prepare();
    Result<void> choose_video();
    Result<void> choose_audio();
    Result<std::optional<Segment>> next();
    Result<void> take_video(PacketPtr packet);
    Result<void> take_tail(const AVPacket& packet);
    Result<bool> read(PacketPtr& packet);
    Result<std::vector<PacketPtr>> take_leading(const AVPacket& key);
    Result<std::optional<Segment>> cut_at(PacketPtr key);
    std::vector<PacketPtr> clip_audio(std::int64_t clip_to_ms);
    Result<void> take_audio(PacketPtr packet);
    Result<void> add_audio(std::vector<PacketPtr> packets);
    Result<void> keep(PacketPtr packet, std::vector<PacketPtr>& packets);
    void follow_clock(AVPacket& packet);
    void move(AVPacket& packet, AVRational time_base) const;
    bool cuts_here(const AVPacket& packet) const;
    Result<ParametersPtr> video_parameters() const;
    Result<std::optional<Segment>> finish_segment(std::int64_t end);

    SegmenterSettings settings;
    std::function<Result<std::unique_ptr<Input>>()> open_input;
    std::unique_ptr<Input> input;
    MediaInfo info;
    OutputFormat format = OutputFormat::kMpegTs;
    AVStream* video = nullptr;
    AVStream* audio = nullptr;
    std::unique_ptr<ByteStream> byte_stream;
    bool lossless = false;  // any file is, when it can't be cut otherwise
    std::unique_ptr<Mezzanine> mezzanine;
    std::unique_ptr<AudioRecoder> audio_encoder;
    std::int64_t shift_us = 0;
    bool clock_may_change = false;
    std::int64_t clock_us = 0;              // added to all times since the last change
    std::vector<std::int64_t> expected_us;  // when each stream goes on, by stream

    std::vector<PacketPtr> video_packets;
    std::vector<PacketPtr> audio_packets;
    std::size_t payload = 0;
    PacketPtr pending;                    // the keyframe that starts the next segment
    std::deque<PacketPtr> ahead;          // read, not yet looked at
    std::int64_t clip_to_ms = 0;          // of the segment that ends
    std::int64_t first = AV_NOPTS_VALUE;  // the file's first picture, in the video's time base
    std::int64_t start = AV_NOPTS_VALUE;  // this segment's first picture
    std::int64_t end = AV_NOPTS_VALUE;    // the end of its last picture so far
    std::int64_t seq = 0;
    bool at_end = false;
};

Result<void> Segmenter::State::choose_video() {
    video = input->video();
    if (video == nullptr) {
        return fail(Errc::kUnprocessable, "TranscoderInvalidVideo: there is no video in the file");
    }
    const AVCodecParameters& parameters = *video->codecpar;
    const bool taken = is_supported_input(parameters.codec_id);
    if (lossless || (!taken && settings.any_codec)) {
        FG_TRY(opened, Mezzanine::open(parameters, video->time_base));
        mezzanine = std::move(opened);
        format = OutputFormat::kMov;
        return {};
    }
    if (!taken) {
        return fail(
            Errc::kUnsupported,
            std::string("Unsupported input codec ") + avcodec_get_name(parameters.codec_id)
        );
    }
    format = choose_format(*video);
    if (format == OutputFormat::kMpegTs) {
        FG_TRY(stream, ByteStream::open(parameters, video->time_base));
        byte_stream = std::move(stream);
    }
    return {};
}

Result<void> Segmenter::State::choose_audio() {
    audio = input->audio();
    if (audio == nullptr) {
        return {};
    }
    const AVCodecID codec = audio->codecpar->codec_id;
    const bool fits = (format == OutputFormat::kMpegTs ? fits_mpegts(codec) : fits_mp4(codec)) &&
                      (!settings.hls_sound || is_hls_sound(codec));
    if (!fits && avcodec_find_decoder(codec) == nullptr) {
        audio = nullptr;  // sound that nobody here can read is dropped, the pictures go on
        info.audio_codec.clear();
    } else if (!fits) {
        FG_TRY(encoder, AudioRecoder::open(*audio->codecpar, audio->time_base));
        audio_encoder = std::move(encoder);
    }
    return {};
}

Result<void> Segmenter::State::prepare() {
    FG_TRY(opened, open_input());
    input = std::move(opened);
    input->get()->flags |= AVFMT_FLAG_GENPTS;
    FG_CHECK(input->find_streams(kProbeBytes, kProbeMs));
    info = describe(*input);
    FG_CHECK(choose_video());
    FG_CHECK(choose_audio());
    AVFormatContext* context = input->get();
    for (unsigned i = 0; i < context->nb_streams; ++i) {
        AVStream* stream = context->streams[i];
        stream->discard = stream == video || stream == audio ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    const std::int64_t begins = context->start_time == AV_NOPTS_VALUE ? 0 : context->start_time;
    const std::int64_t pictures = video->start_time == AV_NOPTS_VALUE
                                      ? begins
                                      : av_rescale_q(video->start_time, video->time_base, {1, 1'000'000});
    // Sound that begins long before the pictures must not begin before 0.
    const std::int64_t early = std::max<std::int64_t>(0, pictures - begins - kOriginUs / 2);
    shift_us = kOriginUs + (early + 999'999) / 1'000'000 * 1'000'000 - pictures;
    clock_may_change = (context->iformat->flags & AVFMT_TS_DISCONT) != 0;
    expected_us.assign(context->nb_streams, AV_NOPTS_VALUE);
    return {};
}

// Puts a packet of a new clock behind what came before.
void Segmenter::State::follow_clock(AVPacket& packet) {
    const auto index = static_cast<std::size_t>(packet.stream_index);
    const std::int64_t at = packet.dts != AV_NOPTS_VALUE ? packet.dts : packet.pts;
    if (!clock_may_change || at == AV_NOPTS_VALUE || index >= expected_us.size()) {
        return;
    }
    const AVRational time_base = input->get()->streams[index]->time_base;
    std::int64_t& expected = expected_us[index];
    const std::int64_t at_us = av_rescale_q(at, time_base, {1, 1'000'000}) + clock_us;
    if (expected != AV_NOPTS_VALUE && (at_us < expected - kClockBackUs || at_us > expected + kClockAheadUs)) {
        clock_us += expected - at_us;
    }
    const std::int64_t duration = std::max<std::int64_t>(0, packet.duration);
    expected = av_rescale_q(at + duration, time_base, {1, 1'000'000}) + clock_us;
    const std::int64_t step = av_rescale_q(clock_us, {1, 1'000'000}, time_base);
    packet.dts += packet.dts != AV_NOPTS_VALUE ? step : 0;
    packet.pts += packet.pts != AV_NOPTS_VALUE ? step : 0;
}

void Segmenter::State::move(AVPacket& packet, AVRational time_base) const {
    const std::int64_t shift = av_rescale_q(shift_us, {1, 1'000'000}, time_base);
    if (packet.pts != AV_NOPTS_VALUE) {
        packet.pts += shift;
    }
    if (packet.dts != AV_NOPTS_VALUE) {
        packet.dts += shift;
    }
}

Result<void> Segmenter::State::keep(PacketPtr packet, std::vector<PacketPtr>& packets) {
    payload += static_cast<std::size_t>(packet->size);
    if (payload > kPayloadMax || packets.size() >= kPacketsMax) {
        return fail(Errc::kTooLarge, "a segment would be over 300 MB: the keyframes are too far apart");
    }
    // The demuxer's buffers are its own business; a segment outlives them.
    if (av_packet_make_refcounted(packet.get()) < 0) {
        return fail(Errc::kInternal, "out of memory");
    }
    packets.push_back(std::move(packet));
    return {};
}

bool Segmenter::State::cuts_here(const AVPacket& packet) const {
    if ((packet.flags & AV_PKT_FLAG_KEY) == 0 || video_packets.empty() || start == AV_NOPTS_VALUE) {
        return false;
    }
    const std::int64_t at = time_of(packet);
    const std::int64_t long_ms = av_rescale_q(at - start, video->time_base, {1, 1000});
    const double enough = static_cast<double>(settings.target_ms) * (mezzanine ? 1 : kEarlyCut);
    return at != AV_NOPTS_VALUE &&
           (static_cast<double>(long_ms) >= enough || (mezzanine && payload >= kMezzanineMax));
}

Result<void> Segmenter::State::take_video(PacketPtr packet) {
    if (byte_stream) {
        FG_TRY(converted, byte_stream->convert(std::move(packet)));
        packet = std::move(converted);
        if (video_packets.empty()) {
            FG_TRY(complete, byte_stream->with_parameter_sets(std::move(packet)));
            packet = std::move(complete);
        }
    }
    const std::int64_t at = time_of(*packet);
    if (at != AV_NOPTS_VALUE) {
        start = start == AV_NOPTS_VALUE ? at : start;
        first = first == AV_NOPTS_VALUE ? at : first;
        const std::int64_t packet_end = at + std::max<std::int64_t>(0, packet->duration);
        end = end == AV_NOPTS_VALUE ? packet_end : std::max(end, packet_end);
        if (av_rescale_q(at - start, video->time_base, {1, 1000}) > media::kSegmentMsMax) {
            return fail(Errc::kTooLarge, "no keyframe for over 300 s: the file cannot be cut into segments");
        }
    }
    move(*packet, video->time_base);
    return keep(std::move(packet), video_packets);
}

// The next segment's first picture, without counting it.
Result<void> Segmenter::State::take_tail(const AVPacket& packet) {
    PacketPtr tail(av_packet_clone(&packet));
    if (!tail) {
        throw std::bad_alloc();
    }
    if (byte_stream) {
        FG_TRY(converted, byte_stream->convert(std::move(tail)));
        tail = std::move(converted);
    }
    move(*tail, video->time_base);
    return keep(std::move(tail), video_packets);
}

Result<void> Segmenter::State::take_audio(PacketPtr packet) {
    std::vector<PacketPtr> packets;
    if (audio_encoder) {
        FG_CHECK(audio_encoder->push(packet.get(), packets));
    } else {
        packets.push_back(std::move(packet));
    }
    return add_audio(std::move(packets));
}

Result<void> Segmenter::State::add_audio(std::vector<PacketPtr> packets) {
    const AVRational time_base = audio_encoder ? audio_encoder->time_base() : audio->time_base;
    for (PacketPtr& packet : packets) {
        move(*packet, time_base);
        FG_CHECK(keep(std::move(packet), audio_packets));
    }
    return {};
}

Result<ParametersPtr> Segmenter::State::video_parameters() const {
    if (!mezzanine) {
        return byte_stream ? byte_stream->parameters() : copy_parameters(*video->codecpar);
    }
    FG_TRY(parameters, mezzanine->parameters());
    // Which way up the pictures are is all that the codec does not keep.
    if (const std::int32_t* matrix = display_matrix_of(*video->codecpar)) {
        constexpr std::size_t kBytes = 9 * sizeof(std::int32_t);
        AVPacketSideData* side = av_packet_side_data_new(
            &parameters->coded_side_data, &parameters->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX, kBytes,
            0
        );
        if (side == nullptr) {
            throw std::bad_alloc();
        }
        std::memcpy(side->data, matrix, kBytes);
    }
    return parameters;
}

Result<std::optional<Segment>> Segmenter::State::finish_segment(std::int64_t segment_end) {
    std::vector<Track> tracks(1);
    FG_TRY(parameters, video_parameters());
    tracks[0].parameters = std::move(parameters);
    if (video->sample_aspect_ratio.num > 0) {
        tracks[0].parameters->sample_aspect_ratio = video->sample_aspect_ratio;
    }
    tracks[0].time_base = video->time_base;
    tracks[0].frame_rate = video->avg_frame_rate;
    tracks[0].packets = std::move(video_packets);
    if (audio != nullptr) {
        Track track;
        track.parameters = audio_encoder ? audio_encoder->parameters() : copy_parameters(*audio->codecpar);
        track.time_base = audio_encoder ? audio_encoder->time_base() : audio->time_base;
        auto later = clip_to_ms > 0 ? clip_audio(clip_to_ms) : std::vector<PacketPtr>();
        track.packets = std::exchange(audio_packets, std::move(later));
        tracks.push_back(std::move(track));
    }
    Segment segment;
    segment.starts_with_keyframe = (tracks[0].packets.front()->flags & AV_PKT_FLAG_KEY) != 0;
    segment.independent = segment.starts_with_keyframe && clip_to_ms == 0 && !has_leading(tracks[0].packets);
    FG_TRY(bytes, mux(format, tracks));
    segment.bytes = std::move(bytes);
    segment.reaches_next = settings.reach_next && pending != nullptr;
    segment.clip_to_ms = std::exchange(clip_to_ms, 0);
    segment.seq = seq++;
    segment.content_type = content_type_of(format);
    if (start != AV_NOPTS_VALUE) {
        segment.start_ms = av_rescale_q(start - first, video->time_base, {1, 1000});
        segment.duration_ms = std::max<std::int64_t>(
            0, av_rescale_q(segment_end - first, video->time_base, {1, 1000}) - segment.start_ms
        );
    }
    video_packets.clear();
    payload = 0;
    for (const PacketPtr& packet : audio_packets) {
        payload += static_cast<std::size_t>(packet->size);
    }
    start = AV_NOPTS_VALUE;
    end = AV_NOPTS_VALUE;
    return std::optional<Segment>(std::move(segment));
}

Result<bool> Segmenter::State::read(PacketPtr& packet) {
    for (;;) {
        if (!ahead.empty()) {
            packet = std::move(ahead.front());
            ahead.pop_front();
            return true;
        }
        packet = make_packet();
        FG_TRY(more, input->read(*packet));
        if (more) {
            follow_clock(*packet);
        }
        if (!mezzanine || (more && packet->stream_index != video->index)) {
            return more;
        }
        std::vector<PacketPtr> pictures;
        FG_CHECK(mezzanine->push(more ? packet.get() : nullptr, pictures));
        for (PacketPtr& picture : pictures) {
            picture->stream_index = video->index;
            ahead.push_back(std::move(picture));
        }
        if (!more && ahead.empty()) {
            return false;
        }
    }
}

// The pictures that are decoded after a keyframe and shown before it: those of an open GOP need what is
// before it, too.
Result<std::vector<PacketPtr>> Segmenter::State::take_leading(const AVPacket& key) {
    std::vector<PacketPtr> leading;
    std::vector<PacketPtr> passed;
    while (leading.size() < kLeadingMax && passed.size() < kAheadMax) {
        PacketPtr packet;
        FG_TRY(more, read(packet));
        if (!more) {
            break;  // the next read finds the end again
        }
        if (av_packet_make_refcounted(packet.get()) < 0) {
            throw std::bad_alloc();
        }
        const bool is_video = packet->stream_index == video->index;
        if (is_video && packet->pts != AV_NOPTS_VALUE && packet->pts < key.pts) {
            leading.push_back(std::move(packet));
            continue;
        }
        passed.push_back(std::move(packet));
        if (is_video) {
            break;
        }
    }
    ahead.insert(
        ahead.begin(), std::make_move_iterator(passed.begin()), std::make_move_iterator(passed.end())
    );
    return leading;
}

// Takes the sound that belongs behind the clip out of this segment: whoever clips would lose it.
std::vector<PacketPtr> Segmenter::State::clip_audio(std::int64_t to_ms) {
    constexpr std::int64_t kRoundingMs = 2;
    const AVRational time_base = audio_encoder ? audio_encoder->time_base() : audio->time_base;
    const std::int64_t begin_ms = av_rescale_q(start, video->time_base, {1, 1000}) + shift_us / 1000;
    const auto is_later = [&](const PacketPtr& packet) {
        return packet->pts != AV_NOPTS_VALUE &&
               av_rescale_q(packet->pts, time_base, {1, 1000}) - begin_ms >= to_ms - kRoundingMs;
    };
    const auto later =
        std::stable_partition(audio_packets.begin(), audio_packets.end(), std::not_fn(is_later));
    std::vector<PacketPtr> out(std::make_move_iterator(later), std::make_move_iterator(audio_packets.end()));
    audio_packets.erase(later, audio_packets.end());
    return out;
}

Result<std::optional<Segment>> Segmenter::State::cut_at(PacketPtr key) {
    const std::int64_t cut = time_of(*key);
    pending = std::move(key);
    if (settings.reach_next) {
        FG_CHECK(take_tail(*pending));
    } else if (settings.overlap && pending->pts != AV_NOPTS_VALUE) {
        FG_TRY(leading, take_leading(*pending));
        if (!leading.empty()) {
            FG_CHECK(take_tail(*pending));
            clip_to_ms =
                std::max<std::int64_t>(1, av_rescale_q(cut - start, video->time_base, {1, 1000}) - 1);
        }
        for (const PacketPtr& picture : leading) {
            FG_CHECK(take_tail(*picture));
        }
    }
    return finish_segment(cut);
}

Result<std::optional<Segment>> Segmenter::State::next() {
    if (pending) {
        FG_CHECK(take_video(std::move(pending)));
    }
    while (!at_end) {
        PacketPtr packet;
        FG_TRY(more, read(packet));
        if (!more) {
            at_end = true;
            break;
        }
        if (audio != nullptr && packet->stream_index == audio->index) {
            FG_CHECK(take_audio(std::move(packet)));
        } else if (packet->stream_index == video->index) {
            if (video_packets.empty() && seq == 0 && (packet->flags & AV_PKT_FLAG_KEY) == 0) {
                continue;  // nothing can be decoded before the first keyframe
            }
            if (cuts_here(*packet)) {
                return cut_at(std::move(packet));
            }
            FG_CHECK(take_video(std::move(packet)));
        }
    }
    if (audio_encoder) {
        std::vector<PacketPtr> rest;
        FG_CHECK(audio_encoder->push(nullptr, rest));
        FG_CHECK(add_audio(std::move(rest)));
    }
    if (!video_packets.empty()) {
        return finish_segment(end == AV_NOPTS_VALUE ? 0 : end);
    }
    if (seq == 0) {
        return fail(Errc::kUnprocessable, "No keyframes in input");
    }
    return std::optional<Segment>();
}

Segmenter::Segmenter(std::unique_ptr<State> state) : state_(std::move(state)) {}
Segmenter::~Segmenter() = default;

Result<std::unique_ptr<Segmenter>> Segmenter::open(std::unique_ptr<State> state) {
    FG_CHECK(state->prepare());
    return std::unique_ptr<Segmenter>(new Segmenter(std::move(state)));
}

Result<std::unique_ptr<Segmenter>> Segmenter::open(const std::string& path, SegmenterSettings settings) {
    return guarded([&]() -> Result<std::unique_ptr<Segmenter>> {
        auto state = std::make_unique<State>();
        state->settings = settings;
        state->open_input = [path] { return Input::open_file(path); };
        return open(std::move(state));
    });
}

Result<std::unique_ptr<Segmenter>> Segmenter::open(Blob file, SegmenterSettings settings) {
    return guarded([&]() -> Result<std::unique_ptr<Segmenter>> {
        auto state = std::make_unique<State>();
        state->settings = settings;
        state->open_input = [file] { return Input::open(file); };
        return open(std::move(state));
    });
}

const MediaInfo& Segmenter::info() const {
    return state_->info;
}

Result<std::optional<Segment>> Segmenter::next() {
    return guarded([this]() -> Result<std::optional<Segment>> {
        auto segment = state_->next();
        if (segment || segment.error().code != Errc::kTooLarge || state_->seq > 0 || state_->lossless) {
            return segment;
        }
        auto again = std::make_unique<State>();
        again->settings = state_->settings;
        again->open_input = state_->open_input;
        again->lossless = true;
        FG_CHECK(again->prepare());
        state_ = std::move(again);
        return state_->next();
    });
}

}  // namespace framegrid::media_ffmpeg
