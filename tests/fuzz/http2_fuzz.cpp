// Untrusted bytes for one connection, in memory and on a virtual clock. The first byte chooses HTTP/2 or
// HTTP/1.1, server or client, and how the bytes are cut into reads.
#include <cstring>

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <framegrid/http/client_core.hpp>
#include <framegrid/http/server_core.hpp>
#include <framegrid/runtime/manual_clock.hpp>

using namespace framegrid;

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr int kRequestsMax = 3;  // one after the other on a connection

// Reads come from the input, then end; writes go nowhere, a bounded amount at a time.
class MemoryTransport final : public http::Transport {
  public:
    MemoryTransport(asio::io_context& loop, BytesView input, std::size_t cut)
        : loop_(loop), input_(input), cut_(cut) {}

    std::size_t read_some(std::span<std::uint8_t> into, http::ErrorCode& code) override {
        FG_ASSERT(!closed_);
        code = {};
        if (input_.empty()) {
            code = asio::error::eof;
            return 0;
        }
        if (std::exchange(dry_, !dry_)) {
            code = asio::error::would_block;
            return 0;
        }
        const std::size_t n = std::min({into.size(), input_.size(), cut_});
        std::memcpy(into.data(), input_.data(), n);
        input_ = input_.subspan(n);
        return n;
    }
    void wait_readable(Wake wake) override { asio::post(loop_, std::move(wake)); }
    std::size_t write_some(http::Pieces pieces, http::ErrorCode& code) override {
        FG_ASSERT(!closed_);
        code = {};
        if (std::exchange(full_, !full_)) {
            code = asio::error::would_block;
            return 0;
        }
        std::size_t n = 0;
        for (const auto& piece : pieces) {
            n += piece.size();
        }
        return std::min<std::size_t>(n, 5'000);
    }
    void wait_writable(Wake wake) override { asio::post(loop_, std::move(wake)); }
    bool has_peer_finished() const override { return false; }
    void finish_writing() override {}
    void close(bool) override { closed_ = true; }

  private:
    asio::io_context& loop_;
    BytesView input_;
    std::size_t cut_;
    bool dry_ = true;  // a client's first request is on its way before the answer arrives
    bool full_ = false;
    bool closed_ = false;
};

Task<void> echo(http::Exchange& exchange) {
    const Result<Blob> body = co_await http::read_all(exchange.body, 10'000);
    Blob answer = body ? *body : Blob::copy_of(std::string_view(body.error().message));
    http::ResponseHead head;
    head.headers.add("x-path", std::string(exchange.head.path().substr(0, 20)));
    (void)co_await exchange.response.respond(std::move(head), std::move(answer));
}

void settle(asio::io_context& loop, ManualClock& clock) {
    for (int i = 0; i < 20; ++i) {
        loop.restart();
        loop.poll();
        clock.advance(1s);
    }
    loop.restart();
    loop.poll();
}

void fuzz_server(BytesView input, bool http2, std::size_t cut) {
    asio::io_context loop(1);
    ManualClock clock;
    http::ServerSettings settings;
    settings.header_bytes_max = 2'000;
    settings.body_bytes_max = 20'000;
    settings.streams_per_connection_max = 16;
    auto core = std::make_shared<http::ServerCore>(loop.get_executor(), clock, settings, echo, Logger{});
    static constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    auto transport = std::make_unique<MemoryTransport>(loop, input, cut);
    auto start = http2 ? http::start_h2_connection : http::start_h1_connection;
    start(core, std::move(transport), "peer", false, http2 ? as_bytes(kPreface) : BytesView{});
    settle(loop, clock);
    const auto connections = core->connections;
    for (const auto& [key, connection] : connections) {
        connection->tick(clock.now());
    }
    settle(loop, clock);
    core->cancel_handlers();
    for (const auto& [key, connection] : connections) {
        connection->abort(make_error(Errc::kCancelled, "end"));
    }
    settle(loop, clock);
    FG_ASSERT(core->handlers.size() == 0 && core->connections.empty() && core->stats.streams_open == 0);
}

Task<void> fetch(
    std::shared_ptr<http::ClientCore> core, std::shared_ptr<http::ClientConnection> connection, int& ended
) {
    http::Request request;
    request.url = {"http", "example.org", 80, "/"};
    for (int i = 0; i < kRequestsMax && connection->has_room(); ++i) {
        http::Attempt attempt = co_await connection->exchange(request);
        if (attempt.response) {
            (void)co_await http::read_all(*attempt.response->body, 10'000);
        }
    }
    ++ended;
}

void fuzz_client(BytesView input, bool http2, std::size_t cut) {
    asio::io_context loop(1);
    ManualClock clock;
    http::ClientSettings settings;
    settings.header_bytes_max = 2'000;
    auto core = std::make_shared<http::ClientCore>(loop.get_executor(), clock, settings, Logger{});
    auto origin = std::make_shared<http::Origin>();
    auto start = http2 ? http::start_h2_client : http::start_h1_client;
    start(core, origin, std::make_unique<MemoryTransport>(loop, input, cut));
    int started = 0;
    int ended = 0;
    {
        TaskGroup calls(loop.get_executor(), 4);
        const auto connections = origin->connections;
        for (const auto& connection : connections) {
            started += calls.spawn(fetch(core, connection, ended)) ? 1 : 0;
        }
        settle(loop, clock);
        for (const auto& connection : connections) {
            connection->abort(make_error(Errc::kCancelled, "end"));
        }
        settle(loop, clock);
        FG_ASSERT(started == ended && calls.size() == 0 && origin->connections.empty());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const bool http2 = (data[0] & 1) != 0;
    const bool client = (data[0] & 2) != 0;
    static constexpr std::size_t kCuts[] = {1, 7, 100, 100'000};
    const std::size_t cut = kCuts[(data[0] >> 2) & 3];
    const BytesView input(data + 1, size - 1);
    (client ? fuzz_client : fuzz_server)(input, http2, cut);
    return 0;
}
