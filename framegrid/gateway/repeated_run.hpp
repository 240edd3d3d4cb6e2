// The second run of a job that is verified, and the comparison of both results.
#pragma once

#include <vector>

#include <framegrid/gateway/input_loader.hpp>
#include <framegrid/gateway/verification.hpp>

namespace framegrid::gateway {

struct FinishedRun {
    RunFacts facts;
    std::vector<Blob> files{};  // empty: they are among the objects, by their digests
};

// What a run gave, for the comparison; hashes its files off the event loop.
Task<FinishedRun> run_of(WorkPool& pool, const JobResult& result, std::int64_t wei);

// Ports and settings outlive it.
class RepeatedRun {
  public:
    RepeatedRun(const WorkPorts& ports, const WorkSettings& settings)
        : ports_(ports), settings_(settings), loader_(ports, settings) {}

    // `request`: as repeat_of() makes it; `units`: what the work is counted as where nothing is paid
    // (nullopt: as its result says). While somebody could do it and nobody can now, it waits, until shortly
    // before the deadline. Counts the outcome, and tells the log of pairs that disagree. Never fails: what
    // cannot be had is Outcome::kUnavailable.
    Task<Verified> run(
        std::string job_id, JobRequest request, std::optional<Pixels> units, FinishedRun first,
        Deadline deadline
    ) const;

  private:
    Task<Result<JobResult>> ask(JobRequest request, Deadline deadline) const;
    Task<Result<Verified>> compare(
        VerificationRules rules, FinishedRun first, FinishedRun second, Deadline deadline
    ) const;
    Task<Result<Likeness>> likeness(Blob a, Blob b, Deadline deadline) const;
    void tell(const std::string& job_id, const std::string& trace, const Verified& verified) const;

    const WorkPorts& ports_;
    const WorkSettings& settings_;
    InputLoader loader_;
};

}  // namespace framegrid::gateway
