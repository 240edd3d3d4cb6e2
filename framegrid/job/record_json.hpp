// Jobs as clients read them.
#pragma once

#include <string>
#include <string_view>

#include <framegrid/base/result.hpp>
#include <framegrid/job/record.hpp>

namespace framegrid::job {

// "2026-11-26T16:00:00.123Z" (RFC 3339).
std::string utc_text(std::int64_t unix_ms);

// A JSON object: id, state, times, what was asked, and outputs or the error. Files in it get URLs below
// `base_url` ("https://gateway.example", or empty: paths).
std::string describe(const Record& record, std::string_view base_url);

// The path of a stored file's bytes.
std::string artifact_path(std::string_view artifact_id);

// A failed job's result: {"error":{"code","message","field"}}.
std::string error_result(const Error& error);
// The same result with what came of the job's verification; both are JSON objects.
std::string with_verification(std::string_view result, std::string_view verification);

}  // namespace framegrid::job
