// HTTP client with connection reuse: HTTP/2 multiplexes many calls on one connection per origin.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <framegrid/base/log.hpp>
#include <framegrid/http/message.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::http {

struct ClientSettings {
    // The protocol establishes identity by signatures, so the network's clients do not check certificates.
    bool verify_certificates = false;
    // Clear text origins: HTTP/2 with prior knowledge when true, HTTP/1.1 when false. TLS origins use ALPN.
    bool cleartext_http2 = false;
    // Asked about every address ("203.0.113.5") that a name stands for, just before one of them is connected
    // to: no later answer of a name server can change it. One that may not be refuses the call with
    // kForbidden. Empty: any address.
    std::function<bool(const std::string& address)> may_connect = nullptr;
    bool offer_http2 = true;                     // TLS origins: false speaks HTTP/1.1 only
    std::size_t connections_per_origin_max = 8;  // HTTP/2 opens a second one only when streams run out
    std::size_t origins_max = 20'000;            // idle connections are closed first
    std::size_t header_bytes_max = 64 * 1024;
    std::chrono::milliseconds connect_time_max{2'000};
    std::chrono::milliseconds idle_time_max{60'000};
    std::chrono::milliseconds ping_period{0};  // HTTP/2 PING while calls are open; 0: off
    // HTTP/2 flow control: how much of bodies that nobody has read yet may wait here.
    std::uint32_t stream_window_bytes = 8 << 20;
    std::uint32_t connection_window_bytes = 64 << 20;
};

struct Request {
    std::string method = "GET";
    Url url;
    Headers headers;
    Blob body;  // sent whole; content-length is set
    // Streamed body instead of `body`; read until its end. The client keeps it until its last read() has
    // returned, which may be after the response: what it refers to must last that long.
    std::shared_ptr<BodyReader> body_source = nullptr;
};

// A response whose body is still arriving. Destroying it cancels the rest (RST_STREAM, or closing HTTP/1.1).
struct Response {
    ResponseHead head;
    std::unique_ptr<BodyReader> body;
};

// A response that has arrived completely.
struct Fetched {
    int status = 0;
    Headers headers;
    Headers trailers;
    Blob body;
};

// Single-threaded, on `executor` (a one-thread io_context's).
class Client {
  public:
    Client(Executor executor, Clock& clock, ClientSettings settings, Logger log);
    ~Client();

    // Completes with the response's head; the deadline covers connecting, sending the head and waiting for
    // the response's head. kUnavailable: cannot connect or the connection broke; kDeadline; kProtocol:
    // garbage. A request that provably never reached the peer (stale pooled connection, GOAWAY) is sent again
    // once.
    Task<Result<Response>> open(Request request, Deadline deadline);

    // The whole exchange within the deadline; a body over `body_limit` bytes is kTooLarge.
    Task<Result<Fetched>> fetch(Request request, std::size_t body_limit, Deadline deadline);

    // Closes every connection; open calls end with kCancelled.
    Task<void> stop();

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace framegrid::http
