// One job over as many orchestrators as it takes: who is asked next, and what a failure says about whom.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <framegrid/gateway/attempt.hpp>

namespace framegrid::gateway {

inline constexpr std::size_t kVerdictsMax = 20;                        // listed in an explanation
inline constexpr Duration kRetryTick = std::chrono::milliseconds(20);  // between looks at the pool

// What the pool is asked for such a job.
market::Demand demand_of(const JobRequest& request);

// Lives in the frame of whoever awaits run(). The state outlives it.
class JobAttempts {
  public:
    JobAttempts(RoleState& state, JobRequest request);
    Task<Result<JobResult>> run(Deadline deadline);
    // Nobody takes the job: the client and the operator are told why, candidate by candidate.
    Error refuse(Error error);

  private:
    Deadline attempt_deadline(Deadline deadline) const;
    Task<Result<market::Slot>> choose();
    void learn(market::Slot slot, const api::WorkOutput& output, Duration took);
    void renew_token(market::Slot slot, TimePoint now);
    bool nobody_can_confirm();
    Error conclude();
    bool settle_signers(market::Slot slot, Error error);
    bool settle_failure(market::Slot slot, Error error);
    void warn_of(const std::string& uri, const Error& error) const;

    RoleState& state_;
    JobRequest request_;
    market::Demand demand_;
    int attempts_ = 0;
    Deadline patience_{};                 // for finding somebody; starts again after each real attempt
    std::vector<market::Slot> rejected_;  // nodes that called the input bad
    std::vector<market::Slot> renewed_;   // nodes that were asked for a new token
    std::optional<Error> reject_;         // what the first of them said
    std::optional<Error> last_;
    bool unpaid_ = false;       // the last failure is about our own money or limits
    bool signer_away_ = false;  // it is that nobody signs for us just now
};

// How a result is counted: "done", or the error's code.
template <class T>
std::string_view result_of(const Result<T>& result) {
    return result ? "done" : to_string(result.error().code);
}

}  // namespace framegrid::gateway
