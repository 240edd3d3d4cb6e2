// Files, offers and a pretended network for the tests of this library.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <framegrid/base/bytes.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/workflow/run.hpp>

namespace framegrid::workflow {

inline std::shared_ptr<const Workflow> workflow_of(std::string_view text) {
    const auto reading = read(text);
    for (const auto& problem : reading.problems) {
        EXPECT_TRUE(problem.warning) << to_string(problem) << "\n" << text;
    }
    return reading.workflow;
}

inline std::string digest_of(std::string_view text) {
    return crypto::hex(crypto::sha256(as_bytes(text)));
}

inline Artifact picture(int width, int height, std::string_view name = "picture") {
    Artifact out;
    out.kind = Kind::kImage;
    out.digest = digest_of(name);
    out.bytes = 1000;
    out.content_type = "image/png";
    out.width = width;
    out.height = height;
    return out;
}

inline Artifact film(int width, int height, std::int64_t duration_ms, std::int64_t frames) {
    Artifact out = picture(width, height, "film");
    out.kind = Kind::kVideo;
    out.content_type = "video/mp4";
    out.duration_ms = duration_ms;
    out.frames = frames;
    return out;
}

// One wei for 1000 units of everything; models double.
inline std::optional<Offer> offer(std::string_view pipeline, std::string_view model) {
    return Offer{{1, 1000}, digest_of(std::string(pipeline) + std::string(model)), 2};
}

// What the work's results are: the same for the same key, whoever does it. A split finds fewer keyframes than
// it might, frames and cuts likewise.
inline std::vector<Artifact> results_of(const Start& start) {
    const Offer its_offer{{1, 1000}, start.model_digest, 2};
    std::vector<Artifact> files = expected_results(start.work, its_offer).files;
    const std::string& name = start.work.action->name;
    if (name == "split" || name == "frames") {
        const auto chance = static_cast<std::size_t>(std::stoul(start.key.substr(0, 4), nullptr, 16));
        files.resize(1 + chance % files.size());
    }
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (name == "split") {
            const Artifact& whole = start.work.inputs[0].files[0];
            const auto n = static_cast<std::int64_t>(files.size());
            const auto k = static_cast<std::int64_t>(i);
            files[i].duration_ms = whole.duration_ms * (k + 1) / n - whole.duration_ms * k / n;
            files[i].frames = whole.frames * (k + 1) / n - whole.frames * k / n;
        }
        files[i].digest = digest_of(start.key + "/" + std::to_string(i));
        files[i].bytes = 1234;
    }
    return files;
}

inline std::vector<Start> starts_of(const std::vector<Command>& commands) {
    std::vector<Start> out;
    for (const auto& command : commands) {
        if (const auto* start = std::get_if<Start>(&command)) {
            out.push_back(*start);
        }
    }
    return out;
}

// "step/item" of everything that is to be started.
inline std::vector<std::string> names_of(const std::vector<Command>& commands) {
    std::vector<std::string> out;
    for (const auto& start : starts_of(commands)) {
        out.push_back(start.id.step + "/" + std::to_string(start.id.item));
    }
    return out;
}

inline ItemDone done(const Start& start) {
    return {start.id, start.attempt, results_of(start), start.wei_max, false};
}

}  // namespace framegrid::workflow
