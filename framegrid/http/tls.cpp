#include <framegrid/http/tls.hpp>

#include <array>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <framegrid/http/certificate.hpp>

namespace framegrid::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kRecordBytes = 16 * 1024;            // the largest plaintext of one TLS record
constexpr std::size_t kPlainPerWrite = 16 * kRecordBytes;  // encrypted at most this far ahead of the socket
constexpr std::size_t kRecordOverhead = 64;                // and more than that is never added to it
constexpr std::size_t kReadAheadBytes = 64 * 1024;
constexpr std::array<unsigned char, 12> kAlpn{2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

// clang-format off
int select_alpn(
    SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size, void*
) {
    // clang-format on
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, out_size, kAlpn.data(), kAlpn.size(), in, in_size) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_NOACK;  // served as HTTP/1.1
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

// An OpenSSL output that collects records in a Bytes.
int collect(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
    auto& out = *static_cast<Bytes*>(BIO_get_data(bio));
    const auto view = as_bytes({data, size});
    out.insert(out.end(), view.begin(), view.end());
    *written = size;
    return 1;
}
long control(BIO*, int command, long, void*) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD* collector_method() {
    static BIO_METHOD* const method = [] {
        BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "framegrid collector");
        FG_ASSERT(made != nullptr);
        BIO_meth_set_write_ex(made, collect);
        BIO_meth_set_ctrl(made, control);
        return made;
    }();
    return method;
}

class TlsTransport final : public Transport {
  public:
    // Null on lack of memory.
    static std::unique_ptr<TlsTransport> make(const TlsContext& context, Socket socket);
    ~TlsTransport() override { SSL_free(ssl_); }

    Task<Result<void>> handshake();
    SSL* ssl() { return ssl_; }
    bool http2() const;

    std::size_t read_some(std::span<std::uint8_t> into, ErrorCode& code) override;
    void wait_readable(Wake wake) override;
    std::size_t write_some(Pieces pieces, ErrorCode& code) override;
    bool has_unsent() const override { return sent_ < out_.size(); }
    void wait_writable(Wake wake) override;
    bool has_peer_finished() const override { return http::has_peer_finished(socket_); }
    void finish_writing() override;
    void close(bool reset) override { http::close(socket_, reset); }

  private:
    TlsTransport(Socket socket, SSL* ssl) : socket_(std::move(socket)), ssl_(ssl) {}
    bool encrypt(const std::uint8_t* data, std::size_t size);
    // Sends collected records. would_block: some are left.
    void flush(ErrorCode& code);

    Socket socket_;
    SSL* ssl_;
    Bytes out_;
    std::size_t sent_ = 0;
    bool dry_ = false;  // the last read found nothing more to decrypt
    bool read_failed_ = false;
    bool finishing_ = false;
};

std::unique_ptr<TlsTransport> TlsTransport::make(const TlsContext& context, Socket socket) {
    SSL* ssl = SSL_new(context.get());
    BIO* in = BIO_new_socket(static_cast<int>(socket.native_handle()), BIO_NOCLOSE);
    BIO* out = BIO_new(collector_method());
    if (ssl == nullptr || in == nullptr || out == nullptr) {
        SSL_free(ssl);
        BIO_free(in);
        BIO_free(out);
        return nullptr;
    }
    SSL_set_bio(ssl, in, out);
    auto made = std::unique_ptr<TlsTransport>(new TlsTransport(std::move(socket), ssl));
    BIO_set_data(out, &made->out_);
    BIO_set_init(out, 1);
    return made;
}

bool TlsTransport::http2() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &name, &size);
    return size == 2 && name[0] == 'h' && name[1] == '2';
}

Task<Result<void>> TlsTransport::handshake() {
    for (;;) {
        ERR_clear_error();
        const int rc = SSL_do_handshake(ssl_);
        const int why = SSL_get_error(ssl_, rc);
        ErrorCode code;
        flush(code);
        while (code == asio::error::would_block) {
            co_await socket_.async_wait(Socket::wait_write, asio::as_tuple(asio::use_awaitable));
            flush(code);
        }
        if (rc == 1) {
            co_return Result<void>{};
        }
        if (why == SSL_ERROR_WANT_READ && !code) {
            co_await socket_.async_wait(Socket::wait_read, asio::as_tuple(asio::use_awaitable));
            continue;
        }
        const bool gone = code || why == SSL_ERROR_SYSCALL || why == SSL_ERROR_ZERO_RETURN ||
                          ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
        const std::string reason = openssl_error();
        co_return gone
            ? Result<void>(fail(Errc::kUnavailable, "the connection ended during the TLS handshake"))
            : Result<void>(fail(Errc::kProtocol, "TLS handshake failed: " + reason));
    }
}

