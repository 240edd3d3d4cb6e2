// Where a gateway keeps stored files: a directory, or an S3-compatible store that several gateways share.
#pragma once

#include <memory>
#include <string>

#include <framegrid/api/object_upkeep.hpp>
#include <framegrid/api/objects.hpp>
#include <framegrid/api/uploads.hpp>
#include <framegrid/app/session.hpp>
#include <framegrid/host/files.hpp>

namespace framegrid::app {

struct FileOptions {
    std::string place;     // a directory or s3://BUCKET/PREFIX; empty: below the data directory
    std::string endpoint;  // of an S3-compatible store; empty: Amazon's
    std::string region = "us-east-1";
};
void add_file_options(CLI::App& command, FileOptions& options);

// Lives as long as what uses its objects. The session outlives it.
class FileStore {
  public:
    // `data`: the gateway's data directory, `name`: the gateway's among those that share the place. Blocking.
    // kIo, kForbidden, kInvalidArgument (no credentials, no such form of place).
    static Result<std::unique_ptr<FileStore>> open(
        Session& session, const FileOptions& options, const host::Path& data, const std::string& name
    );
    virtual ~FileStore() = default;
    virtual api::Objects& objects() = 0;
    virtual api::ObjectUpkeep& upkeep() = 0;
    // What arrives in pieces, kept in `directory` until it is an object. Blocking. kIo, kForbidden.
    virtual Result<std::unique_ptr<api::Uploads>> open_uploads(const host::Path& directory) = 0;
    // Whether it can be used now, with what to do when it cannot.
    virtual Task<Result<void>> check(Deadline deadline) = 0;
    virtual Task<void> stop() = 0;
};

}  // namespace framegrid::app
