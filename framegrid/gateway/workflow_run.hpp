// One workflow on its way: does what workflow::Run says and tells it what came of that.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <framegrid/gateway/job_desk.hpp>
#include <framegrid/gateway/kept_results.hpp>
#include <framegrid/gateway/step_runner.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::gateway {

// One of them: what is to be done for whom.
struct WorkflowJob {
    workflow::Run run;
    std::vector<StepFile> files;  // stored ones that the run's inputs are, as far as they are known
    StepOwner owner;
    JobTeller tell;
};

// Lives in one coroutine's frame. What the references name outlives it.
class WorkflowRun {
  public:
    WorkflowRun(
        Executor executor, const WorkPorts& ports, const WorkSettings& settings, const StepRunner& runner,
        const KeptResults& results, WorkflowJob job
    );
    // The job's result as JSON.
    Task<Result<std::string>> to_end(int priority, Deadline deadline);

  private:
    struct Item {
        int attempt = 0;
        std::shared_ptr<Canceller> canceller;
        PaidWork paid{};
    };
    Task<Result<std::string>> follow();
    void obey(std::vector<workflow::Command> commands);
    void start(workflow::Start start);
    Task<void> run_item(workflow::Start start, std::shared_ptr<Canceller> canceller);
    Task<Result<bool>> do_item(workflow::Start start);
    StepEvents events_of(const workflow::Start& start);
    Task<Result<StepResult>> do_work(workflow::Start start);
    Task<Result<void>> note_paid(workflow::ItemId id, std::string key, Wei fee);
    // `how`, as events say it: "done", "kept" (by this job, before a restart) or "cached" (of another job).
    void done(const workflow::Start& start, const StepResult& result, std::string_view how);
    void post(workflow::Event event);
    void tell_item(const workflow::ItemId& id, std::string_view state, const StepResult* result);
    void tell_progress();
    void tell_verification() const;
    std::string kept_key(const workflow::Start& start) const;
    Task<Result<std::string>> finish(workflow::Finish finish);
    Task<Result<StepFile>> file_for(workflow::Artifact about);

    const WorkPorts& ports_;
    const StepRunner& runner_;
    const KeptResults& results_;
    workflow::Run run_;
    StepOwner owner_;
    JobTeller tell_;
    TaskGroup group_;
    Deadline deadline_{};
    int priority_ = 0;
    std::deque<workflow::Event> events_;
    Notifier something_came_;
    std::map<workflow::ItemId, Item> items_;                   // that run now
    std::map<std::string, StepFile> files_;                    // by digest
    std::map<std::string, std::int64_t, std::less<>> cached_;  // items by step
    VerificationStats checked_;                                // pieces that were done twice
    std::optional<Result<workflow::Finish>> end_;
};

}  // namespace framegrid::gateway
