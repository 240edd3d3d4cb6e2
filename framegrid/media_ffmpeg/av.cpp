#include <framegrid/media_ffmpeg/av.hpp>

#include <algorithm>
#include <array>
#include <new>

namespace framegrid::media_ffmpeg {
namespace {

// Containers that may hold untrusted media. No playlists or scripts: those make FFmpeg open other files.
constexpr const char* kContainers =
    "mpegts,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,ogg,mpeg,mpegvideo,h264,hevc,obu,av1,ivf,nut,asf,"
    "m4v,gif,apng,mxf,gxf,rm,dv,yuv4mpegpipe,wtv,nsv,vc1,dirac,vvc";
constexpr int kIoBufferBytes = 64 * 1024;

int refuse_open(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) {
    return AVERROR(EPERM);
}

}  // namespace

FramePtr make_frame() {
    FramePtr frame(av_frame_alloc());
    if (!frame) {
        throw std::bad_alloc();
    }
    return frame;
}

PacketPtr make_packet() {
    PacketPtr packet(av_packet_alloc());
    if (!packet) {
        throw std::bad_alloc();
    }
    return packet;
}

ParametersPtr copy_parameters(const AVCodecParameters& parameters) {
    ParametersPtr copy(avcodec_parameters_alloc());
    if (!copy || avcodec_parameters_copy(copy.get(), &parameters) < 0) {
        throw std::bad_alloc();
    }
    return copy;
}

std::string av_text(int error) {
    std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
    av_strerror(error, text.data(), text.size());
    return text.data();
}

std::unexpected<Error> av_fail(int error, std::string_view what, Errc code) {
    if (error == AVERROR(EFBIG)) {
        code = Errc::kTooLarge;
    } else if (error == AVERROR(ENOSPC) || error == AVERROR(EACCES) || error == AVERROR(EROFS)) {
        code = Errc::kIo;
    } else if (error == AVERROR(ENOENT)) {
        code = Errc::kNotFound;
    }
    return fail(code, std::string(what) + ": " + av_text(error));
}

Options::~Options() {
    av_dict_free(&dictionary_);
}

void Options::set(const char* key, std::string_view value) {
    av_dict_set(&dictionary_, key, std::string(value).c_str(), 0);
}

void Options::set(const char* key, std::int64_t value) {
    av_dict_set_int(&dictionary_, key, value, 0);
}

void quiet_av_logs() {
    av_log_set_level(AV_LOG_QUIET);
}

Result<void> check_size(int width, int height) {
    if (width < 0 || height < 0 || width > kSideMax || height > kSideMax ||
        std::int64_t{width} * height > kPixelsMax) {
        return fail(
            Errc::kTooLarge, "TranscoderInvalidResolution: pictures of " + std::to_string(width) + "x" +
                                 std::to_string(height) +
                                 " are over the limit of 16384 per side and 64 megapixels"
        );
    }
    return {};
}

int Input::read_bytes(void* opaque, std::uint8_t* to, int count) {
    auto* self = static_cast<Input*>(opaque);
    const auto left = static_cast<std::int64_t>(self->bytes_.size()) - self->position_;
    if (left <= 0) {
        return AVERROR_EOF;
    }
    const auto n = static_cast<int>(std::min<std::int64_t>(left, count));
    std::memcpy(to, self->bytes_.data() + self->position_, static_cast<std::size_t>(n));
    self->position_ += n;
    return n;
}

std::int64_t Input::seek_bytes(void* opaque, std::int64_t offset, int whence) {
    auto* self = static_cast<Input*>(opaque);
    const auto size = static_cast<std::int64_t>(self->bytes_.size());
    switch (whence & ~AVSEEK_FORCE) {
        case AVSEEK_SIZE:
            return size;
        case SEEK_SET:
            break;
        case SEEK_CUR:
            offset += self->position_;
            break;
        case SEEK_END:
            offset += size;
            break;
        default:
            return AVERROR(EINVAL);
    }
    if (offset < 0 || offset > size) {
        return AVERROR(EINVAL);
    }
    return self->position_ = offset;
}

Result<std::unique_ptr<Input>> Input::finish_open(std::unique_ptr<Input> input, const char* path) {
    AVFormatContext* format = input->format_;
    format->max_streams = 64;
    Options options;
    options.set("protocol_whitelist", path == nullptr ? "" : "file,crypto,data");
    if (path == nullptr) {
        options.set("format_whitelist", kContainers);
        format->io_open = refuse_open;
    }
    // avformat_open_input frees the context when it fails.
    const int error = avformat_open_input(&input->format_, path, nullptr, options.get());
    if (error < 0) {
        if (error == AVERROR(ENOENT) || error == AVERROR(EACCES) || error == AVERROR(EISDIR)) {
            return av_fail(error, "cannot open " + std::string(path == nullptr ? "" : path));
        }
        return av_fail(error, "TranscoderInvalidVideo: not a readable video container", Errc::kUnprocessable);
    }
    for (unsigned i = 0; i < input->format_->nb_streams; ++i) {
        const AVCodecParameters& parameters = *input->format_->streams[i]->codecpar;
        FG_CHECK(check_size(parameters.width, parameters.height));
    }
    return input;
}

Result<std::unique_ptr<Input>> Input::open(Blob bytes) {
    quiet_av_logs();
    if (bytes.empty()) {
        return fail(Errc::kUnprocessable, "TranscoderInvalidVideo: the segment is empty");
    }
    std::unique_ptr<Input> input(new Input());
    input->bytes_ = std::move(bytes);
    input->format_ = avformat_alloc_context();
    auto* buffer = static_cast<unsigned char*>(av_malloc(kIoBufferBytes));
    input->io_ = avio_alloc_context(
        buffer, kIoBufferBytes, 0, input.get(), &Input::read_bytes, nullptr, &Input::seek_bytes
    );
    if (input->format_ == nullptr || input->io_ == nullptr) {
        throw std::bad_alloc();
    }
    input->format_->pb = input->io_;
    return finish_open(std::move(input), nullptr);
}

Result<std::unique_ptr<Input>> Input::open_file(const std::string& path) {
    quiet_av_logs();
    std::unique_ptr<Input> input(new Input());
    input->format_ = avformat_alloc_context();
    if (input->format_ == nullptr) {
        throw std::bad_alloc();
    }
    return finish_open(std::move(input), path.c_str());
}

Input::~Input() {
    avformat_close_input(&format_);
    if (io_ != nullptr) {
        av_freep(&io_->buffer);
        avio_context_free(&io_);
    }
}

Result<void> Input::find_streams(std::int64_t probe_bytes, std::int64_t probe_ms) {
    format_->probesize = probe_bytes;
    format_->max_analyze_duration = probe_ms * 1000;
    const unsigned count = format_->nb_streams;
    std::vector<AVDictionary*> options(count + 1, nullptr);
    for (unsigned i = 0; i < count; ++i) {
        av_dict_set_int(&options[i], "max_pixels", kPixelsMax, 0);
        av_dict_set(&options[i], "threads", "1", 0);
    }
    const int error = avformat_find_stream_info(format_, options.data());
    for (AVDictionary*& dictionary : options) {
        av_dict_free(&dictionary);
    }
    if (error < 0) {
        return av_fail(error, "TranscoderInvalidVideo: no streams found", Errc::kUnprocessable);
    }
    for (unsigned i = 0; i < format_->nb_streams; ++i) {
        const AVCodecParameters& parameters = *format_->streams[i]->codecpar;
        FG_CHECK(check_size(parameters.width, parameters.height));
    }
    return {};
}

AVStream* Input::video() const {
    const int index = av_find_best_stream(format_, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
    if (index < 0 || (format_->streams[index]->disposition & AV_DISPOSITION_ATTACHED_PIC) != 0) {
        return nullptr;
    }
    return format_->streams[index];
}

AVStream* Input::audio() const {
    const int index = av_find_best_stream(format_, AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
    return index < 0 ? nullptr : format_->streams[index];
}

Result<bool> Input::read(AVPacket& packet) {
    av_packet_unref(&packet);
    const int error = av_read_frame(format_, &packet);
    if (error >= 0) {
        return true;
    }
    // A cut file ends with an I/O or data error: what came before it is still good.
    if (error == AVERROR_EOF || error == AVERROR_INVALIDDATA || error == AVERROR(EIO) ||
        error == AVERROR(EINVAL)) {
        return false;
    }
    return av_fail(error, "reading the container", Errc::kUnprocessable);
}

}  // namespace framegrid::media_ffmpeg
