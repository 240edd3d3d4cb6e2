#include <framegrid/media_ffmpeg/hardware.hpp>

#include <new>

extern "C" {
#include <libavutil/hwcontext.h>
}

namespace framegrid::media_ffmpeg {
namespace {

// Opens an H.264 encoder on the GPU: nothing else says whether there is one.
bool has_encoder(Hardware::Kind kind, AVBufferRef* device) {
    constexpr int kSide = 256;  // all of them take this
    const bool is_vaapi = kind == Hardware::Kind::kVaapi;
    const AVCodec* codec = avcodec_find_encoder_by_name(is_vaapi ? "h264_vaapi" : "h264_nvenc");
    const CodecPtr context(codec == nullptr ? nullptr : avcodec_alloc_context3(codec));
    if (!context) {
        return false;
    }
    context->width = kSide;
    context->height = kSide;
    context->time_base = {1, 30};
    context->pix_fmt = AV_PIX_FMT_YUV420P;
    if (is_vaapi) {
        BufferPtr frames(av_hwframe_ctx_alloc(device));
        if (!frames) {
            throw std::bad_alloc();
        }
        auto* pool = reinterpret_cast<AVHWFramesContext*>(frames->data);
        pool->format = AV_PIX_FMT_VAAPI;
        pool->sw_format = AV_PIX_FMT_NV12;
        pool->width = kSide;
        pool->height = kSide;
        if (av_hwframe_ctx_init(frames.get()) < 0) {
            return false;
        }
        context->pix_fmt = AV_PIX_FMT_VAAPI;
        context->hw_frames_ctx = frames.release();
    }
    return avcodec_open2(context.get(), codec, nullptr) >= 0;
}

Result<Hardware> open_kind(Hardware::Kind kind, const std::string& device) {
    const auto type = kind == Hardware::Kind::kNvidia ? AV_HWDEVICE_TYPE_CUDA : AV_HWDEVICE_TYPE_VAAPI;
    AVBufferRef* reference = nullptr;
    const int error =
        av_hwdevice_ctx_create(&reference, type, device.empty() ? nullptr : device.c_str(), nullptr, 0);
    if (error < 0) {
        return av_fail(error, "TranscoderIncompatibleDevices: the GPU does not open", Errc::kUnsupported);
    }
    BufferPtr opened(reference);
    const bool encodes = has_encoder(kind, opened.get());
    return Hardware{kind, std::move(opened), encodes};
}

}  // namespace

Result<Hardware> open_hardware(const std::string& name, const std::string& device) {
    quiet_av_logs();
    if (name == "none" || name.empty()) {
        return Hardware{};
    }
    if (name == "nvidia") {
        return open_kind(Hardware::Kind::kNvidia, device);
    }
    if (name == "vaapi") {
        return open_kind(Hardware::Kind::kVaapi, device);
    }
    if (name == "auto") {
        for (const auto kind : {Hardware::Kind::kNvidia, Hardware::Kind::kVaapi}) {
            if (auto hardware = open_kind(kind, device)) {
                return hardware;
            }
        }
        return Hardware{};
    }
    return fail(Errc::kInvalidArgument, "hardware must be none, nvidia, vaapi or auto", "hw");
}

}  // namespace framegrid::media_ffmpeg
