#include <framegrid/http/transport.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <boost/asio/error.hpp>

namespace framegrid::http {

namespace asio = boost::asio;

namespace {

class PlainTransport final : public Transport {
  public:
    explicit PlainTransport(Socket socket) : socket_(std::move(socket)) {}

    std::size_t read_some(std::span<std::uint8_t> into, ErrorCode& code) override {
        return socket_.read_some(asio::buffer(into.data(), into.size()), code);
    }
    void wait_readable(Wake wake) override {
        socket_.async_wait(Socket::wait_read, [wake = std::move(wake)](ErrorCode) mutable { wake(); });
    }
    std::size_t write_some(Pieces pieces, ErrorCode& code) override {
        return socket_.write_some(pieces, code);
    }
    void wait_writable(Wake wake) override {
        socket_.async_wait(Socket::wait_write, [wake = std::move(wake)](ErrorCode) mutable { wake(); });
    }
    bool has_peer_finished() const override { return http::has_peer_finished(socket_); }
    void finish_writing() override {
        ErrorCode ignored;
        socket_.shutdown(Socket::shutdown_send, ignored);
    }
    void close(bool reset) override { http::close(socket_, reset); }

  private:
    Socket socket_;
};

}  // namespace

std::unique_ptr<Transport> make_plain_transport(Socket socket) {
    return std::make_unique<PlainTransport>(std::move(socket));
}

void close(Socket& socket, bool reset) {
    ErrorCode ignored;
    if (reset) {
        socket.set_option(Socket::linger(true, 0), ignored);
    }
    socket.close(ignored);
}

bool has_peer_finished(const Socket& socket) {
    tcp_info info{};
    socklen_t size = sizeof(info);
    // There is no portable question: reading is what one would otherwise do, and back-pressure forbids it.
    const int fd = const_cast<Socket&>(socket).native_handle();
    return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_state != TCP_ESTABLISHED;
}

std::string peer_of(const Socket& socket) {
    ErrorCode code;
    const auto end = socket.remote_endpoint(code);
    if (code) {
        return "?";
    }
    const auto address = end.address();
    const std::string host = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
    return host + ":" + std::to_string(end.port());
}

void prepare(Socket& socket) {
    ErrorCode ignored;
    socket.non_blocking(true, ignored);
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
}

}  // namespace framegrid::http
