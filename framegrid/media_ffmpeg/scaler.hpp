// Private: bicubic scaling and pixel format conversion with pooled output pictures.
#pragma once

#include <framegrid/media_ffmpeg/av.hpp>

struct SwsContext;

namespace framegrid::media_ffmpeg {

// One thread at a time. Keeps its scaling tables while the formats stay the same.
class Scaler {
  public:
    Scaler() = default;
    Scaler(const Scaler&) = delete;
    Scaler& operator=(const Scaler&) = delete;
    ~Scaler();

    // A picture of `size` in `format` with the source's properties; the source itself when nothing is to be
    // done.
    Result<FramePtr> scale(const AVFrame& source, media::Size size, AVPixelFormat format);

  private:
    struct Key {
        int width = 0, height = 0, format = -1, range = 0, space = 0;
        media::Size size;
        AVPixelFormat to = AV_PIX_FMT_NONE;
        bool operator==(const Key&) const = default;
    };
    Result<void> configure(const AVFrame& source, const Key& key);
    Result<FramePtr> allocate();

    Key key_;
    SwsContext* context_ = nullptr;
    AVBufferPool* pool_ = nullptr;
};

}  // namespace framegrid::media_ffmpeg
