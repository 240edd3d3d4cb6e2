// Blocking ports used inside an executor process: codecs and inference. No event loop there.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <framegrid/api/work.hpp>

namespace framegrid::api {

// Set by another thread to make a blocking call return kCancelled soon.
using StopFlag = std::atomic<bool>;

inline const WorkEvents kNoEvents;

// What a piece of work runs under.
struct WorkContext {
    const StopFlag& stop;
    const WorkEvents& events = kNoEvents;  // called on any thread, one at a time; they never throw
    TimePoint deadline = TimePoint::max();
};

// A picture in memory: interleaved 8-bit RGB, rows without padding, sRGB values as decoded.
struct RgbImage {
    int width = 0;
    int height = 0;
    Bytes pixels;  // width * height * 3
};

// Port of the transcode pipeline: one decode, all renditions.
class Transcoder {
  public:
    virtual ~Transcoder() = default;
    // Blocking. Errors carry the texts that peers classify by (transcoding reference, non-retryable errors).
    // `early` is told of renditions as they are done, on any thread, one at a time; it must not throw.
    virtual Result<WorkOutput> transcode(
        const std::string& session_id, const TranscodeWork& work, const Blob& segment, const StopFlag& stop,
        const ArtifactSink& early
    ) = 0;
    virtual void end_session(const std::string& session_id) = 0;
};

// Port: turns batches of equally sized pictures into pictures, for example super-resolution.
class ImageModel {
  public:
    virtual ~ImageModel() = default;
    virtual int scale() const = 0;  // output side / input side
    // tiles: [n, 3, tile_h, tile_w] float in 0..1, row-major; the result is [n, 3, tile_h*scale,
    // tile_w*scale].
    virtual Result<std::vector<float>> infer(
        const std::vector<float>& tiles, int count, int tile_height, int tile_width
    ) = 0;
};

enum class ImageFormat : std::uint8_t { kPng, kJpeg, kWebp };
enum class VideoFormat : std::uint8_t { kMp4, kWebm };  // H.264, VP9

// What frames a retimed video has.
struct Retiming {
    int fps = 0;         // evenly spaced, so many per second; 0: `multiplier` counts
    int multiplier = 2;  // frames out for each frame in
    // The last picture of the input is only there to be reached: it belongs to the next segment.
    bool open_end = false;
};

// The picture at `time` between two neighbours, 0 < time < 1; of the same size.
using Between = std::function<Result<RgbImage>(const RgbImage& before, const RgbImage& after, double time)>;

// Port: pictures and videos in and out of memory.
class MediaCodec {
  public:
    virtual ~MediaCodec() = default;
    // kUnprocessable: not a picture; kTooLarge: over `pixels_max`. Declared types are ignored, content is
    // sniffed.
    virtual Result<RgbImage> decode_image(const Blob& file, std::int64_t pixels_max) = 0;
    // Quality 1 to 100, for the formats that lose something.
    virtual Result<Blob> encode_image(const RgbImage& image, ImageFormat format, int quality) = 0;
    // The picture at another size, smoothly.
    virtual Result<RgbImage> resize(const RgbImage& image, media::Size size) = 0;
    // A video of these pictures, all of one size, without sound.
    virtual Result<Artifact> encode_video(
        std::span<const RgbImage> frames, int fps, VideoFormat format, const StopFlag& stop
    ) = 0;
    // Decodes frame by frame and fills in frames between each two neighbours; audio copied. Never holds more
    // than a few frames. MPEG-TS out for MPEG-TS in, else MP4.
    virtual Result<Artifact> retime_video(
        const Blob& segment, const Retiming& retiming, const Between& between, const StopFlag& stop
    ) = 0;
    // Decodes frame by frame, hands each to `map` and encodes what it returns (size `scale` times the
    // input's), audio copied, timestamps kept. Never holds more than a few frames. MPEG-TS out for MPEG-TS
    // in, else MP4.
    virtual Result<Artifact> map_video(
        const Blob& segment, int scale, const std::function<Result<RgbImage>(const RgbImage&)>& map,
        const StopFlag& stop
    ) = 0;
};

}  // namespace framegrid::api
