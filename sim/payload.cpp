#include <sim/payload.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <framegrid/base/log.hpp>

namespace framegrid::sim {

namespace {

constexpr std::size_t kTsPacket = 188;
constexpr std::uint8_t kTsSync = 0x47;

std::string input_text(const JobKey& key) {
    return fmt::format(
        "{}{} {} {}", key.poison ? kPoison : "", key.ai ? "image" : "segment", key.flow, key.seq
    );
}

// One packet of transport stream, as far as anybody here looks.
Blob make_rendition(std::string_view input, std::string_view profile) {
    Bytes bytes(kTsPacket, 0);
    bytes[0] = kTsSync;
    const std::string text = fmt::format("{} as {}", input, profile);
    std::copy_n(text.begin(), std::min(text.size(), kTsPacket - 2), bytes.begin() + 1);
    return Blob(std::move(bytes));
}

}  // namespace

std::string flow_name(std::uint32_t flow) {
    return fmt::format("flow{}", flow);
}

Blob make_input(const JobKey& key) {
    return Blob::copy_of(input_text(key));
}

std::vector<media::VideoProfile> profiles_of(std::uint32_t flow) {
    std::vector<media::VideoProfile> out;
    const std::uint32_t count = 1 + flow % 3;
    for (std::uint32_t i = 0; i < count; ++i) {
        media::VideoProfile profile;
        profile.name = fmt::format("P{}", 240 + 120 * i);
        profile.width = 426 + 213 * static_cast<int>(i);
        profile.height = 240 + 120 * static_cast<int>(i);
        profile.bitrate_bps = 400'000;
        out.push_back(std::move(profile));
    }
    return out;
}

api::Work make_work(const JobKey& key, std::int64_t segment_ms) {
    api::Work work;
    work.input = make_input(key);
    if (key.ai) {
        work.kind = api::AiWork{"upscale", kModel, "{}"};
    } else {
        api::TranscodeWork transcode;
        transcode.profiles = profiles_of(key.flow);
        transcode.duration_ms = segment_ms;
        work.kind = std::move(transcode);
    }
    return work;
}

api::WorkOutput make_output(const api::Work& work) {
    api::WorkOutput out;
    out.decoded = Pixels{1};
    if (const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind)) {
        for (const auto& profile : transcode->profiles) {
            api::Artifact artifact;
            artifact.name = profile.name;
            artifact.content_type = "video/mp2t";
            artifact.bytes = make_rendition(work.input.text(), profile.name);
            artifact.pixels = Pixels{profile.width};
            out.artifacts.push_back(std::move(artifact));
        }
    } else {
        api::Artifact artifact;
        artifact.name = "upscaled.png";
        artifact.content_type = "image/png";
        artifact.bytes = make_rendition(work.input.text(), "x2");
        out.artifacts.push_back(std::move(artifact));
    }
    return out;
}

std::string check_output(const JobKey& key, const api::WorkOutput& output) {
    const api::WorkOutput expected = make_output(make_work(key, 0));
    if (output.artifacts.size() != expected.artifacts.size()) {
        return fmt::format("{} files instead of {}", output.artifacts.size(), expected.artifacts.size());
    }
    for (std::size_t i = 0; i < expected.artifacts.size(); ++i) {
        const auto& got = output.artifacts[i];
        const auto& want = expected.artifacts[i];
        if (got.name != want.name || got.bytes.text() != want.bytes.text()) {
            const std::string_view text = got.bytes.text();
            return fmt::format(
                "'{}' instead of {} of '{}'", printable(text.substr(0, 60)), want.name, input_text(key)
            );
        }
    }
    return {};
}

}  // namespace framegrid::sim