std::size_t TlsTransport::read_some(std::span<std::uint8_t> into, ErrorCode& code) {
    code = {};
    std::size_t total = 0;
    dry_ = false;
    while (total < into.size() && !read_failed_) {
        ERR_clear_error();
        std::size_t n = 0;
        if (SSL_read_ex(ssl_, into.data() + total, into.size() - total, &n) == 1) {
            total += n;
            continue;
        }
        const int why = SSL_get_error(ssl_, 0);
        dry_ = true;
        if (why == SSL_ERROR_WANT_READ) {
            break;
        }
        read_failed_ = true;
    }
    if (has_unsent()) {  // answers to key updates and alerts
        ErrorCode ignored;
        flush(ignored);
    }
    if (total == 0) {
        // A peer that just closes TCP is as good as one that says goodbye first: HTTP knows where messages
        // end.
        code = read_failed_ ? ErrorCode(asio::error::eof) : ErrorCode(asio::error::would_block);
    }
    return total;
}

void TlsTransport::wait_readable(Wake wake) {
    if (socket_.is_open() && ((!dry_ && SSL_has_pending(ssl_) == 1) || read_failed_)) {
        asio::post(socket_.get_executor(), std::move(wake));
        return;
    }
    socket_.async_wait(Socket::wait_read, [wake = std::move(wake)](ErrorCode) mutable { wake(); });
}

bool TlsTransport::encrypt(const std::uint8_t* data, std::size_t size) {
    ERR_clear_error();
    std::size_t written = 0;
    return SSL_write_ex(ssl_, data, size, &written) == 1 && written == size;
}

std::size_t TlsTransport::write_some(Pieces pieces, ErrorCode& code) {
    code = {};
    if (has_unsent()) {
        flush(code);
        if (code || pieces.empty()) {
            return 0;
        }
    }
    std::size_t planned = 0;
    for (auto piece = pieces.begin(); piece != pieces.end() && planned < kPlainPerWrite; ++piece) {
        planned = std::min(planned + piece->size(), kPlainPerWrite);
    }
    if (planned > kRecordBytes) {
        out_.reserve(planned + (planned / kRecordBytes + 2) * kRecordOverhead);
    }
    std::array<std::uint8_t, kRecordBytes> record;  // NOLINT: filled before it is read
    std::size_t filled = 0;
    std::size_t total = 0;
    bool good = true;
    for (const auto& piece : pieces) {
        const auto* data = static_cast<const std::uint8_t*>(piece.data());
        std::size_t left = std::min(piece.size(), kPlainPerWrite - total);
        total += left;
        while (left > 0 && good) {
            if (filled == 0 && left >= kRecordBytes) {
                good = encrypt(data, kRecordBytes);
                data += kRecordBytes;
                left -= kRecordBytes;
                continue;
            }
            const std::size_t n = std::min(left, kRecordBytes - filled);
            std::memcpy(record.data() + filled, data, n);
            filled += n;
            data += n;
            left -= n;
            if (filled == kRecordBytes) {
                good = good && encrypt(record.data(), filled);
                filled = 0;
            }
        }
        if (total == kPlainPerWrite) {
            break;
        }
    }
    if (good && filled > 0) {
        good = encrypt(record.data(), filled);
    }
    if (!good) {
        code = asio::error::connection_aborted;
        return 0;
    }
    flush(code);
    if (code == asio::error::would_block) {
        code = {};  // everything was taken, see has_unsent()
    }
    return code ? 0 : total;
}

void TlsTransport::flush(ErrorCode& code) {
    code = {};
    while (has_unsent()) {
        sent_ += socket_.write_some(asio::buffer(out_.data() + sent_, out_.size() - sent_), code);
        if (code) {
            return;
        }
    }
    sent_ = 0;
    if (out_.capacity() > 2 * kRecordBytes) {
        Bytes().swap(out_);  // a quiet connection keeps no large buffer
    } else {
        out_.clear();
    }
    if (finishing_) {
        ErrorCode ignored;
        socket_.shutdown(Socket::shutdown_send, ignored);
    }
}

