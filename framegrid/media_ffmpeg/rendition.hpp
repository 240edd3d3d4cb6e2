// Private: one output of a transcode, made on its own thread.
#pragma once

#include <atomic>
#include <thread>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/media_ffmpeg/bounded_queue.hpp>
#include <framegrid/media_ffmpeg/frame_rate.hpp>
#include <framegrid/media_ffmpeg/scaler.hpp>
#include <framegrid/media_ffmpeg/turns.hpp>
#include <framegrid/media_ffmpeg/video_encoder.hpp>

namespace framegrid::media_ffmpeg {

// What all renditions of one segment share. The audio track is complete before the frame queues are closed.
struct SegmentRun {
    AVRational time_base{1, 90'000};
    AVRational frame_rate{30, 1};  // the source's, as far as known
    std::string preset;            // of the encoders
    std::string tune;
    const Hardware* hardware = nullptr;
    const api::StopFlag* stop = nullptr;
    bool makes_mpegts = false;  // some rendition is in this container
    bool makes_mp4 = false;
    std::atomic<bool> failed{false};  // some part gave up: the others should too
    ParametersPtr audio;              // null: no audio
    AVRational audio_time_base{1, 90'000};
    std::vector<PacketPtr> audio_packets;

    bool given_up() const {
        return failed.load(std::memory_order_relaxed) || stop->load(std::memory_order_relaxed);
    }
};

// The container of a rendition: the profile's, unless the codec needs another.
OutputFormat format_of(const media::VideoProfile& profile);

class Rendition {
  public:
    // `scaler` is the session's and used by this rendition alone.
    Rendition(
        const media::VideoProfile& profile, SegmentRun& run, Scaler& scaler, std::size_t frames_queued_max,
        int encoder_threads
    );

    // Called by the thread that decodes.
    bool push(const AVFrame& picture);
    void let_wait(std::size_t pictures) { queue_.set_limit(pictures); }
    void close() { queue_.close(); }
    void abandon() { queue_.abandon(); }

    // The thread's body: encodes until the queue is closed, then muxes. Computes in its turns only, if there
    // are any.
    Result<api::Artifact> make(Turns* turns, int rank);
    // The artifact of a segment without pictures: its audio.
    Result<api::Artifact> make_audio_only();

  private:
    Result<void> encode(const FrameRate::Shown& shown);
    Result<void> prepare_encoder(const AVFrame& picture);
    bool is_key(std::int64_t pts);
    Result<api::Artifact> finish();
    Track audio_track() const;

    const media::VideoProfile& profile_;
    SegmentRun& run_;
    Scaler& scaler_;
    int encoder_threads_;
    OutputFormat format_;
    BoundedQueue<FramePtr> queue_;
    FrameRate rate_;
    std::unique_ptr<VideoEncoder> encoder_;
    AVPixelFormat pixel_format_ = AV_PIX_FMT_NONE;
    media::Size size_;
    std::int64_t scaled_serial_ = 0;  // of the picture in scaled_
    FramePtr scaled_;
    ParametersPtr first_parameters_;
    std::vector<PacketPtr> packets_;
    std::int64_t next_key_ = AV_NOPTS_VALUE;
    std::int64_t pixels_ = 0;
};

}  // namespace framegrid::media_ffmpeg
