// Stored files in a directory.
#pragma once

#include <memory>

#include <framegrid/api/object_upkeep.hpp>
#include <framegrid/api/objects.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::objects_fs {

// Pool and randomness outlive it, and it its writers.
class FsObjects final : public api::Objects, public api::ObjectUpkeep {
  public:
    // Blocking: makes the directory and removes what an earlier process did not finish. Processes that share
    // a directory each have their own folder in it, `unfinished`, for files that are being written. kIo,
    // kForbidden.
    static Result<std::unique_ptr<FsObjects>> open(
        host::Path directory, WorkPool& pool, Random& random, const std::string& unfinished = "new"
    );

    Task<Result<std::unique_ptr<api::ObjectWriter>>> create(Deadline deadline) override;
    Task<Result<api::ObjectInfo>> stat(std::string digest, Deadline deadline) override;
    Task<Result<Blob>> read(std::string digest, std::uint64_t offset, std::uint64_t bytes, Deadline deadline)
        override;
    Task<Result<bool>> claim(std::string owner, Deadline deadline) override;
    Task<Result<api::ObjectPage>> stored_before(
        std::int64_t unix_ms, std::string from, std::size_t limit, Deadline deadline
    ) override;
    Task<Result<void>> set_aside(std::string digest, Deadline deadline) override;
    Task<Result<std::vector<std::string>>> aside_before(
        std::int64_t unix_ms, std::size_t limit, Deadline deadline
    ) override;
    Task<Result<void>> put_back(std::string digest, Deadline deadline) override;
    Task<Result<void>> drop(std::string digest, Deadline deadline) override;
    // A complete and synced file, hashed by the caller, becomes an object under its second name. False: it
    // cannot, because it is on another file system.
    Task<Result<bool>> link(host::Path file, std::string digest);

  private:
    FsObjects(host::Path directory, host::Path unfinished, WorkPool& pool, Random& random)
        : directory_(std::move(directory)),
          unfinished_(std::move(unfinished)),
          pool_(pool),
          random_(random) {}

    host::Path directory_;
    host::Path unfinished_;
    WorkPool& pool_;
    Random& random_;
};

}  // namespace framegrid::objects_fs
