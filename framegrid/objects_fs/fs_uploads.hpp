// Files that arrive in pieces, in a directory: what has arrived of each, and a note beside it.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include <framegrid/api/uploads.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/objects_fs/fs_objects.hpp>

namespace framegrid::objects_fs {

struct UploadsSettings {
    std::size_t uploads_max = 10'000;  // finished ones included, until they are removed
};

// One process at a time has the directory. What the references name outlives it.
class FsUploads final : public api::Uploads {
  public:
    // Blocking: finds what an earlier process left. `beside`: the objects, when they are files that a
    // complete upload may become one of without being copied; nullptr: they are not. kIo, kForbidden.
    static Result<std::unique_ptr<FsUploads>> open(
        const host::Path& directory, api::Objects& objects, FsObjects* beside, WorkPool& pool, Clock& clock,
        UploadsSettings settings = {}
    );

    Task<Result<void>> create(api::UploadRecord record) override;
    Result<api::UploadRecord> find(const std::string& id) const override;
    Task<Result<void>> append(std::string id, Blob piece) override;
    Task<Result<void>> settle(std::string id) override;
    Task<Result<api::ObjectInfo>> store(std::string id) override;
    Task<Result<void>> finish(std::string id, std::string artifact) override;
    Task<Result<void>> remove(std::string id) override;
    api::UploadUsage usage(const std::string& owner) const override;
    std::vector<std::string> idle_since(std::int64_t unix_ms, std::size_t limit) const override;

  private:
    struct Upload {
        api::UploadRecord record;
        // Of the first `hashed` bytes; after a restart it begins again when the file is complete.
        crypto::Digest digest = crypto::Digest::sha256();
        std::uint64_t hashed = 0;
        bool busy = false;
    };
    class Turn;
    using Shared = std::shared_ptr<Upload>;

    FsUploads(
        host::Path directory, api::Objects& objects, FsObjects* beside, WorkPool& pool, Clock& clock,
        UploadsSettings settings
    )
        : directory_(std::move(directory)),
          objects_(objects),
          beside_(beside),
          pool_(pool),
          clock_(clock),
          settings_(settings) {}
    Result<void> load();
    Result<void> load_one(const host::Path& note);
    Result<Turn> take(const std::string& id);
    Task<Result<void>> hash_rest(Shared upload);
    Task<Result<api::ObjectInfo>> copy(Shared upload);
    host::Path note_of(const std::string& id) const { return directory_ / (id + ".json"); }
    host::Path part_of(const std::string& id) const { return directory_ / (id + ".part"); }

    host::Path directory_;
    api::Objects& objects_;
    FsObjects* beside_;
    WorkPool& pool_;
    Clock& clock_;
    const UploadsSettings settings_;
    std::map<std::string, Shared> all_;
};

}  // namespace framegrid::objects_fs
