// Private: making every H.264/HEVC segment start with its parameter sets.
#pragma once

#include <framegrid/media_ffmpeg/av.hpp>

struct AVBSFContext;

namespace framegrid::media_ffmpeg {

// Turns a stream into the byte-stream form that MPEG-TS carries, and adds parameter sets to pictures that
// lack them.
class ByteStream {
  public:
    // Null for codecs that have no parameter sets.
    static Result<std::unique_ptr<ByteStream>> open(
        const AVCodecParameters& parameters, AVRational time_base
    );
    ByteStream(const ByteStream&) = delete;
    ByteStream& operator=(const ByteStream&) = delete;
    ~ByteStream();

    Result<PacketPtr> convert(PacketPtr packet);
    // Puts the parameter sets in front unless the packet has its own.
    Result<PacketPtr> with_parameter_sets(PacketPtr packet) const;
    ParametersPtr parameters() const;

  private:
    ByteStream() = default;
    AVBSFContext* filter_ = nullptr;
};

}  // namespace framegrid::media_ffmpeg
