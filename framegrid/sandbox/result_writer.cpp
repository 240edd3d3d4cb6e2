#include <framegrid/sandbox/result_writer.hpp>

#include <algorithm>
#include <cstring>

#include <framegrid/sandbox/shared_memory.hpp>

#include <fmt/format.h>

namespace framegrid::sandbox {

void ResultWriter::use(host::UniqueFd region, std::uint64_t size) {
    region_ = std::move(region);
    size_ = size;
}

void ResultWriter::begin() {
    used_ = 0;
    inlined_ = 0;
    written_.clear();
}

Result<Region> ResultWriter::place(const api::Artifact& artifact) {
    const Region region{(used_ + kPageBytes - 1) / kPageBytes * kPageBytes, artifact.bytes.size()};
    if (region.offset > size_ || region.size > size_ - region.offset) {
        return fail(Errc::kTooLarge, fmt::format("the result is larger than the limit of {} bytes", size_));
    }
    FG_TRY(map, WritableMap::make(region_, region.offset, region.size));
    std::memcpy(map.bytes().data(), artifact.bytes.data(), region.size);
    used_ = region.offset + region.size;
    return region;
}

Result<ArtifactMessage> ResultWriter::write(std::size_t index, const api::Artifact& artifact) {
    if (const auto found = written_.find(index); found != written_.end()) {
        return found->second;
    }
    ArtifactMessage entry;
    entry.artifact = artifact;
    if (artifact.bytes.size() <= kInlineMax && inlined_ + artifact.bytes.size() <= kMessageBytesMax / 2) {
        inlined_ += artifact.bytes.size();
    } else {
        FG_TRY(region, place(artifact));
        entry.region = region;
    }
    written_.emplace(index, entry);
    return entry;
}

Result<OutputMessage> ResultWriter::finish(const api::WorkOutput& output) {
    if (output.artifacts.size() > kArtifactsMax) {
        return fail(Errc::kTooLarge, fmt::format("the result has {} files", output.artifacts.size()));
    }
    OutputMessage message;
    message.decoded = output.decoded;
    message.ai = output.ai;
    for (std::size_t i = 0; i < output.artifacts.size(); ++i) {
        FG_TRY(entry, write(i, output.artifacts[i]));
        message.artifacts.push_back(std::move(entry));
    }
    if (std::ranges::any_of(message.artifacts, [](const auto& entry) { return entry.region.has_value(); })) {
        region_ = {};  // the parent takes it
        size_ = 0;
    }
    return message;
}

}  // namespace framegrid::sandbox
