// Files that are too large for memory on their way through a job: the input is read piece by piece, and the
// result is taken as it comes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::api {

// Larger inputs are transferred, smaller ones are in memory.
inline constexpr std::uint64_t kTransferBytesMin = 4 << 20;
inline constexpr std::uint64_t kTransferBytesMax = std::uint64_t{4} << 30;

struct FileFacts {
    std::uint64_t bytes = 0;
    crypto::Hash32 sha256{};  // all zero: not known
};

// A file from its beginning. Needs nothing of the Transfer that opened it.
class PieceReader {
  public:
    virtual ~PieceReader() = default;
    // The next piece, at most 1 MiB; an empty one is the end.
    virtual Task<Result<Blob>> read() = 0;
};

// One job's input and result, at either end of a connection. On one executor.
class Transfer {
  public:
    virtual ~Transfer() = default;

    const FileFacts& input() const { return input_; }
    // Who has read it all may know.
    void set_input_digest(const crypto::Hash32& sha256) { input_.sha256 = sha256; }
    // From its beginning; again for each attempt where the input is kept.
    virtual std::shared_ptr<PieceReader> open_input() = 0;

    // The result begins. What came of it in an earlier attempt is dropped.
    virtual Task<Result<void>> begin_output(Deadline deadline) = 0;
    virtual Task<Result<void>> append(Blob piece, Deadline deadline) = 0;
    // All of it is there. Its digest is known where it is kept.
    virtual Task<Result<FileFacts>> end_output(Deadline deadline) = 0;

    // What failed at this end: no peer is to blame, and none can do better.
    virtual std::optional<Error> failure() const { return std::nullopt; }

  protected:
    explicit Transfer(const FileFacts& input) : input_(input) {}

  private:
    FileFacts input_;
};

}  // namespace framegrid::api
