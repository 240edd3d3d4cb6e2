#include <framegrid/base/result.hpp>

#include <cstdio>
#include <cstdlib>

namespace framegrid {

std::string_view to_string(Errc code) {
    switch (code) {
        case Errc::kInvalidArgument:
            return "invalid_argument";
        case Errc::kUnauthorized:
            return "unauthorized";
        case Errc::kForbidden:
            return "forbidden";
        case Errc::kNotFound:
            return "not_found";
        case Errc::kTooLarge:
            return "too_large";
        case Errc::kUnsupported:
            return "unsupported";
        case Errc::kUnprocessable:
            return "unprocessable";
        case Errc::kCapacity:
            return "capacity";
        case Errc::kUnavailable:
            return "unavailable";
        case Errc::kDeadline:
            return "deadline_exceeded";
        case Errc::kCancelled:
            return "cancelled";
        case Errc::kProtocol:
            return "protocol";
        case Errc::kIo:
            return "io";
        case Errc::kInternal:
            return "internal";
    }
    return "internal";
}

std::string_view to_string(Disposition disposition) {
    switch (disposition) {
        case Disposition::kRetry:
            return "retry";
        case Disposition::kReject:
            return "reject";
        case Disposition::kPenalizePeer:
            return "penalize_peer";
        case Disposition::kFatal:
            return "fatal";
    }
    return "fatal";
}

Disposition default_disposition(Errc code) {
    switch (code) {
        case Errc::kInvalidArgument:
        case Errc::kUnauthorized:
        case Errc::kForbidden:
        case Errc::kNotFound:
        case Errc::kTooLarge:
        case Errc::kUnsupported:
        case Errc::kUnprocessable:
            return Disposition::kReject;
        case Errc::kCapacity:
        case Errc::kCancelled:
            return Disposition::kRetry;
        case Errc::kUnavailable:
        case Errc::kDeadline:
        case Errc::kProtocol:
            return Disposition::kPenalizePeer;
        case Errc::kIo:
        case Errc::kInternal:
            return Disposition::kFatal;
    }
    return Disposition::kFatal;
}

Error&& Error::with_context(std::string_view what) && {
    message = std::string(what) + ": " + message;
    return std::move(*this);
}

std::string_view what_to_do(Errc code) {
    switch (code) {
        case Errc::kInvalidArgument:
            return "correct the field that is named and send it again";
        case Errc::kUnauthorized:
            return "send an API key: Authorization: Bearer KEY";
        case Errc::kForbidden:
            return "use a key that may do this, or another address";
        case Errc::kNotFound:
            return "check the spelling; jobs and files are deleted after a while";
        case Errc::kTooLarge:
            return "send less, or upload it as a file of its own first";
        case Errc::kUnsupported:
            return "use another format or another gateway";
        case Errc::kUnprocessable:
            return "check that the file plays elsewhere";
        case Errc::kCapacity:
            return "try again after the time in Retry-After";
        case Errc::kUnavailable:
            return "try again later, or raise the price limit";
        case Errc::kDeadline:
            return "try again with a later deadline";
        case Errc::kCancelled:
            return "submit it again if that was a mistake";
        case Errc::kProtocol:
            return "try again; the node is avoided for a while";
        case Errc::kIo:
        case Errc::kInternal:
            break;
    }
    return "try again; tell the gateway's operator the trace id if it stays";
}

Error make_error(Errc code, std::string message, std::string field) {
    return Error{code, default_disposition(code), std::move(message), std::move(field)};
}

void assert_failed(const char* condition, const char* file, int line) {
    std::fprintf(stderr, "framegrid: internal error: %s does not hold (%s:%d)\n", condition, file, line);
    std::abort();
}

}  // namespace framegrid
