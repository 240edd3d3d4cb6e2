// What steps gave, kept by what they were: the memory of a workflow that is taken up again, and of its owner.
#pragma once

#include <optional>
#include <string>

#include <framegrid/gateway/step_runner.hpp>

namespace framegrid::gateway {

struct FoundResult {
    StepResult result;
    bool own = false;  // the same job paid for it
};

// Wei that left for a piece of work: in runs of it that a crash has ended, and in the one that is under way.
struct PaidWork {
    std::int64_t lost_wei = 0;
    std::int64_t wei = 0;
    friend bool operator==(const PaidWork&, const PaidWork&) = default;
};

// Ports and settings outlive it.
class KeptResults {
  public:
    // `files`: where records are made.
    KeptResults(const WorkPorts& ports, const WorkSettings& settings, api::StoredFiles& files)
        : ports_(ports), settings_(settings), files_(files) {}

    Task<Result<void>> keep(StepOwner owner, std::string key, StepResult result) const;
    // nullopt: none, one of a file that is gone, or of a model that is `model_digest` by now (empty: not
    // known).
    Task<Result<std::optional<FoundResult>>> find(StepOwner owner, std::string key, std::string model_digest)
        const;

    // What was paid for a piece of work that has no result yet; nothing, if none was kept.
    Task<Result<void>> keep_paid(StepOwner owner, std::string key, PaidWork paid) const;
    Task<Result<PaidWork>> find_paid(StepOwner owner, std::string key) const;

    // What the first of two runs of a job gave, by what the work was.
    Task<Result<void>> keep_first(StepOwner owner, std::string key, std::string result) const;
    Task<Result<std::optional<std::string>>> find_first(StepOwner owner, std::string key) const;

    // The state that a job began with.
    Task<Result<void>> keep_start(StepOwner owner, std::string state) const;
    Task<Result<std::optional<std::string>>> find_start(StepOwner owner) const;

  private:
    Task<Result<void>> put(StepOwner owner, std::string key, std::string data) const;
    Task<Result<std::optional<std::string>>> text_of(StepOwner owner, std::string key) const;
    Task<Result<bool>> renew(StepOwner owner, StepFile& file) const;

    const WorkPorts& ports_;
    const WorkSettings& settings_;
    api::StoredFiles& files_;
};

}  // namespace framegrid::gateway
