// Errors are values: every fallible function returns Result<T>, and exceptions stop at the library that
// throws them.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace framegrid {

// What went wrong, as a closed set that maps one to one to HTTP and gRPC status codes (see http/status.hpp).
enum class Errc : std::uint8_t {
    kInvalidArgument,  // the caller's input is wrong; `Error::field` names the part
    kUnauthorized,     // no or wrong credentials
    kForbidden,        // credentials are fine, the act is not allowed (bad signature, expired token)
    kNotFound,         // unknown pipeline, model, stream or path
    kTooLarge,         // a declared limit was exceeded
    kUnsupported,      // well formed, but this node cannot do it (codec, pixel format, container)
    kUnprocessable,    // media that cannot be processed by anybody (no keyframe, not media)
    kCapacity,         // full now; another node or a later attempt may succeed
    kUnavailable,      // no peer, or the peer's connection failed
    kDeadline,         // the deadline passed
    kCancelled,        // the caller gave up
    kProtocol,         // the peer broke the protocol or answered garbage
    kIo,               // the local system failed (disk full, permission)
    kInternal,         // a bug or an unexpected library failure
};

// What the caller should do about it; decides retries and peer penalties without looking at texts.
enum class Disposition : std::uint8_t {
    kRetry,         // safe to try again, preferably on another node
    kReject,        // the input is at fault: nobody should retry it
    kPenalizePeer,  // try another node and suspend this one
    kFatal,         // this process cannot continue with this resource
};

// The closed set's stable snake_case name, used in JSON (`error.code`), logs and metrics.
std::string_view to_string(Errc code);
std::string_view to_string(Disposition disposition);

// The disposition that follows from a code when nothing more specific is known.
Disposition default_disposition(Errc code);

struct Error {
    Errc code = Errc::kInternal;
    Disposition disposition = Disposition::kFatal;
    std::string message;  // one sentence for a person; peer-supplied text is already escaped and shortened
    std::string field;    // the input's part at fault ("profiles[1].width"), or empty

    // Puts `what` in front of the message, to tell what was being done.
    Error&& with_context(std::string_view what) &&;
    Error&& with_disposition(Disposition value) && {
        disposition = value;
        return std::move(*this);
    }
};

// What whoever gets this error can do about it, when nothing closer to the cause is known.
std::string_view what_to_do(Errc code);

Error make_error(Errc code, std::string message, std::string field = {});

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Errc code, std::string message, std::string field = {}) {
    return std::unexpected(make_error(code, std::move(message), std::move(field)));
}
inline std::unexpected<Error> fail(Error error) {
    return std::unexpected(std::move(error));
}

}  // namespace framegrid

#define FG_CONCAT_(a, b) a##b
#define FG_CONCAT(a, b) FG_CONCAT_(a, b)

// FG_TRY(x, f()): declares x from a Result, or returns its error. FG_CHECK(f()): the same for Result<void>.
// FG_CO_TRY / FG_CO_CHECK: the same inside a coroutine.
#define FG_TRY_(tmp, decl, expr, ret)                \
    auto tmp = (expr);                               \
    if (!tmp) [[unlikely]] {                         \
        ret std::unexpected(std::move(tmp).error()); \
    }                                                \
    auto decl = std::move(*tmp)
#define FG_TRY(decl, ...) FG_TRY_(FG_CONCAT(fg_try_, __COUNTER__), decl, (__VA_ARGS__), return)
#define FG_CO_TRY(decl, ...) FG_TRY_(FG_CONCAT(fg_try_, __COUNTER__), decl, (__VA_ARGS__), co_return)
#define FG_CHECK_(tmp, expr, ret)                        \
    do {                                                 \
        auto tmp = (expr);                               \
        if (!tmp) [[unlikely]] {                         \
            ret std::unexpected(std::move(tmp).error()); \
        }                                                \
    } while (false)
#define FG_CHECK(...) FG_CHECK_(FG_CONCAT(fg_check_, __COUNTER__), (__VA_ARGS__), return)
#define FG_CO_CHECK(...) FG_CHECK_(FG_CONCAT(fg_check_, __COUNTER__), (__VA_ARGS__), co_return)

// Always on: an invariant of our own code, never a peer's input. Prints the place and aborts.
#define FG_ASSERT(cond) \
    (static_cast<bool>(cond) ? void(0) : ::framegrid::assert_failed(#cond, __FILE__, __LINE__))

namespace framegrid {
[[noreturn]] void assert_failed(const char* condition, const char* file, int line);
}
