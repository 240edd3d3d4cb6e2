// Media that crosses the process border without a copy through the socket: anonymous memory files (memfd).
//
// The parent makes every region and seals its size, so a child can neither shrink it under the parent's feet
// (a read would end in SIGBUS) nor grow it; before the parent reads results it seals the content too.
#pragma once

#include <cstdint>
#include <span>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/host/files.hpp>

namespace framegrid::sandbox {

// Where files in an output region begin; larger than the pages of some systems.
inline constexpr std::uint64_t kPageBytes = 64 * 1024;

// A read-only region with these bytes. Copies once; blocking for large inputs.
Result<host::UniqueFd> make_input_region(BytesView bytes);
// An empty region of a fixed size to write results into. Memory is used only as it is written.
Result<host::UniqueFd> make_output_region(std::uint64_t size);

// The first `size` bytes as a Blob that unmaps them when the last copy goes. First makes the region read-only
// for everybody. kProtocol: it is not such a region, is smaller than `size`, or somebody still has it mapped
// for writing.
Result<Blob> seal_and_map(const host::UniqueFd& region, std::uint64_t size);
// A copy of some bytes of a region that may still be written. Blocking for large ones. kProtocol: it is
// smaller.
Result<Blob> copy_out(const host::UniqueFd& region, std::uint64_t offset, std::uint64_t size);

// Some bytes of an output region, writable until the object dies. `offset` is a multiple of kPageBytes.
class WritableMap {
  public:
    static Result<WritableMap> make(const host::UniqueFd& region, std::uint64_t offset, std::uint64_t size);
    WritableMap(WritableMap&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    WritableMap& operator=(WritableMap&& other) = delete;
    ~WritableMap();
    std::span<std::uint8_t> bytes() const { return bytes_; }

  private:
    explicit WritableMap(std::span<std::uint8_t> bytes) : bytes_(bytes) {}
    std::span<std::uint8_t> bytes_;
};

}  // namespace framegrid::sandbox
