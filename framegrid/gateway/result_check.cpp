#include <framegrid/gateway/result_check.hpp>

#include <framegrid/media/profile.hpp>

#include <fmt/format.h>

namespace framegrid::gateway {

namespace {

constexpr std::size_t kRenditionBytesMin = 25;
constexpr std::size_t kTsPacket = 188;
constexpr std::uint8_t kTsSync = 0x47;

bool looks_like(media::Container container, BytesView bytes) {
    if (container == media::Container::kMpegTs) {
        return bytes.size() % kTsPacket == 0 && bytes[0] == kTsSync &&
               bytes[bytes.size() - kTsPacket] == kTsSync;
    }
    return as_text(bytes.subspan(4, 4)) == "ftyp" || as_text(bytes.subspan(4, 4)) == "moof";
}

}  // namespace

Result<void> check_rendition(const media::VideoProfile& profile, const api::Artifact& artifact) {
    const auto bytes = artifact.bytes.view();
    if (bytes.size() < kRenditionBytesMin) {
        return fail(Errc::kProtocol, "ZeroSegments: rendition " + profile.name + " is empty");
    }
    if (!looks_like(profile.container, bytes)) {
        return fail(Errc::kProtocol, "rendition " + profile.name + " is not the container asked for");
    }
    return {};
}

Result<void> check_result(const api::Work& work, const api::WorkOutput& output) {
    const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind);
    if (transcode == nullptr) {
        if (output.artifacts.empty()) {
            return fail(Errc::kProtocol, "the answer holds no file");
        }
        return {};
    }
    if (output.artifacts.size() != transcode->profiles.size()) {
        return fail(
            Errc::kProtocol, fmt::format(
                                 "MismatchedSegments: {} renditions for {} profiles", output.artifacts.size(),
                                 transcode->profiles.size()
                             )
        );
    }
    for (std::size_t i = 0; i < output.artifacts.size(); ++i) {
        FG_CHECK(check_rendition(transcode->profiles[i], output.artifacts[i]));
    }
    return {};
}

}  // namespace framegrid::gateway
