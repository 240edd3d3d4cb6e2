// What running a workflow means: its steps on the network, each result kept, the whole taken up again after a
// crash.
#pragma once

#include <memory>
#include <string>

#include <framegrid/gateway/job_desk.hpp>
#include <framegrid/gateway/job_work.hpp>

namespace framegrid::gateway {

class WorkflowWork : public JobRunner {
  public:
    // Forgets kept results whose files have expired, until cancelled.
    virtual Task<Result<bool>> serve() = 0;
    // What it would cost at most now, as JSON: {"wei","exact","lines":[{"step","items","units","wei","price",
    // "exact","note"}]}. Reads and stores the inputs, buys nothing. Errors: the document's or the inputs';
    // kNotFound: nobody has ever offered a step's model. kUnavailable: nobody offers a step now.
    virtual Task<Result<std::string>> quote(std::string owner, job::Document document, Deadline deadline) = 0;
};

// Chooses what a document leaves open, so that a job that is run again does the same: the seed. All problems
// of the workflow itself as one error.
Result<void> settle_workflow(job::Document& document, Random& random);

// Results: {"outputs":[{"output","index","artifact","content_type","bytes","sha256", of media "width",
// "height", "duration_ms", "frames"}],"run":{"workflow","seed","wei","quote_wei","steps":[{"step","done",
// "skipped","cached","wei"}]}}. Ports' references outlive it.
std::unique_ptr<WorkflowWork> make_workflow_work(Executor executor, WorkPorts ports, WorkSettings settings);

}  // namespace framegrid::gateway
