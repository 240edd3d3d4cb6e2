// Jobs whose files are too large for memory, over HTTP: the request's body is the input, the answer's the
// result, and both run at the same time.
#pragma once

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/http/client.hpp>

namespace framegrid::wire {

// A request's body that comes from a transfer.
std::shared_ptr<http::BodyReader> body_of(std::shared_ptr<api::PieceReader> input);

// Sends the input with `request`, takes the answer's body as the result. kDeadline: no byte came for
// `stall_max`; kProtocol: more or fewer than `bytes` came.
Task<Result<api::FileFacts>> exchange_transfer(
    http::Client& client, Clock& clock, http::Request request, std::shared_ptr<api::Transfer> transfer,
    std::uint64_t bytes, Duration stall_max, Deadline deadline
);

// The other end: the exchange as a transfer. It outlives it. The answer's head goes out with begin_output().
std::shared_ptr<api::Transfer> transfer_of(http::Exchange& exchange, std::uint64_t bytes);

// As the request's head says; nothing: it does not.
std::optional<std::uint64_t> content_length(const http::RequestHead& head);

}  // namespace framegrid::wire
