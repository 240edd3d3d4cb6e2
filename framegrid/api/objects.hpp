// Port: bytes by their SHA-256. Disk for one gateway, an S3-compatible store for a fleet.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::api {

struct ObjectInfo {
    std::string digest;  // SHA-256, 64 hex digits: the object's name
    std::uint64_t bytes = 0;
    friend bool operator==(const ObjectInfo&, const ObjectInfo&) = default;
};

// An object that is being written. Nothing is visible before finish(); destroying it without that leaves
// nothing behind.
class ObjectWriter {
  public:
    virtual ~ObjectWriter() = default;
    virtual Task<Result<void>> append(Blob piece, Deadline deadline) = 0;
    // Durable and readable afterwards. The same content twice is one object.
    virtual Task<Result<ObjectInfo>> finish(Deadline deadline) = 0;
};

// Called on one executor; implementations do the input and output elsewhere. Errors: kNotFound, kIo (disk
// full), kUnavailable (the store behind it), kDeadline.
class Objects {
  public:
    virtual ~Objects() = default;
    virtual Task<Result<std::unique_ptr<ObjectWriter>>> create(Deadline deadline) = 0;
    virtual Task<Result<ObjectInfo>> stat(std::string digest, Deadline deadline) = 0;
    // `bytes` from `offset`; fewer at the object's end. One piece is at most 1 MiB: read on for more.
    virtual Task<Result<Blob>> read(
        std::string digest, std::uint64_t offset, std::uint64_t bytes, Deadline deadline
    ) = 0;
};

// Whole objects, for what is known to be small.
Task<Result<ObjectInfo>> put_object(Objects& objects, Blob bytes, Deadline deadline);
// kTooLarge over `limit`.
Task<Result<Blob>> get_object(Objects& objects, std::string digest, std::uint64_t limit, Deadline deadline);

}  // namespace framegrid::api
