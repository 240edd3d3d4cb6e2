// Profiles JSON and file headers from clients: never a crash, and what was read can be written and read
// again.
#include <cstddef>
#include <cstdint>

#include <framegrid/media/profile.hpp>
#include <framegrid/media/sniff.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const framegrid::BytesView bytes{data, size};
    if (const auto profiles = framegrid::media::parse_profiles(framegrid::as_text(bytes))) {
        const auto again = framegrid::media::parse_profiles(framegrid::media::format_profiles(*profiles));
        FG_ASSERT(again.has_value() && *again == *profiles);
        for (const auto& profile : *profiles) {
            const auto out = framegrid::media::output_size({profile.height, profile.width}, profile);
            FG_ASSERT(out.width >= 2 && out.height >= 2);
            FG_ASSERT(framegrid::media::gop_frames(profile) >= 0);
        }
    }
    (void)framegrid::media::parse_presets(framegrid::as_text(bytes));
    (void)framegrid::media::looks_like_video(bytes);
    (void)framegrid::media::picture_size(bytes);
    return 0;
}
