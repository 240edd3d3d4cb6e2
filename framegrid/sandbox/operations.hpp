// api::MediaOperations by executor processes: strangers' files are taken apart by a locked-in child only.
//
// To the pool an operation is work like any other. The work is AiWork with pipeline kOperationPipeline, the
// operation's name as its model, and parameters {"parameters":{...},"files":[{"slot","bytes"}]}; the files
// stand one after the other in its input. The answer is two artifacts: {"files":[{"name","content_type",
// "bytes"}]}, and those files one after the other.
#pragma once

#include <string_view>
#include <vector>

#include <framegrid/api/media_operations.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::sandbox {

inline constexpr std::string_view kOperationPipeline = "media-operation";
inline constexpr std::size_t kOperationFilesMax = 8'192;  // in, and out

// The parent's side. Single-threaded, like the executors that it uses, which outlive it and its operations.
class ExecutorOperations final : public api::MediaOperations {
  public:
    // The pool puts large inputs together.
    ExecutorOperations(api::WorkExecutor& executors, WorkPool& pool) : executors_(executors), pool_(pool) {}
    Task<Result<std::vector<api::Artifact>>> run(api::MediaOperation operation, Deadline deadline) override;

  private:
    api::WorkExecutor& executors_;
    WorkPool& pool_;
};

// The work that asks for an operation. kTooLarge: over kOperationFilesMax files.
Result<api::Work> operation_work(api::MediaOperation operation);

// The child's side.
bool is_operation(const api::Work& work);
// kInvalidArgument: not what operation_work() makes.
Result<api::MediaOperation> parse_operation(const api::Work& work);
// kTooLarge: over kOperationFilesMax files.
Result<api::WorkOutput> operation_output(const std::vector<api::Artifact>& files);

// Reads an answer; every field is checked, because the child may be in a stranger's hands. kProtocol.
Result<std::vector<api::Artifact>> parse_operation_output(const api::WorkOutput& output);

}  // namespace framegrid::sandbox
