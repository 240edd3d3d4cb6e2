// What an HTTP request or response is to the rest of the program, whichever protocol version carries it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/runtime/async.hpp>

namespace framegrid::http {

// Header fields in order. Names are lower-case ASCII here; HTTP/1.1 output may spell them in the usual
// capitals.
class Headers {
  public:
    struct Field {
        std::string name;
        std::string value;
    };
    Headers() = default;
    Headers(std::initializer_list<Field> fields) : fields_(fields) {}

    void reserve(std::size_t fields) { fields_.reserve(fields); }
    // The first value of `name` (lower-case), or nullopt.
    std::optional<std::string_view> get(std::string_view name) const;
    void add(std::string name, std::string value) { fields_.push_back({std::move(name), std::move(value)}); }
    // Replaces every field of that name.
    void set(std::string_view name, std::string value);
    void erase(std::string_view name);
    const std::vector<Field>& fields() const { return fields_; }
    bool empty() const { return fields_.empty(); }

  private:
    std::vector<Field> fields_;
};

enum class Version : std::uint8_t { kHttp11, kHttp2 };

struct RequestHead {
    std::string method = "GET";
    std::string scheme;        // "http" or "https"
    std::string authority;     // host[:port]
    std::string target = "/";  // path and query as sent, always starting with '/'
    Headers headers;
    Version version = Version::kHttp2;
    std::string peer;  // "127.0.0.1:4711", servers only

    std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
    std::string_view query() const;
};

struct ResponseHead {
    int status = 200;
    Headers headers;
};

// A body that arrives piece by piece. Reading grants the sender more window: not reading holds it back. One
// read() at a time. A read() that is cancelled unwinds a moment later: it must not need the reader then, only
// what it shares.
class BodyReader {
  public:
    virtual ~BodyReader() = default;
    // The next piece; an empty Blob means the body has ended. kUnavailable when the peer vanished in the
    // middle.
    virtual Task<Result<Blob>> read() = 0;
    // Trailer fields; complete once read() has returned the end.
    virtual const Headers& trailers() const = 0;
};

// The whole body. kTooLarge as soon as it is known to exceed `limit` bytes.
Task<Result<Blob>> read_all(BodyReader& body, std::size_t limit);

// Where a handler puts its answer. start() once, write() any number of times, finish() once.
class ResponseWriter {
  public:
    virtual ~ResponseWriter() = default;
    // Sends and flushes the head. Without `content-length` the body is chunked (HTTP/1.1) or plain DATA
    // (HTTP/2).
    virtual Task<Result<void>> start(ResponseHead head) = 0;
    // Completes when the piece has been taken over by the transport within its bounded buffer
    // (back-pressure).
    virtual Task<Result<void>> write(Blob piece) = 0;
    virtual Task<Result<void>> finish(Headers trailers) = 0;
    Task<Result<void>> finish() { return finish(Headers{}); }
    virtual bool started() const = 0;
    // The status that the server itself answered with, in the handler's place; 0: it did not.
    virtual int refusal() const { return 0; }

    // The whole answer at once, with content-length.
    Task<Result<void>> respond(ResponseHead head, Blob body);
};

// One request being served. All references live until the handler's task has ended.
struct Exchange {
    RequestHead head;
    BodyReader& body;
    ResponseWriter& response;
};

// Serves one request. Cancelled (unwound) when the peer resets the stream, drops the connection, or the
// server stops. A handler that returns without start() answers 500; one that returns without finish() aborts
// the stream.
using Handler = std::function<Task<void>(Exchange&)>;

// The three parts of an absolute http(s) URL.
struct Url {
    std::string scheme;
    std::string host;  // without brackets for IPv6
    std::uint16_t port = 0;
    std::string target = "/";

    std::string authority() const;
    std::string origin() const;  // scheme://authority
};
// kInvalidArgument with `field` = "url" on anything but http:// and https://. A missing scheme means https.
Result<Url> parse_url(std::string_view text);

// The status that tells a client about `error`, and back (for clients of peers that only send a status).
int status_of(Errc code);
Errc errc_of(int status);

}  // namespace framegrid::http
