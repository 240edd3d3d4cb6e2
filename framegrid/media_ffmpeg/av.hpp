// Private: owners for FFmpeg's objects, error conversion, and containers read from and written to memory.
#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libavutil/frame.h>
}

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/media/profile.hpp>

namespace framegrid::media_ffmpeg {

struct AvFree {
    void operator()(AVFrame* p) const { av_frame_free(&p); }
    void operator()(AVPacket* p) const { av_packet_free(&p); }
    void operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
    void operator()(AVCodecParameters* p) const { avcodec_parameters_free(&p); }
    void operator()(AVBufferRef* p) const { av_buffer_unref(&p); }
};
using FramePtr = std::unique_ptr<AVFrame, AvFree>;
using PacketPtr = std::unique_ptr<AVPacket, AvFree>;
using CodecPtr = std::unique_ptr<AVCodecContext, AvFree>;
using ParametersPtr = std::unique_ptr<AVCodecParameters, AvFree>;
using BufferPtr = std::unique_ptr<AVBufferRef, AvFree>;

// Allocation failure of these small objects is not survivable: std::bad_alloc, as for every other container.
FramePtr make_frame();
PacketPtr make_packet();
ParametersPtr copy_parameters(const AVCodecParameters& parameters);

// FFmpeg's text for a negative return value. Peers classify errors by some of these texts.
std::string av_text(int error);
// kInternal with FFmpeg's text; kTooLarge for a full output buffer, kIo for the system's errors.
std::unexpected<Error> av_fail(int error, std::string_view what, Errc code = Errc::kInternal);

// Options that a codec or container takes by name.
class Options {
  public:
    Options() = default;
    Options(const Options&) = delete;
    Options& operator=(const Options&) = delete;
    ~Options();
    void set(const char* key, std::string_view value);
    void set(const char* key, std::int64_t value);
    AVDictionary** get() { return &dictionary_; }

  private:
    AVDictionary* dictionary_ = nullptr;
};

// FFmpeg writes to stderr by itself otherwise. Safe to call often.
void quiet_av_logs();

// A public function's body: helpers report a failed allocation by throwing.
template <class F>
auto guarded(F&& body) -> decltype(body()) {
    quiet_av_logs();
    try {
        return body();
    } catch (const std::exception& error) {
        return fail(Errc::kInternal, std::string("out of memory: ") + error.what());
    }
}

inline constexpr int kSideMax = 16'384;                 // pixels
inline constexpr std::int64_t kPixelsMax = 64LL << 20;  // of one picture
// kTooLarge with a clear text when a picture of this size is refused.
Result<void> check_size(int width, int height);

// A container opened for reading. Never opens anything but the bytes (or the one file) it was given.
class Input {
  public:
    static Result<std::unique_ptr<Input>> open(Blob bytes);
    static Result<std::unique_ptr<Input>> open_file(const std::string& path);
    Input(const Input&) = delete;
    Input& operator=(const Input&) = delete;
    ~Input();

    // Fills the streams' parameters; reads at most `probe_bytes` and `probe_ms` of media.
    Result<void> find_streams(std::int64_t probe_bytes, std::int64_t probe_ms);
    AVFormatContext* get() const { return format_; }
    // The stream that a player would pick, or nullptr. Attached pictures do not count.
    AVStream* video() const;
    AVStream* audio() const;
    // False at the end. Damaged parts are skipped by the demuxer.
    Result<bool> read(AVPacket& packet);

  private:
    Input() = default;
    static Result<std::unique_ptr<Input>> finish_open(std::unique_ptr<Input> input, const char* path);
    static int read_bytes(void* opaque, std::uint8_t* to, int count);
    static std::int64_t seek_bytes(void* opaque, std::int64_t offset, int whence);

    Blob bytes_;
    std::int64_t position_ = 0;
    AVIOContext* io_ = nullptr;
    AVFormatContext* format_ = nullptr;
};

// One elementary stream to be muxed: its parameters and packets in decoding order, timestamps in `time_base`.
struct Track {
    ParametersPtr parameters;
    AVRational time_base{1, 90'000};
    AVRational frame_rate{0, 1};
    std::vector<PacketPtr> packets;
    const std::int32_t* display_matrix = nullptr;  // 9 numbers, or none
};

// Containers without decoding times (Matroska) leave holes, and some files have pictures that are shown
// before they are decoded. Then all decoding times are made anew: the display times in order, moved back as
// far as the reordering needs.
void repair_dts(Track& track);

enum class OutputFormat : std::uint8_t { kMpegTs, kMp4, kMov, kMatroska, kWebm };
OutputFormat output_format(media::Container container);

// Writes tracks into one file in memory, timestamps as they are (no shift). Repairs dts that run backwards.
// kTooLarge over the segment limit. Empty tracks are kept in the header.
Result<Blob> mux(OutputFormat format, std::vector<Track>& tracks);

bool fits_mpegts(AVCodecID codec);
bool fits_mp4(AVCodecID codec);
bool fits_mov(AVCodecID codec);

// The RFC 6381 name ("avc1.64001f"), or empty when it has none here.
std::string codec_string(const AVCodecParameters& parameters);

}  // namespace framegrid::media_ffmpeg
