// What a job's payment needs before the job is sent: an orchestrator's terms, and tickets under them.
#pragma once

#include <optional>
#include <set>
#include <string>

#include <framegrid/gateway/gateway.hpp>
#include <framegrid/gateway/payments.hpp>

namespace framegrid::gateway {

// Used on one executor. Outlives its tasks.
class Buying {
  public:
    // `ask_time_max`: for asking an orchestrator for its terms.
    Buying(const Ports& ports, Payments& payments, Duration ask_time_max)
        : ports_(ports), payments_(payments), ask_time_max_(ask_time_max) {}

    // Where terms are refreshed beside running jobs; null: only when a job needs them.
    void refresh_in(TaskGroup* tasks) { tasks_ = tasks; }

    // Without waiting for anybody; nullopt: not possible.
    std::optional<JobPayment> on_credit(
        const JobRequest& request, const std::string& uri, const Purpose& purpose
    );
    // kForbidden: our own money or limits. kUnavailable: the orchestrator does not tell its terms, or none of
    // its tickets are left.
    Task<Result<JobPayment>> buy(
        const JobRequest& request, std::string uri, const Purpose& purpose, Deadline deadline
    );

  private:
    Task<Result<void>> ask_terms(
        std::string terms_key, std::string uri, job::Capabilities needs, Deadline deadline
    );
    Task<void> refresh_terms(std::string terms_key, std::string uri, job::Capabilities needs);

    const Ports& ports_;
    Payments& payments_;
    const Duration ask_time_max_;
    TaskGroup* tasks_ = nullptr;
    std::set<std::string> asking_;  // terms that are being asked for
    Notifier changed_;
};

}  // namespace framegrid::gateway
