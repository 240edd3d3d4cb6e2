// One listener that serves HTTP/2 and HTTP/1.1, over TLS (ALPN) or in clear text (h2c prior knowledge,
// HTTP/1.1).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <framegrid/base/log.hpp>
#include <framegrid/http/message.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/metrics.hpp>

namespace framegrid::http {

struct TlsFiles {
    std::string certificate_pem;  // path; both empty: an ephemeral self-signed P-256 certificate
    std::string key_pem;
};

struct ServerSettings {
    std::string address = "127.0.0.1";
    std::uint16_t port = 0;  // 0: the system picks one, see Server::port()
    bool tls = true;
    TlsFiles tls_files;
    std::string host_name = "localhost";  // the ephemeral certificate's DNS name
    std::size_t connections_max = 1024;
    std::uint32_t streams_per_connection_max = 256;
    std::size_t header_bytes_max = 64 * 1024;  // all header fields of one message
    std::size_t body_bytes_max =
        310'000'000;  // above this the stream is refused with 413, whatever the handler does
    std::chrono::milliseconds header_time_max{10'000
    };  // from the first byte of a request to the end of its head
    std::chrono::milliseconds body_stall_max{20'000
    };  // no byte of a body for so long (slowloris) ends the stream
    std::chrono::milliseconds idle_time_max{600'000};  // a connection without streams
    // HTTP/2 PING period while streams are open; a peer that does not answer within one period is gone. 0:
    // off.
    std::chrono::milliseconds ping_period{0};
    // HTTP/2 flow control: how much of bodies that nobody has read yet may wait here.
    std::uint32_t stream_window_bytes = 8 << 20;
    std::uint32_t connection_window_bytes = 64 << 20;
};

struct ServerStats {
    std::uint64_t connections = 0;  // accepted so far
    std::uint64_t refused = 0;      // over connections_max
    std::uint64_t requests = 0;
    std::uint64_t protocol_errors = 0;
    std::size_t connections_open = 0;
    std::size_t streams_open = 0;
};
void dump(MetricsWriter& out, const ServerStats& stats);

// Single-threaded: everything happens on `executor`, which must be a one-thread io_context's executor.
class Server {
  public:
    Server(Executor executor, Clock& clock, ServerSettings settings, Handler handler, Logger log);
    ~Server();
    // Binds and starts accepting. kIo with what to do next when the port is taken or a file is unreadable.
    Result<void> listen();
    std::uint16_t port() const;
    // Reads the TLS files again, for connections that come later. On an error the old ones stay in use.
    Result<void> reload_certificate();
    // Refuses new requests (GOAWAY), waits up to `grace` for running ones, then cancels them.
    Task<void> stop(Duration grace);
    const ServerStats& stats() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace framegrid::http
