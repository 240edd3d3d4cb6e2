// Port: the records of stored files. Beside the jobs in the same database.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/job/artifact_record.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::api {

struct ArtifactUsage {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
};

// Every change is durable when its task is done. Errors: kIo, kNotFound.
class ArtifactIndex {
  public:
    virtual ~ArtifactIndex() = default;
    virtual Task<Result<void>> add(job::ArtifactRecord record) = 0;
    virtual Task<Result<job::ArtifactRecord>> find(std::string id) = 0;
    // Newest first; those older than `before` (an id; empty: from the newest).
    virtual Task<Result<std::vector<job::ArtifactRecord>>> list(
        std::string owner, std::string before, std::size_t limit
    ) = 0;
    virtual Task<Result<ArtifactUsage>> usage(std::string owner) = 0;
    virtual Task<Result<std::vector<job::ArtifactRecord>>> expired(
        std::int64_t now_unix_ms, std::size_t limit
    ) = 0;
    // Returns whether that was the last record of its bytes.
    virtual Task<Result<bool>> remove(std::string id) = 0;
    // Which of these bytes no record names.
    virtual Task<Result<std::vector<std::string>>> unnamed(std::vector<std::string> digests) = 0;
};

}  // namespace framegrid::api
