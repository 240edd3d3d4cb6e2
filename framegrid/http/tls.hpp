// TLS 1.2+ over a TCP socket with ALPN, straight on OpenSSL: many records go out in one system call.
#pragma once

#include <memory>
#include <string>

#include <framegrid/base/result.hpp>
#include <framegrid/http/server.hpp>
#include <framegrid/http/transport.hpp>

struct ssl_ctx_st;

namespace framegrid::http {

// Shared by all connections of one server or client.
class TlsContext {
  public:
    // From PEM files, or with an ephemeral self-signed P-256 certificate for `host_name`, kept in memory
    // only.
    static Result<TlsContext> make_server(const TlsFiles& files, const std::string& host_name);
    // `verify`: check the chain against the system's roots, and the host's name.
    static Result<TlsContext> make_client(bool verify, bool offer_http2);

    ssl_ctx_st* get() const { return context_.get(); }
    bool verifies() const { return verify_; }

  private:
    explicit TlsContext(std::shared_ptr<ssl_ctx_st> context) : context_(std::move(context)) {}
    std::shared_ptr<ssl_ctx_st> context_;
    bool verify_ = false;
};

struct TlsConnected {
    std::unique_ptr<Transport> transport;
    bool http2 = false;  // what ALPN settled on; false: HTTP/1.1
};

// The handshake. kUnavailable when the peer goes away, kProtocol when it does not speak TLS or is not
// trusted.
Task<Result<TlsConnected>> accept_tls(TlsContext context, Socket socket);
Task<Result<TlsConnected>> connect_tls(TlsContext context, Socket socket, std::string host);

}  // namespace framegrid::http
