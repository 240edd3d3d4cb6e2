// Registrations and task notifications between orchestrators and workers (protocol section 7). Internal.
#pragma once

#include <string>

#include <framegrid/wire/livepeer.pb.h>

#include <framegrid/api/worker_host.hpp>

namespace framegrid::wire {

net::RegisterRequest write_transcoder_registration(const api::Registration& registration);
net::RegisterAIWorkerRequest write_ai_registration(const api::Registration& registration);
// Absent capabilities count as the default set.
Result<api::Registration> read_registration(const net::RegisterRequest& message);
// `capacity` becomes the sum of the models' capacities.
Result<api::Registration> read_registration(const net::RegisterAIWorkerRequest& message);

// `input_url` is absolute. A task with `session_ended` becomes the protocol's teardown message.
net::NotifySegment write_segment_task(const api::WorkerTask& task, const std::string& input_url);
// kInvalidArgument when the task is no AI work or its parameters are no JSON object.
Result<net::NotifyAIJob> write_ai_task(const api::WorkerTask& task, const std::string& input_url);
Result<api::WorkerTask> read_task(const net::NotifySegment& message);
Result<api::WorkerTask> read_task(const net::NotifyAIJob& message);

}  // namespace framegrid::wire
