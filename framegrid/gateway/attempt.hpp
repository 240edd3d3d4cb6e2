// One try of a job at one orchestrator: a session, the payment, the work, the receipt.
#pragma once

#include <optional>
#include <string>

#include <framegrid/api/early_artifacts.hpp>
#include <framegrid/gateway/role_state.hpp>

namespace framegrid::gateway {

// What came of one attempt.
struct Attempted {
    api::WorkOutput output;
    Price price;
    std::int64_t units = 0;
    std::optional<Wei> cost{};
};

// Lives in the frame of whoever awaits run(). All that it refers to outlives it.
class Attempt {
  public:
    Attempt(RoleState& state, const JobRequest& request, market::Slot slot, api::EarlyArtifacts& early)
        : state_(state), request_(request), slot_(slot), early_(early) {}
    // Errors as the orchestrator gives them, and our own about money (see unpaid()).
    Task<Result<Attempted>> run(Deadline deadline);
    // The failure is about our own money or limits: the orchestrator is not to blame.
    bool unpaid() const { return unpaid_; }

  private:
    // A token, and the orchestrator that knows it.
    struct Place {
        api::AuthToken token;
        std::shared_ptr<api::Orchestrator> orchestrator;
    };
    Task<Result<Place>> place(Deadline deadline);
    Place place_of(const api::AuthToken& token, const std::string& service_uri) const;
    Task<Result<JobPayment>> payment_for(
        const api::Job& job, const Purpose& purpose, std::optional<JobPayment> credit, Deadline deadline
    );
    Task<Result<Attempted>> run_paid(
        std::shared_ptr<api::Orchestrator> orchestrator, api::Job job, JobPayment payment, Purpose purpose,
        Deadline deadline
    );
    Purpose purpose_of(const api::AuthToken& token) const;
    std::string terms_key() const { return state_.pool.uri(slot_) + "\n" + request_.manifest_id; }
    void take_early(std::size_t index, const api::Artifact& artifact);

    RoleState& state_;
    const JobRequest& request_;
    market::Slot slot_;
    api::EarlyArtifacts& early_;
    bool unpaid_ = false;
};

}  // namespace framegrid::gateway
