// Port: files that arrive in pieces, over several requests and restarts of the gateway.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <framegrid/api/objects.hpp>
#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::api {

struct UploadRecord {
    std::string id;
    std::string owner;
    std::uint64_t bytes = 0;     // of the whole file, as announced
    std::uint64_t received = 0;  // from its beginning
    std::string metadata;        // as the client wrote it
    std::string artifact;        // the file's record when all has been stored; empty before
    std::int64_t created_unix_ms = 0;
    std::int64_t touched_unix_ms = 0;  // the last piece, or the end
};

struct UploadUsage {
    std::uint64_t uploads = 0;
    std::uint64_t bytes = 0;  // announced, whether or not they have arrived
};

// One executor. Two calls that change one upload at the same time: the second gets kCapacity. What was
// appended survives a crash of the process, and one of the machine once settle() is done. Errors: kNotFound,
// kIo (disk full), kCapacity.
class Uploads {
  public:
    virtual ~Uploads() = default;
    // `received` is 0. Durable when it is done.
    virtual Task<Result<void>> create(UploadRecord record) = 0;
    virtual Result<UploadRecord> find(const std::string& id) const = 0;
    // The next bytes. kTooLarge beyond what was announced.
    virtual Task<Result<void>> append(std::string id, Blob piece) = 0;
    virtual Task<Result<void>> settle(std::string id) = 0;
    // Makes an object of a file that is complete; may be repeated. Its bytes stay until finish().
    virtual Task<Result<ObjectInfo>> store(std::string id) = 0;
    // Notes the record of the object and lets go of the bytes.
    virtual Task<Result<void>> finish(std::string id, std::string artifact) = 0;
    virtual Task<Result<void>> remove(std::string id) = 0;
    // Of what is not finished.
    virtual UploadUsage usage(const std::string& owner) const = 0;
    // Those that nothing happened to since.
    virtual std::vector<std::string> idle_since(std::int64_t unix_ms, std::size_t limit) const = 0;
};

}  // namespace framegrid::api
