// Stored files in a directory.
#pragma once

#include <memory>

#include <framegrid/api/objects.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::objects_fs {

// Pool and randomness outlive it, and it its writers. One process at a time writes to a directory.
class FsObjects final : public api::Objects {
  public:
    // Blocking: makes the directory and removes what an earlier process did not finish. kIo, kForbidden.
    static Result<std::unique_ptr<FsObjects>> open(host::Path directory, WorkPool& pool, Random& random);

    Task<Result<std::unique_ptr<api::ObjectWriter>>> create(Deadline deadline) override;
    Task<Result<api::ObjectInfo>> stat(std::string digest, Deadline deadline) override;
    Task<Result<Blob>> read(std::string digest, std::uint64_t offset, std::uint64_t bytes, Deadline deadline)
        override;
    Task<Result<void>> remove(std::string digest, Deadline deadline) override;

  private:
    FsObjects(host::Path directory, WorkPool& pool, Random& random)
        : directory_(std::move(directory)), pool_(pool), random_(random) {}

    host::Path directory_;
    WorkPool& pool_;
    Random& random_;
};

}  // namespace framegrid::objects_fs
