// Private: re-encoding an audio stream, for codecs that a container cannot carry.
#pragma once

#include <framegrid/media_ffmpeg/av.hpp>

struct SwrContext;
struct AVAudioFifo;

namespace framegrid::media_ffmpeg {

class AudioRecoder {
  public:
    enum class To : std::uint8_t { kAac, kOpus };
    // kUnsupported: the codec cannot be read, or this FFmpeg has no encoder for the other one.
    static Result<std::unique_ptr<AudioRecoder>> open(
        const AVCodecParameters& parameters, AVRational time_base, To to = To::kAac
    );
    AudioRecoder(const AudioRecoder&) = delete;
    AudioRecoder& operator=(const AudioRecoder&) = delete;
    ~AudioRecoder();

    // Feeds a packet (nullptr: the end) and appends encoded packets, in time_base().
    Result<void> push(const AVPacket* packet, std::vector<PacketPtr>& out);
    ParametersPtr parameters() const;
    AVRational time_base() const { return encoder_->time_base; }

  private:
    AudioRecoder() = default;
    Result<void> convert(const AVFrame* frame);
    Result<void> encode(bool last, std::vector<PacketPtr>& out);
    void take_packets(std::vector<PacketPtr>& out);

    AVRational in_time_base_{1, 1};
    CodecPtr decoder_;
    CodecPtr encoder_;
    SwrContext* resampler_ = nullptr;
    AVAudioFifo* fifo_ = nullptr;
    std::int64_t next_pts_ = AV_NOPTS_VALUE;  // of the first sample in the fifo
    int in_rate_ = 0;
    int in_format_ = -1;
    int in_channels_ = 0;
};

}  // namespace framegrid::media_ffmpeg
