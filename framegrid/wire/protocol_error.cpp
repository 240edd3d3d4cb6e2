#include <framegrid/wire/protocol_error.hpp>

#include <algorithm>
#include <array>

namespace framegrid::wire {

namespace {

constexpr std::string_view kInvalidArgument = "Invalid argument";
// Gateways look for these words to tell a client's mistake from a node's fault.
constexpr std::string_view kBadRequest = "returned 400";

struct Meaning {
    std::string_view text;
    Errc code;
    Disposition disposition;
};

// First match wins, in any case of letters. The non-retryable texts travel from transcoder to gateway
// unchanged, and gateways compare the whole of them, so they are an interface.
constexpr std::array kMeanings{
    Meaning{kOrchestratorCapped, Errc::kCapacity, Disposition::kRetry},
    Meaning{kOrchestratorBusy, Errc::kCapacity, Disposition::kRetry},
    Meaning{kInsufficientCapacity, Errc::kCapacity, Disposition::kRetry},
    Meaning{"no transcoders available", Errc::kCapacity, Disposition::kRetry},
    Meaning{"no transcoders can provide requested capabilities", Errc::kCapacity, Disposition::kRetry},
    Meaning{"no workers can process job requested", Errc::kCapacity, Disposition::kRetry},
    Meaning{"invalid secret", Errc::kUnauthorized, Disposition::kReject},
    Meaning{"zero capacity", Errc::kInvalidArgument, Disposition::kReject},
    // A fresh OrchestratorInfo brings a fresh token.
    Meaning{"nvalid auth token", Errc::kForbidden, Disposition::kRetry},
    Meaning{"expired auth token", Errc::kForbidden, Disposition::kRetry},
    Meaning{"missing auth token", Errc::kForbidden, Disposition::kRetry},
    Meaning{"incompatible capabilities", Errc::kUnsupported, Disposition::kRetry},
    Meaning{"Insufficient balance", Errc::kForbidden, Disposition::kRetry},
    // Fresh ticket params, of this node or another, are another chance.
    Meaning{"TicketParams expired", Errc::kForbidden, Disposition::kRetry},
    Meaning{"invalid ticket", Errc::kForbidden, Disposition::kRetry},
    Meaning{"invalid recipientRand", Errc::kForbidden, Disposition::kRetry},
    Meaning{"ticket is expired", Errc::kForbidden, Disposition::kRetry},
    Meaning{"ticket faceValue", Errc::kForbidden, Disposition::kRetry},
    Meaning{"set to unlock soon", Errc::kForbidden, Disposition::kRetry},
    Meaning{"cannot process payments", Errc::kUnavailable, Disposition::kPenalizePeer},
    // What a runner said of an AI job's request.
    Meaning{kBadRequest, Errc::kInvalidArgument, Disposition::kReject},
    Meaning{"returned 422", Errc::kInvalidArgument, Disposition::kReject},
    Meaning{"returned 413", Errc::kTooLarge, Disposition::kReject},
    Meaning{"returned 415", Errc::kUnsupported, Disposition::kReject},
    Meaning{"ErrSegSig", Errc::kForbidden, Disposition::kPenalizePeer},
    Meaning{"Unsupported input pixel format", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"Error initializing filtergraph", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"Output duration larger than input duration", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"Output frame count larger than expected", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"Too many outputs", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"No input configuration", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"Unsupported input codec", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"No keyframes in input", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"Unrecoverable state, restart process", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"Encoded frames runaway", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"Decoder not found", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"Demuxer not found", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"Encoder not found", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"Muxer not found", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"Option not found", Errc::kUnprocessable, Disposition::kReject},
    Meaning{kInvalidArgument, Errc::kUnprocessable, Disposition::kReject},
    Meaning{"TranscoderInvalidResolution", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"TranscoderInvalidVideo", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"TranscoderUnrecognizedFormat", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"TranscoderUnrecognizedProfile", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"TranscoderInvalidGOP", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"TranscoderIncompatibleDevices", Errc::kUnprocessable, Disposition::kReject},
    Meaning{"hit max transcode attempts", Errc::kUnprocessable, Disposition::kReject},
};

constexpr std::array kCodes{
    Errc::kInvalidArgument, Errc::kUnauthorized,  Errc::kForbidden, Errc::kNotFound,    Errc::kTooLarge,
    Errc::kUnsupported,     Errc::kUnprocessable, Errc::kCapacity,  Errc::kUnavailable, Errc::kDeadline,
    Errc::kCancelled,       Errc::kProtocol,      Errc::kIo,        Errc::kInternal,
};

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

const Meaning* meaning_of(std::string_view text) {
    const auto same = [](char a, char b) { return lower(a) == lower(b); };
    const auto* found = std::ranges::find_if(kMeanings, [&](const Meaning& meaning) {
        return !std::ranges::search(text, meaning.text, same).empty();
    });
    return found == kMeanings.end() ? nullptr : &*found;
}

// Refusals of tokens, keys and the like are to be rejected, too, and are nobody's input.
bool is_input_fault(const Error& error) {
    return error.disposition == Disposition::kReject &&
           (error.code == Errc::kInvalidArgument || error.code == Errc::kTooLarge ||
            error.code == Errc::kUnsupported || error.code == Errc::kUnprocessable);
}

// Who is refused by one node may be served by another; what a remote process cannot continue with is its own
// affair.
Disposition remote_disposition(Errc code) {
    switch (code) {
        case Errc::kNotFound:
            return Disposition::kRetry;
        case Errc::kUnauthorized:
        case Errc::kForbidden:
        case Errc::kIo:
        case Errc::kInternal:
            return Disposition::kPenalizePeer;
        default:
            return default_disposition(code);
    }
}

Error remote_error(Errc code, std::string message) {
    return Error{code, remote_disposition(code), std::move(message), {}};
}

}  // namespace

std::string clean_text(std::string_view text) {
    constexpr std::size_t kLimit = 200;
    std::string clean(text.substr(0, kLimit));
    while (!clean.empty() && (clean.back() == '\n' || clean.back() == '\r')) {
        clean.pop_back();
    }
    std::ranges::replace_if(clean, [](char c) { return c < ' ' || c > '~'; }, '?');
    return clean;
}

Error error_from_text(std::string_view text) {
    std::string message = clean_text(text);
    if (const auto* meaning = meaning_of(text)) {
        return Error{meaning->code, meaning->disposition, std::move(message), {}};
    }
    return remote_error(
        Errc::kInternal, message.empty() ? "the peer failed without a reason" : std::move(message)
    );
}

std::string text_from_error(const Error& error) {
    if (error.code == Errc::kCapacity) {
        const bool known = meaning_of(error.message) != nullptr;
        return known ? error.message : std::string(kOrchestratorBusy);
    }
    return error.message;
}

std::string transcode_text(const Error& error) {
    const auto* meaning = meaning_of(error.message);
    if (is_input_fault(error) && meaning == nullptr) {
        return std::string(kInvalidArgument);
    }
    if (error.disposition == Disposition::kReject && meaning != nullptr &&
        meaning->disposition == Disposition::kReject) {
        return std::string(meaning->text);
    }
    auto text = text_from_error(error);
    std::ranges::replace(text, '%', '/');  // orchestrators take a worker's text as a format
    return text;
}

std::string ai_text(std::string_view pipeline, const Error& error) {
    if (error.code == Errc::kCapacity) {
        return std::string(kInsufficientCapacity);
    }
    const auto* meaning = meaning_of(error.message);
    const bool known = meaning != nullptr && meaning->disposition != Disposition::kReject;
    if (known || !is_input_fault(error)) {
        return error.message;
    }
    return std::string(pipeline) + ' ' + std::string(kBadRequest) + ' ' + error.message;
}

Error with_detail(Error error, std::string_view detail) {
    if (!detail.empty()) {
        error.message = clean_text(detail);
    }
    return error;
}

std::optional<Error> error_from_code(std::string_view code_name, std::string_view text) {
    for (const Errc code : kCodes) {
        if (to_string(code) == code_name) {
            return remote_error(code, clean_text(text));
        }
    }
    return std::nullopt;
}

Error error_from_answer(int status, const http::Headers& headers, std::string_view body) {
    auto code = error_from_code(headers.get(kErrorCodeHeader).value_or(""), body);
    const auto detail = headers.get(kErrorDetailHeader).value_or("");
    // The text first: it also tells what to do about the error.
    if (meaning_of(body) != nullptr) {
        auto error = error_from_text(body);
        if (code && error.disposition == Disposition::kReject) {
            error.code = code->code;  // finer than what peers have words for
        }
        return with_detail(std::move(error), detail);
    }
    if (code) {
        return with_detail(*std::move(code), detail);
    }
    std::string message = "the peer answered " + std::to_string(status);
    if (!body.empty()) {
        message += ": " + clean_text(body);
    }
    if (status < 400) {
        return remote_error(Errc::kProtocol, std::move(message));
    }
    if (status == 402) {
        return remote_error(Errc::kForbidden, std::move(message));
    }
    return remote_error(http::errc_of(status), std::move(message));
}

Error as_peer_fault(Error error, std::string_view what) {
    Error fault = make_error(Errc::kProtocol, std::move(error.message), std::move(error.field));
    return std::move(fault).with_context(what);
}

}  // namespace framegrid::wire
