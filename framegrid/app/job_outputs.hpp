// What a finished job did and made: its steps, its outputs as local files.
#pragma once

#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include <framegrid/app/jobs_client.hpp>

namespace framegrid::app {

// Ok when the job (as the gateway describes it) has succeeded; else why it has not.
Result<void> check_succeeded(const boost::json::object& job);

// A workflow's steps as a table on standard output; `run`: of the job. Nothing for single jobs.
void print_steps(const boost::json::object& run);

// Downloads a job's outputs into `directory`, which is made; the paths. Names come from the outputs of a
// workflow, else from the pipeline. kProtocol: the gateway names a file outside of the directory.
Task<Result<std::vector<std::string>>> fetch_outputs(
    JobsClient& client, boost::json::object job, host::Path directory, Deadline deadline
);

}  // namespace framegrid::app
