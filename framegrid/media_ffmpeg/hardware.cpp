#include <framegrid/media_ffmpeg/hardware.hpp>

extern "C" {
#include <libavutil/hwcontext.h>
}

namespace framegrid::media_ffmpeg {
namespace {

Result<Hardware> open_kind(Hardware::Kind kind, const std::string& device) {
    const auto type = kind == Hardware::Kind::kNvidia ? AV_HWDEVICE_TYPE_CUDA : AV_HWDEVICE_TYPE_VAAPI;
    AVBufferRef* reference = nullptr;
    const int error =
        av_hwdevice_ctx_create(&reference, type, device.empty() ? nullptr : device.c_str(), nullptr, 0);
    if (error < 0) {
        return av_fail(error, "TranscoderIncompatibleDevices: the GPU does not open", Errc::kUnsupported);
    }
    return Hardware{kind, BufferPtr(reference)};
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
