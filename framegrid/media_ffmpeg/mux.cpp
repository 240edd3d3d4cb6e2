// Muxing into memory, and what fits into which container.
#include <algorithm>
#include <new>

extern "C" {
#include <libavutil/mathematics.h>
}

#include <framegrid/media_ffmpeg/av.hpp>

namespace framegrid::media_ffmpeg {
namespace {

constexpr int kIoBufferBytes = 64 * 1024;

// A growing file in memory that the muxer may seek in and (for "faststart") read back.
class MemoryFile {
  public:
    MemoryFile() = default;
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;

    AVIOContext* open(bool write) {
        auto cursor = std::make_unique<Cursor>(Cursor{this, 0});
        auto* buffer = static_cast<unsigned char*>(av_malloc(kIoBufferBytes));
        AVIOContext* io = avio_alloc_context(
            buffer, kIoBufferBytes, write ? 1 : 0, cursor.get(), &read_bytes, &write_bytes, &seek_bytes
        );
        if (io == nullptr) {
            throw std::bad_alloc();
        }
        cursors_.push_back(std::move(cursor));
        return io;
    }
    static void close(AVIOContext* io) {
        av_freep(&io->buffer);
        avio_context_free(&io);
    }
    Bytes take() { return std::move(bytes_); }

  private:
    struct Cursor {
        MemoryFile* file;
        std::int64_t position;
    };

    static int read_bytes(void* opaque, std::uint8_t* to, int count) {
        auto* cursor = static_cast<Cursor*>(opaque);
        const auto left = static_cast<std::int64_t>(cursor->file->bytes_.size()) - cursor->position;
        if (left <= 0) {
            return AVERROR_EOF;
        }
        const auto n = static_cast<int>(std::min<std::int64_t>(left, count));
        std::memcpy(to, cursor->file->bytes_.data() + cursor->position, static_cast<std::size_t>(n));
        cursor->position += n;
        return n;
    }
    static int write_bytes(void* opaque, const std::uint8_t* from, int count) {
        auto* cursor = static_cast<Cursor*>(opaque);
        Bytes& bytes = cursor->file->bytes_;
        const std::int64_t end = cursor->position + count;
        if (end > static_cast<std::int64_t>(media::kSegmentBytesMax)) {
            return AVERROR(EFBIG);
        }
        if (end > static_cast<std::int64_t>(bytes.size())) {
            bytes.resize(static_cast<std::size_t>(end));
        }
        std::memcpy(bytes.data() + cursor->position, from, static_cast<std::size_t>(count));
        cursor->position = end;
        return count;
    }
    static std::int64_t seek_bytes(void* opaque, std::int64_t offset, int whence) {
        auto* cursor = static_cast<Cursor*>(opaque);
        const auto size = static_cast<std::int64_t>(cursor->file->bytes_.size());
        switch (whence & ~AVSEEK_FORCE) {
            case AVSEEK_SIZE:
                return size;
            case SEEK_SET:
                break;
            case SEEK_CUR:
                offset += cursor->position;
                break;
            case SEEK_END:
                offset += size;
                break;
            default:
                return AVERROR(EINVAL);
        }
        if (offset < 0 || offset > static_cast<std::int64_t>(media::kSegmentBytesMax)) {
            return AVERROR(EINVAL);
        }
        return cursor->position = offset;
    }

    Bytes bytes_;
    std::vector<std::unique_ptr<Cursor>> cursors_;
};

// The muxer, with its streams; frees everything in the right order.
class Muxer {
  public:
    explicit Muxer(OutputFormat format) : format_(format) {}
    Muxer(const Muxer&) = delete;
    Muxer& operator=(const Muxer&) = delete;
    ~Muxer() {
        if (context_ != nullptr) {
            context_->pb = nullptr;
            avformat_free_context(context_);
        }
        if (io_ != nullptr) {
            MemoryFile::close(io_);
        }
    }

