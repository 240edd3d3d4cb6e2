// The ladder presets that the network knows by name.
#include <algorithm>
#include <array>

#include <framegrid/base/log.hpp>
#include <framegrid/media/profile.hpp>

namespace framegrid::media {
namespace {

struct Preset {
    std::string_view name;
    int width;
    int height;
    int kbps;
    std::uint32_t fps;
};

constexpr std::array<Preset, 13> kPresets{{
    {"P720p60fps16x9", 1280, 720, 6000, 60},
    {"P720p30fps16x9", 1280, 720, 4000, 30},
    {"P720p25fps16x9", 1280, 720, 3500, 25},
    {"P720p30fps4x3", 960, 720, 3500, 30},
    {"P576p30fps16x9", 1024, 576, 1500, 30},
    {"P576p25fps16x9", 1024, 576, 1500, 25},
    {"P360p30fps16x9", 640, 360, 1200, 30},
    {"P360p25fps16x9", 640, 360, 1000, 25},
    {"P360p30fps4x3", 480, 360, 1000, 30},
    {"P240p30fps16x9", 426, 240, 600, 30},
    {"P240p25fps16x9", 426, 240, 600, 25},
    {"P240p30fps4x3", 320, 240, 600, 30},
    {"P144p30fps16x9", 256, 144, 400, 30},
}};

VideoProfile profile_of(const Preset& preset) {
    VideoProfile profile;
    profile.name = std::string(preset.name);
    profile.width = preset.width;
    profile.height = preset.height;
    profile.bitrate_bps = preset.kbps * 1000;
    profile.fps_num = preset.fps;
    return profile;
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

Result<std::vector<VideoProfile>> parse_presets(std::string_view names) {
    std::vector<VideoProfile> profiles;
    while (!names.empty()) {
        const auto comma = names.find(',');
        const std::string_view name = trimmed(names.substr(0, comma));
        names = comma == std::string_view::npos ? std::string_view{} : names.substr(comma + 1);
        if (name.empty()) {
            continue;
        }
        const auto* preset = std::ranges::find(kPresets, name, &Preset::name);
        if (preset == kPresets.end()) {
            return fail(Errc::kInvalidArgument, "unknown preset " + printable(name), "presets");
        }
        if (profiles.size() == kProfilesMax) {
            return fail(Errc::kInvalidArgument, "more than 10 profiles", "presets");
        }
        profiles.push_back(profile_of(*preset));
    }
    return profiles;
}

std::vector<std::string> preset_names() {
    std::vector<std::string> names;
    for (const Preset& preset : kPresets) {
        names.emplace_back(preset.name);
    }
    return names;
}

std::vector<VideoProfile> default_profiles() {
    auto profiles = parse_presets("P240p30fps16x9,P360p30fps16x9");
    FG_ASSERT(profiles.has_value());
    return std::move(*profiles);
}

}  // namespace framegrid::media
