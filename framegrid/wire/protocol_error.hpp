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
// The only text that peers retry an AI job elsewhere by, without suspending who said it.
inline constexpr std::string_view kInsufficientCapacity = "insufficient capacity";

// Carries an Errc's name on HTTP answers and result uploads between our own nodes; other peers ignore it.
inline constexpr std::string_view kErrorCodeHeader = "framegrid-error";
// The same for what happened, in our words, where the text is one that peers compare.
inline constexpr std::string_view kErrorDetailHeader = "framegrid-error-detail";

// What a peer's text means. Texts that nobody relies on are kInternal with kPenalizePeer.
Error error_from_text(std::string_view text);
// The text that peers understand as `error`.
std::string text_from_error(const Error& error);
// The same of a failed transcode. What must not be retried is one of the texts that gateways know, and
// nothing more: they compare the whole of it.
std::string transcode_text(const Error& error);
// The same of a failed AI job: gateways look for "returned 400" to tell a client's mistake, and for
// "insufficient capacity".
std::string ai_text(std::string_view pipeline, const Error& error);
// The error with its peer's own words in the place of those of the protocol, if there are any.
Error with_detail(Error error, std::string_view detail);

// What an HTTP answer other than 200 means, from its status, its text and kErrorCodeHeader.
Error error_from_answer(int status, const http::Headers& headers, std::string_view body);
// A code received by name; the disposition is the one that suits a remote peer (never kFatal).
std::optional<Error> error_from_code(std::string_view code_name, std::string_view text);

// The same error as the fault of the peer that sent malformed data: kProtocol, kPenalizePeer.
Error as_peer_fault(Error error, std::string_view what);

// Peer-supplied text as it may stand in a message: printable ASCII, cut to 200 bytes.
std::string clean_text(std::string_view text);

}  // namespace framegrid::wire