    Result<Blob> write(std::vector<Track>& tracks);

  private:
    Result<void> open(const std::vector<Track>& tracks);
    Result<void> write_packet(std::size_t index, const Track& track, AVPacket& packet);

    // "faststart" reads back what it wrote to move the index to the front.
    static int
    open_again(AVFormatContext* context, AVIOContext** io, const char*, int flags, AVDictionary**) {
        if ((flags & AVIO_FLAG_WRITE) != 0) {
            return AVERROR(EPERM);
        }
        *io = static_cast<MemoryFile*>(context->opaque)->open(false);
        return 0;
    }
    static int close_again(AVFormatContext*, AVIOContext* io) {
        MemoryFile::close(io);
        return 0;
    }

    OutputFormat format_;
    MemoryFile file_;
    AVIOContext* io_ = nullptr;
    AVFormatContext* context_ = nullptr;
    std::vector<std::int64_t> last_dts_;
};

Result<void> Muxer::open(const std::vector<Track>& tracks) {
    const char* name = format_ == OutputFormat::kMpegTs ? "mpegts"
                       : format_ == OutputFormat::kMp4  ? "mp4"
                       : format_ == OutputFormat::kMov  ? "mov"
                       : format_ == OutputFormat::kWebm ? "webm"
                                                        : "matroska";
    if (const int error = avformat_alloc_output_context2(&context_, nullptr, name, nullptr); error < 0) {
        return av_fail(error, "opening the muxer");
    }
    io_ = file_.open(true);
    context_->pb = io_;
    context_->opaque = &file_;
    context_->io_open = &Muxer::open_again;
    context_->io_close2 = &Muxer::close_again;
    context_->url = av_strdup("memory");
    context_->max_delay = 0;
    context_->avoid_negative_ts = AVFMT_AVOID_NEG_TS_DISABLED;
    av_dict_set(&context_->metadata, "service_provider", "Framegrid", 0);
    av_dict_set(&context_->metadata, "service_name", "Framegrid", 0);
    for (const Track& track : tracks) {
        AVStream* stream = avformat_new_stream(context_, nullptr);
        if (stream == nullptr || avcodec_parameters_copy(stream->codecpar, track.parameters.get()) < 0) {
            throw std::bad_alloc();
        }
        stream->codecpar->codec_tag = 0;
        if (format_ == OutputFormat::kMp4 && stream->codecpar->codec_id == AV_CODEC_ID_HEVC) {
            stream->codecpar->codec_tag = MKTAG('h', 'v', 'c', '1');  // what Apple's players accept
        }
        stream->time_base = track.time_base;
        stream->avg_frame_rate = track.frame_rate;
        if (track.display_matrix != nullptr) {
            AVCodecParameters& to = *stream->codecpar;
            AVPacketSideData* side = av_packet_side_data_new(
                &to.coded_side_data, &to.nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX,
                9 * sizeof(std::int32_t), 0
            );
            if (side != nullptr) {
                std::memcpy(side->data, track.display_matrix, 9 * sizeof(std::int32_t));
            }
        }
    }
    Options options;
    if (format_ == OutputFormat::kMpegTs) {
        options.set("mpegts_copyts", "1");
        // Every segment counts its packets from 0: a reader that goes from one to the next must not take that
        // for loss.
        options.set("mpegts_flags", "+initial_discontinuity");
    } else if (format_ == OutputFormat::kMp4 || format_ == OutputFormat::kMov) {
        options.set("movflags", "+faststart");
        options.set("movie_timescale", "90000");  // an edit list in milliseconds would round the start
    }
    if (const int error = avformat_write_header(context_, options.get()); error < 0) {
        return av_fail(error, "writing the container's header", Errc::kUnsupported);
    }
    last_dts_.assign(tracks.size(), AV_NOPTS_VALUE);
    return {};
}

Result<void> Muxer::write_packet(std::size_t index, const Track& track, AVPacket& packet) {
    AVStream* stream = context_->streams[index];
    packet.stream_index = static_cast<int>(index);
    av_packet_rescale_ts(&packet, track.time_base, stream->time_base);
    if (packet.dts == AV_NOPTS_VALUE) {
        packet.dts = packet.pts != AV_NOPTS_VALUE ? packet.pts : last_dts_[index] + 1;
    }
    if (packet.pts == AV_NOPTS_VALUE) {
        packet.pts = packet.dts;
    }
    // MPEG-TS has no negative times: squeeze the first reordered pictures behind zero.
    if (format_ == OutputFormat::kMpegTs && packet.dts < 0 && packet.pts >= 0) {
        packet.dts = 0;
    }
    std::int64_t& last = last_dts_[index];
    if (last != AV_NOPTS_VALUE && packet.dts <= last) {
        packet.dts = last + 1;
    }
    packet.pts = std::max(packet.pts, packet.dts);
    last = packet.dts;
    if (const int error = av_interleaved_write_frame(context_, &packet); error < 0) {
        return av_fail(error, "writing the container");
    }
    return {};
}

Result<Blob> Muxer::write(std::vector<Track>& tracks) {
    FG_CHECK(open(tracks));
    std::ranges::for_each(tracks, repair_dts);
    std::vector<std::size_t> next(tracks.size(), 0);
    while (true) {
        std::size_t chosen = tracks.size();
        for (std::size_t i = 0; i < tracks.size(); ++i) {
            if (next[i] == tracks[i].packets.size()) {
                continue;
            }
            if (chosen == tracks.size() ||
                av_compare_ts(
                    tracks[i].packets[next[i]]->dts, tracks[i].time_base,
                    tracks[chosen].packets[next[chosen]]->dts, tracks[chosen].time_base
                ) < 0) {
                chosen = i;
            }
        }
        if (chosen == tracks.size()) {
            break;
        }
        FG_CHECK(write_packet(chosen, tracks[chosen], *tracks[chosen].packets[next[chosen]]));
        ++next[chosen];
    }
    if (const int error = av_write_trailer(context_); error < 0) {
        return av_fail(error, "finishing the container");
    }
    avio_flush(io_);
    if (io_->error < 0) {
        return av_fail(io_->error, "writing the container");
    }
    return Blob(file_.take());
}

std::string hex2(unsigned value) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    return {kDigits[(value >> 4) & 15], kDigits[value & 15]};
}

std::string avc_string(const AVCodecParameters& parameters) {
    const std::uint8_t* data = parameters.extradata;
    const int size = parameters.extradata_size;
    if (size >= 4 && data[0] == 1) {
        return "avc1." + hex2(data[1]) + hex2(data[2]) + hex2(data[3]);
    }
    for (int i = 0; i + 6 < size; ++i) {
        if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1 && (data[i + 3] & 0x1F) == 7) {
            return "avc1." + hex2(data[i + 4]) + hex2(data[i + 5]) + hex2(data[i + 6]);
        }
    }
    if (parameters.profile < 0 || parameters.level < 0) {
        return "avc1.64001f";
    }
    const auto profile = static_cast<unsigned>(parameters.profile);
    return "avc1." + hex2(profile & 0xFF) + hex2((profile & AV_PROFILE_H264_CONSTRAINED) != 0 ? 0x40 : 0) +
           hex2(static_cast<unsigned>(parameters.level));
}

}  // namespace