void TlsTransport::wait_writable(Wake wake) {
    socket_.async_wait(Socket::wait_write, [wake = std::move(wake)](ErrorCode) mutable { wake(); });
}

void TlsTransport::finish_writing() {
    finishing_ = true;
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ErrorCode ignored;
    flush(ignored);
}

std::unexpected<Error> openssl_failure(std::string_view what) {
    return fail(Errc::kInternal, std::string(what) + ": " + openssl_error());
}

std::shared_ptr<SSL_CTX> new_context(const SSL_METHOD* method) {
    std::shared_ptr<SSL_CTX> context(SSL_CTX_new(method), SSL_CTX_free);
    if (context) {
        SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
        SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_read_ahead(context.get(), 1);
        SSL_CTX_set_default_read_buffer_len(context.get(), kReadAheadBytes);
    }
    return context;
}

Result<void> use_files(SSL_CTX* context, const TlsFiles& files) {
    const auto unusable = [](const char* field, const std::string& path) {
        return fail(
            Errc::kIo,
            "cannot use " + path + " (" + openssl_error() + "): give a readable PEM file, or neither file",
            field
        );
    };
    if (SSL_CTX_use_certificate_chain_file(context, files.certificate_pem.c_str()) != 1) {
        return unusable("certificate_pem", files.certificate_pem);
    }
    if (SSL_CTX_use_PrivateKey_file(context, files.key_pem.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return unusable("key_pem", files.key_pem);
    }
    return {};
}

}  // namespace

Result<TlsContext> TlsContext::make_server(const TlsFiles& files, const std::string& host_name) {
    TlsContext out(new_context(TLS_server_method()));
    if (!out.context_) {
        return openssl_failure("cannot set up TLS");
    }
    if (!files.certificate_pem.empty() || !files.key_pem.empty()) {
        FG_CHECK(use_files(out.get(), files));
    } else {
        FG_TRY(certificate, make_certificate(host_name));
        if (SSL_CTX_use_certificate(out.get(), certificate.x509.get()) != 1 ||
            SSL_CTX_use_PrivateKey(out.get(), certificate.key.get()) != 1) {
            return openssl_failure("cannot use the certificate");
        }
    }
    SSL_CTX_set_alpn_select_cb(out.get(), select_alpn, nullptr);
    return out;
}

Result<TlsContext> TlsContext::make_client(bool verify, bool offer_http2) {
    TlsContext out(new_context(TLS_client_method()));
    const auto offered = std::span(kAlpn).subspan(offer_http2 ? 0 : 3);
    if (!out.context_ ||
        SSL_CTX_set_alpn_protos(out.get(), offered.data(), static_cast<unsigned>(offered.size())) != 0) {
        return openssl_failure("cannot set up TLS");
    }
    out.verify_ = verify;
    SSL_CTX_set_verify(out.get(), verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    if (verify && SSL_CTX_set_default_verify_paths(out.get()) != 1) {
        return openssl_failure("cannot read the system's certificates");
    }
    return out;
}

Task<Result<TlsConnected>> accept_tls(TlsContext context, Socket socket) {
    auto transport = TlsTransport::make(context, std::move(socket));
    if (!transport) {
        co_return openssl_failure("cannot set up TLS");
    }
    SSL_set_accept_state(transport->ssl());
    FG_CO_CHECK(co_await transport->handshake());
    TlsConnected out;
    out.http2 = transport->http2();
    out.transport = std::move(transport);
    co_return out;
}

Task<Result<TlsConnected>> connect_tls(TlsContext context, Socket socket, std::string host) {
    auto transport = TlsTransport::make(context, std::move(socket));
    if (!transport) {
        co_return openssl_failure("cannot set up TLS");
    }
    SSL_set_connect_state(transport->ssl());
    ErrorCode not_an_address;
    asio::ip::make_address(host, not_an_address);
    if (not_an_address) {
        SSL_set_tlsext_host_name(transport->ssl(), host.c_str());
    }
    if (context.verifies()) {
        X509_VERIFY_PARAM* param = SSL_get0_param(transport->ssl());
        const int set = not_an_address ? X509_VERIFY_PARAM_set1_host(param, host.c_str(), host.size())
                                       : X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str());
        if (set != 1) {
            co_return openssl_failure("cannot set the name to verify");
        }
    }
    FG_CO_CHECK(co_await transport->handshake());
    TlsConnected out;
    out.http2 = transport->http2();
    out.transport = std::move(transport);
    co_return out;
}

}  // namespace framegrid::http
