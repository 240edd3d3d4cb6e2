// api::MediaProbe by executor processes: a stranger's file is opened by a locked-in child only.
//
// To the pool a probe is work like any other, so its queue, deadlines, limits, shared memory and rules for
// children that die apply unchanged. The work is AiWork with pipeline kProbePipeline; the answer is one small
// artifact with a line of text, "<video codec> <audio codec> <pixel format> <width> <height> <ms> <frames>",
// in which "-" stands for an empty name.
#pragma once

#include <string_view>

#include <framegrid/api/media_probe.hpp>
#include <framegrid/api/work.hpp>

namespace framegrid::sandbox {

inline constexpr std::string_view kProbePipeline = "probe";

// The parent's side. Single-threaded, like the executors that it uses, which outlive it and its probes.
class ExecutorProbe final : public api::MediaProbe {
  public:
    explicit ExecutorProbe(api::WorkExecutor& executors) : executors_(executors) {}
    // Besides the port's errors, those of the file as the executor names them.
    Task<Result<api::ProbeResult>> probe(Blob file, Deadline deadline) override;

  private:
    api::WorkExecutor& executors_;
};

// The child's side: whether it is asked for a probe, and its answer. kUnprocessable: names or a size that the
// answer has no room for.
bool is_probe(const api::Work& work);
Result<api::WorkOutput> probe_output(const api::ProbeResult& found);

// Reads an answer; every field is checked, because the child may be in a stranger's hands. kProtocol.
Result<api::ProbeResult> parse_probe_output(const api::WorkOutput& output);

}  // namespace framegrid::sandbox
