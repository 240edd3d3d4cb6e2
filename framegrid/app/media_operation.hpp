// The operations of workflows, by name: what an executor of a gateway does besides probing.
#pragma once

#include <framegrid/api/media_operations.hpp>
#include <framegrid/api/media_ports.hpp>

namespace framegrid::app {

// Blocking. kNotFound: no such operation; kInvalidArgument: parameters or files (named); and the operation's
// own errors.
Result<std::vector<api::Artifact>> run_operation(
    const api::MediaOperation& operation, const api::StopFlag& stop
);

}  // namespace framegrid::app