void repair_dts(Track& track) {
    std::int64_t last = INT64_MIN;
    bool broken = false;
    std::vector<std::int64_t> times;
    for (const PacketPtr& packet : track.packets) {
        if (packet->pts == AV_NOPTS_VALUE) {
            return;  // nothing to go by; the writer takes them one after the other
        }
        broken = broken || packet->dts == AV_NOPTS_VALUE || packet->dts > packet->pts || packet->dts <= last;
        last = packet->dts;
        times.push_back(packet->pts);
    }
    if (!broken) {
        return;
    }
    std::ranges::sort(times);
    std::int64_t back = 0;
    for (std::size_t i = 0; i < times.size(); ++i) {
        back = std::max(back, times[i] - track.packets[i]->pts);
    }
    for (std::size_t i = 0; i < times.size(); ++i) {
        track.packets[i]->dts = times[i] - back;
    }
}

OutputFormat output_format(media::Container container) {
    return container == media::Container::kMp4 ? OutputFormat::kMp4 : OutputFormat::kMpegTs;
}

Result<Blob> mux(OutputFormat format, std::vector<Track>& tracks) {
    return Muxer(format).write(tracks);
}

bool fits_mpegts(AVCodecID codec) {
    switch (codec) {
        case AV_CODEC_ID_H264:
        case AV_CODEC_ID_HEVC:
        case AV_CODEC_ID_MPEG1VIDEO:
        case AV_CODEC_ID_MPEG2VIDEO:
        case AV_CODEC_ID_MPEG4:
        case AV_CODEC_ID_AAC:
        case AV_CODEC_ID_MP2:
        case AV_CODEC_ID_MP3:
        case AV_CODEC_ID_AC3:
        case AV_CODEC_ID_EAC3:
        case AV_CODEC_ID_OPUS:
            return true;
        default:
            return false;
    }
}

