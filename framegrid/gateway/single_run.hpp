// One durable job of one piece of work on its way: once, or twice where it is verified.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include <framegrid/gateway/ai_request.hpp>
#include <framegrid/gateway/input_loader.hpp>
#include <framegrid/gateway/kept_results.hpp>
#include <framegrid/gateway/repeated_run.hpp>

namespace framegrid::gateway {

inline constexpr std::string_view kUncountable = "more than can be counted";

boost::json::object price_json(const Price& price);

struct PreparedJob {
    AiJob job;
    std::shared_ptr<ObjectTransfer> transfer = nullptr;  // the job's, if it is one
};

// Lives in one coroutine's frame. What the references name outlives it.
class SingleRun {
  public:
    SingleRun(
        const WorkPorts& ports, const WorkSettings& settings, api::StoredFiles& files,
        const KeptResults& results, job::Record record, job::Document document, JobTeller tell
    );
    // The job's result as JSON.
    Task<Result<std::string>> to_end(PreparedJob prepared, Deadline deadline);

  private:
    // One of the two, and what was paid for it in this process and in those before.
    struct Leg {
        std::string_view name;
        PaidWork before{};
        PaidWork paid{};
    };
    void watch(JobRequest& request, Leg& leg);
    Task<Result<void>> recall(Leg& leg) const;
    Task<Result<void>> note_paid(Leg& leg, Wei fee);
    // It has failed here, not with a process: what was paid is not billed.
    Task<Result<void>> forget_paid(const Leg& leg) const;
    Task<Result<boost::json::object>> run_once(JobRequest request, PreparedJob prepared, Deadline deadline);
    Task<Result<std::string>> run_twice(PreparedJob prepared, Deadline deadline);
    Task<std::string> work_key(const api::Work& work) const;
    Task<Result<boost::json::object>> first_result(
        JobRequest request, PreparedJob prepared, Deadline deadline
    );
    Task<Result<Verified>> repeat(PreparedJob prepared, RunFacts first, Deadline deadline);
    Task<Result<boost::json::object>> keep(
        JobResult result, const Leg& leg, Pixels units, std::shared_ptr<ObjectTransfer> transfer
    );
    Task<Result<boost::json::object>> keep_one(
        api::Artifact artifact, std::shared_ptr<ObjectTransfer> transfer
    );
    // Never more than the client's limit.
    std::string bill(const Wei& wei) const;

    const WorkPorts& ports_;
    const WorkSettings& settings_;
    api::StoredFiles& files_;
    const KeptResults& results_;
    InputLoader loader_;
    RepeatedRun repeated_;
    job::Record record_;
    job::Document document_;
    JobTeller tell_;
    StepOwner owner_;
    Wei told_ = 0;  // that has left for the job
};

}  // namespace framegrid::gateway
