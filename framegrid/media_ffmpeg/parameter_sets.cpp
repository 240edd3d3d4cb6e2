#include <framegrid/media_ffmpeg/parameter_sets.hpp>

#include <algorithm>
#include <new>

extern "C" {
#include <libavcodec/bsf.h>
}

namespace framegrid::media_ffmpeg {
namespace {

bool has_sps(BytesView data, AVCodecID codec) {
    for (std::size_t i = 0; i + 3 < data.size(); ++i) {
        if (data[i] != 0 || data[i + 1] != 0 || data[i + 2] != 1) {
            continue;
        }
        const int type = codec == AV_CODEC_ID_H264 ? data[i + 3] & 0x1F : (data[i + 3] >> 1) & 0x3F;
        if (type == (codec == AV_CODEC_ID_H264 ? 7 : 33)) {
            return true;
        }
        if (codec == AV_CODEC_ID_H264 && (type == 1 || type == 5)) {
            return false;  // slices follow the parameter sets
        }
        i += 3;
    }
    return false;
}

}  // namespace

ByteStream::~ByteStream() {
    av_bsf_free(&filter_);
}

Result<std::unique_ptr<ByteStream>> ByteStream::open(
    const AVCodecParameters& parameters, AVRational time_base
) {
    const bool is_avc = parameters.codec_id == AV_CODEC_ID_H264;
    if (!is_avc && parameters.codec_id != AV_CODEC_ID_HEVC) {
        return std::unique_ptr<ByteStream>();
    }
    std::unique_ptr<ByteStream> self(new ByteStream());
    const AVBitStreamFilter* filter = av_bsf_get_by_name(is_avc ? "h264_mp4toannexb" : "hevc_mp4toannexb");
    int error = filter == nullptr ? AVERROR_BSF_NOT_FOUND : av_bsf_alloc(filter, &self->filter_);
    if (error >= 0) {
        self->filter_->time_base_in = time_base;
        error = avcodec_parameters_copy(self->filter_->par_in, &parameters);
    }
    error = error < 0 ? error : av_bsf_init(self->filter_);
    if (error < 0) {
        return av_fail(error, "preparing the video stream", Errc::kUnprocessable);
    }
    return self;
}

Result<PacketPtr> ByteStream::convert(PacketPtr packet) {
    int error = av_bsf_send_packet(filter_, packet.get());
    if (error >= 0) {
        error = av_bsf_receive_packet(filter_, packet.get());
    }
    if (error < 0) {
        return av_fail(error, "converting the video stream", Errc::kUnprocessable);
    }
    return packet;
}

Result<PacketPtr> ByteStream::with_parameter_sets(PacketPtr packet) const {
    const AVCodecParameters& parameters = *filter_->par_out;
    const auto extra = static_cast<std::size_t>(std::max(0, parameters.extradata_size));
    const auto size = static_cast<std::size_t>(packet->size);
    if (extra == 0 || has_sps({packet->data, size}, parameters.codec_id)) {
        return packet;
    }
    PacketPtr longer = make_packet();
    if (av_new_packet(longer.get(), static_cast<int>(extra + size)) < 0 ||
        av_packet_copy_props(longer.get(), packet.get()) < 0) {
        throw std::bad_alloc();
    }
    std::memcpy(longer->data, parameters.extradata, extra);
    std::memcpy(longer->data + extra, packet->data, size);
    return longer;
}

ParametersPtr ByteStream::parameters() const {
    return copy_parameters(*filter_->par_out);
}

}  // namespace framegrid::media_ffmpeg
