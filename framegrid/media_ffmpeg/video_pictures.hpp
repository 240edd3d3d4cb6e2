// Private: a video's pictures one after the other, as plain RGB.
#pragma once

#include <functional>

#include <framegrid/media_ffmpeg/rgb.hpp>
#include <framegrid/media_ffmpeg/segment_decoder.hpp>

namespace framegrid::media_ffmpeg {

class VideoPictures {
  public:
    VideoPictures(const Blob& video, const api::StopFlag& stop, int threads = 1)
        : video_(video), threads_(threads) {
        run_.hardware = &hardware_;
        run_.stop = &stop;
    }

    // Told of each picture and its time in ms from the first; false: no more are wanted.
    using Take = std::function<Result<bool>(const AVFrame& picture, std::int64_t at_ms)>;
    // kUnprocessable: there is no picture.
    Result<void> read(const Take& take);
    // The same picture at another size; its own for 0x0.
    Result<api::RgbImage> rgb(const AVFrame& picture, media::Size size = {}) {
        return to_rgb(scaler_, picture, size.width > 0 ? size : media::Size{picture.width, picture.height});
    }
    // Pictures a second, exactly; 30 if the file does not say. After the first picture.
    AVRational frame_rate() const;

  private:
    const Blob& video_;
    int threads_;
    Hardware hardware_;
    SegmentRun run_;
    Session session_;
    Scaler scaler_;
};

}  // namespace framegrid::media_ffmpeg
