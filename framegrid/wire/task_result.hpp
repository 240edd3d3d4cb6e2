// Uploads of workers: POST /transcodeResults and /aiResults (protocol section 7), and our own:
// /earlyRendition, which takes one rendition of a task before the task's result, and /aiProgress, which says
// how far a task is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <framegrid/api/worker_host.hpp>
#include <framegrid/http/message.hpp>

namespace framegrid::wire {

struct ResultUpload {
    std::string path;  // "/transcodeResults" or "/aiResults"
    http::Headers headers;
    std::vector<Blob> pieces;  // of the body, in order
};
ResultUpload write_result(const api::TaskReport& report, std::string_view boundary);

// Why an upload is refused, with the status that says so.
struct UploadRefusal {
    int status = 500;
    std::string text;
};
// What the headers say: kind, task id, secret, pipeline; checked before the body is read. The outcome is
// still empty. Refusals: 401 no authorization, 400 TaskId or Pixels, 415 content type.
std::expected<api::TaskReport, UploadRefusal> read_result_head(
    api::WorkerKind kind, const http::Headers& headers
);
// Fills in the outcome from the body. Transcode artifacts come in profile order and have no names. 500 on bad
// parts.
std::expected<void, UploadRefusal> read_result_body(
    const http::Headers& headers, const Blob& body, api::TaskReport& report
);

inline constexpr std::string_view kEarlyPath = "/earlyRendition";
ResultUpload write_early_report(const api::EarlyReport& report);
// Everything but the bytes. Refusals as of read_result_head().
std::expected<api::EarlyReport, UploadRefusal> read_early_head(const http::Headers& headers);

// The body is the preview, or empty.
inline constexpr std::string_view kProgressPath = "/aiProgress";
inline constexpr std::size_t kPreviewBytesMax = 256 * 1024;
ResultUpload write_progress_report(const api::ProgressReport& report);
std::expected<api::ProgressReport, UploadRefusal> read_progress_head(const http::Headers& headers);

}  // namespace framegrid::wire