bool fits_mp4(AVCodecID codec) {
    switch (codec) {
        case AV_CODEC_ID_H264:
        case AV_CODEC_ID_HEVC:
        case AV_CODEC_ID_VP9:
        case AV_CODEC_ID_AV1:
        case AV_CODEC_ID_MPEG1VIDEO:
        case AV_CODEC_ID_MPEG2VIDEO:
        case AV_CODEC_ID_MPEG4:
        case AV_CODEC_ID_MJPEG:
        case AV_CODEC_ID_AAC:
        case AV_CODEC_ID_MP3:
        case AV_CODEC_ID_AC3:
        case AV_CODEC_ID_EAC3:
        case AV_CODEC_ID_OPUS:
        case AV_CODEC_ID_FLAC:
            return true;
        default:
            return false;
    }
}

bool fits_mov(AVCodecID codec) {
    switch (codec) {
        case AV_CODEC_ID_PRORES:
        case AV_CODEC_ID_DNXHD:
        case AV_CODEC_ID_DVVIDEO:
        case AV_CODEC_ID_H263:
        case AV_CODEC_ID_JPEG2000:
        case AV_CODEC_ID_QTRLE:
        case AV_CODEC_ID_PNG:
        case AV_CODEC_ID_GIF:
            return true;
        default:
            return false;
    }
}

std::string codec_string(const AVCodecParameters& parameters) {
    const int level = std::max(0, parameters.level);
    switch (parameters.codec_id) {
        case AV_CODEC_ID_H264:
            return avc_string(parameters);
        case AV_CODEC_ID_HEVC:
            return parameters.profile == AV_PROFILE_HEVC_MAIN_10
                       ? "hvc1.2.4.L" + std::to_string(level) + ".B0"
                       : "hvc1.1.6.L" + std::to_string(level) + ".B0";
        case AV_CODEC_ID_VP8:
            return "vp8";
        case AV_CODEC_ID_VP9:
            return "vp09.00.31.08";
        case AV_CODEC_ID_AV1:
            return "av01.0.08M.08";
        case AV_CODEC_ID_AAC:
            return "mp4a.40.2";
        case AV_CODEC_ID_MP3:
            return "mp4a.40.34";
        case AV_CODEC_ID_AC3:
            return "ac-3";
        case AV_CODEC_ID_EAC3:
            return "ec-3";
        case AV_CODEC_ID_OPUS:
            return "opus";
        case AV_CODEC_ID_FLAC:
            return "fLaC";
        default:
            return {};
    }
}

}  // namespace framegrid::media_ffmpeg
