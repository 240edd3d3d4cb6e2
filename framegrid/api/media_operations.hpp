// Port: work on media files that needs no model and no other node: cutting, joining, packaging.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <framegrid/api/work.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::api {

// One input file. Several of one slot keep their order.
struct OperationFile {
    std::string slot;
    Blob bytes;
};

// Whether two files show the same: "a" against "b". Not of workflows. The result is a JSON file:
// {"difference": of their forms, empty: none, "psnr_db", "ssim", "pictures": compared}.
inline constexpr std::string_view kCompareOperation = "compare";

// An operation of docs/workflows.md: "split", "join", "scene-cuts", "frames", "contact-sheet", "hls", "loop";
// or kCompareOperation.
struct MediaOperation {
    std::string name;
    std::string parameters = "{}";  // JSON object, checked against workflow's table
    std::vector<OperationFile> files;
    // Of "split", for transcoders: pieces of an open GOP overlap; each piece's name ends in ".N", where N is
    // the millisecond from which on its pictures belong to the next one, 0: none do.
    bool overlap = false;
};

class MediaOperations {
  public:
    virtual ~MediaOperations() = default;
    // Off the event loop and outside the caller's process. The results in their order; of "hls" each
    // artifact's name is its path in the folder. kUnprocessable, kUnsupported, kInvalidArgument, kTooLarge:
    // the files or parameters are at fault. kUnavailable: the process broke off; kCapacity: none could begin
    // before the deadline; kDeadline.
    virtual Task<Result<std::vector<Artifact>>> run(MediaOperation operation, Deadline deadline) = 0;
};

}  // namespace framegrid::api
