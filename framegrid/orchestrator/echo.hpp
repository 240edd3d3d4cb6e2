// The job that gives its input back: what is measured as the overhead of every job.
#pragma once

#include <framegrid/api/work.hpp>

namespace framegrid::orchestrator {

// Of work that is a transfer: each piece goes back as it comes. With `digest` its SHA-256 is found out, for
// the receipt.
Task<Result<api::WorkOutput>> give_back(
    std::shared_ptr<api::Transfer> transfer, bool digest, Deadline deadline
);

}  // namespace framegrid::orchestrator
