// The child's side of result files: where their bytes go on the way to the parent.
#pragma once

#include <cstdint>
#include <map>

#include <framegrid/host/files.hpp>
#include <framegrid/sandbox/message.hpp>

namespace framegrid::sandbox {

// Small files go into messages, the others one after another into an output region, which is used up by a
// task whose outcome refers to it. Not thread-safe.
class ResultWriter {
  public:
    // A fresh region for the tasks to come.
    void use(host::UniqueFd region, std::uint64_t size);
    // Forgets what an earlier task has written.
    void begin();
    // Writes the file at `index` of the task's result, and only says where it is when it was written before.
    // kTooLarge: the region is full.
    Result<ArtifactMessage> write(std::size_t index, const api::Artifact& artifact);
    // The whole result. kTooLarge also: too many files.
    Result<OutputMessage> finish(const api::WorkOutput& output);

  private:
    Result<Region> place(const api::Artifact& artifact);

    host::UniqueFd region_;
    std::uint64_t size_ = 0;
    std::uint64_t used_ = 0;
    std::uint64_t inlined_ = 0;
    std::map<std::size_t, ArtifactMessage> written_;
};

}  // namespace framegrid::sandbox
