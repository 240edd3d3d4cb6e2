#include <framegrid/orchestrator/pending_task.hpp>

#include <algorithm>

#include <framegrid/orchestrator/orchestrator.hpp>

namespace framegrid::orchestrator {

namespace {

constexpr std::size_t kRenditionBytesMin = 25;  // protocol section 3.3

bool is_too_small(const api::Artifact& file) {
    return file.bytes.size() < kRenditionBytesMin;
}

}  // namespace

Result<void> PendingTask::deliver(std::size_t index, api::Artifact artifact) {
    if (!early->has(index) || is_too_small(artifact)) {
        return fail(Errc::kInvalidArgument, "not a rendition of this task", "index");
    }
    early->tell(index, artifact);
    delivered.try_emplace(index, std::move(artifact));
    return {};
}

Result<void> PendingTask::complete(api::WorkOutput& output, const std::vector<std::size_t>& left_out) const {
    for (const std::size_t index : left_out) {
        const auto found = delivered.find(index);
        if (found == delivered.end() || index >= output.artifacts.size()) {
            return fail(Errc::kProtocol, "the worker left out a rendition that it did not deliver");
        }
        output.artifacts[index] = found->second;
    }
    return {};
}

void PendingTask::finish(Result<api::WorkOutput> result) {
    if (!outcome) {
        outcome.emplace(std::move(result));
        done.fire();
    }
}

Result<void> check_form(const api::Work& work, const api::WorkOutput& output) {
    const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind);
    if (transcode == nullptr) {
        return output.artifacts.empty() ? fail(Errc::kProtocol, "the worker's answer holds no file")
                                        : Result<void>{};
    }
    if (output.artifacts.size() != transcode->profiles.size()) {
        return fail(Errc::kProtocol, kTextMismatched);
    }
    if (std::ranges::any_of(output.artifacts, is_too_small)) {
        return fail(Errc::kProtocol, kTextZero);
    }
    return {};
}

}  // namespace framegrid::orchestrator
