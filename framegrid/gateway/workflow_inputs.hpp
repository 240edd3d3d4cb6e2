// The values that a job gives to its workflow's inputs: files are fetched, stored and looked into.
#pragma once

#include <string>
#include <vector>

#include <framegrid/gateway/step_runner.hpp>
#include <framegrid/job/document.hpp>

namespace framegrid::gateway {

struct WorkflowInputs {
    workflow::Values values;
    std::vector<StepFile> files;  // those of the values
};

// Errors name "inputs.<name>". Names that the workflow does not know are left to check_inputs().
Task<Result<WorkflowInputs>> read_inputs(
    const InputLoader& loader, const StepRunner& runner, const workflow::Workflow& workflow, StepOwner owner,
    std::string values, Deadline deadline
);

}  // namespace framegrid::gateway
