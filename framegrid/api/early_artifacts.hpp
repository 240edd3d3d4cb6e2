// The result files of one job that somebody was told of before the job's end, over all attempts at it.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include <framegrid/api/work.hpp>

namespace framegrid::api {

// Keeps the promise of ArtifactSink when a job is tried again: each index is told once, and what was told is
// in the final output. Single-threaded.
class EarlyArtifacts {
  public:
    // Renditions of the job; an empty sink is told nothing.
    EarlyArtifacts(std::size_t count, ArtifactSink sink) : told_(sink ? count : 0), sink_(std::move(sink)) {}

    // Whether the job can tell of this index at all.
    bool has(std::size_t index) const { return index < told_.size(); }
    // Whether this index is still to be told.
    bool wants(std::size_t index) const { return has(index) && !told_[index]; }
    void tell(std::size_t index, const Artifact& artifact) {
        if (wants(index)) {
            told_[index] = artifact;
            sink_(index, artifact);
        }
    }
    void put_into(WorkOutput& output) const {
        for (std::size_t i = 0; i < told_.size() && i < output.artifacts.size(); ++i) {
            if (told_[i]) {
                output.artifacts[i] = *told_[i];
            }
        }
    }

  private:
    std::vector<std::optional<Artifact>> told_;
    ArtifactSink sink_;
};

// How many renditions a job may tell of early: none unless it asks for that.
inline std::size_t early_count(const Work& work) {
    const auto* transcode = std::get_if<TranscodeWork>(&work.kind);
    return transcode != nullptr && transcode->early ? transcode->profiles.size() : 0;
}

}  // namespace framegrid::api
