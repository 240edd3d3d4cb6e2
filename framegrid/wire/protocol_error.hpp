// Errors on the wire: the texts and statuses that peers classify by, and back (protocol sections 2.3
// and 3.3).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <framegrid/base/result.hpp>
#include <framegrid/http/message.hpp>

namespace framegrid::wire {

inline constexpr std::string_view kOrchestratorCapped = "OrchestratorCapped";
inline constexpr std::string_view kOrchestratorBusy = "OrchestratorBusy";

// Carries an Errc's name on HTTP answers and result uploads between our own nodes; other peers ignore it.
inline constexpr std::string_view kErrorCodeHeader = "framegrid-error";

// What a peer's text means. Texts that nobody relies on are kInternal with kPenalizePeer.
Error error_from_text(std::string_view text);
// The text that peers understand as `error` in a job's answer: a text of our own that must not be retried is
// given a phrase that says so.
std::string text_from_error(const Error& error);

// What an HTTP answer other than 200 means, from its status, its text and kErrorCodeHeader.
Error error_from_answer(int status, const http::Headers& headers, std::string_view body);
// A code received by name; the disposition is the one that suits a remote peer (never kFatal).
std::optional<Error> error_from_code(std::string_view code_name, std::string_view text);

// The same error as the fault of the peer that sent malformed data: kProtocol, kPenalizePeer.
Error as_peer_fault(Error error, std::string_view what);

// Peer-supplied text as it may stand in a message: printable ASCII, cut to 200 bytes.
std::string clean_text(std::string_view text);

}  // namespace framegrid::wire
