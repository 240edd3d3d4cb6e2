// Port: results of work by what the work was, so that nobody pays twice for one. Beside the jobs in the same
// database.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <framegrid/base/result.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::api {

struct KeptResult {
    std::string owner;   // only this one's work finds it
    std::string key;     // workflow::content_key(): 64 hex digits
    std::string job_id;  // that paid for it
    std::string data;    // JSON of whoever keeps it: the files and what they cost
    std::int64_t created_unix_ms = 0;
    std::int64_t expires_unix_ms = 0;  // with the files that it names
    friend bool operator==(const KeptResult&, const KeptResult&) = default;
};

// Every change is durable when its task is done. Errors: kIo.
class ResultIndex {
  public:
    virtual ~ResultIndex() = default;
    // In place of an earlier one of the same owner and key.
    virtual Task<Result<void>> keep(KeptResult result) = 0;
    // nullopt: none, or it expired before `now_unix_ms`.
    virtual Task<Result<std::optional<KeptResult>>> find(
        std::string owner, std::string key, std::int64_t now_unix_ms
    ) = 0;
    // Deletes what expired before that time, at most `limit`. Returns how many.
    virtual Task<Result<std::size_t>> forget(std::int64_t before_unix_ms, std::size_t limit) = 0;
};

}  // namespace framegrid::api
