#include <boost/beast/http/error.hpp>

#include <framegrid/http/h1_link.hpp>
#include <framegrid/http/h1_wire.hpp>
#include <framegrid/http/server_core.hpp>
#include <framegrid/http/text.hpp>

namespace framegrid::http {

namespace {

namespace beast = boost::beast;

constexpr std::size_t kBodyAheadMax = 1 << 20;      // of a body that the handler has not read yet
constexpr std::size_t kReadAheadMax = 64 * 1024;    // pipelined requests
constexpr std::size_t kDrainBytesMax = 512 * 1024;  // of an unread body, to keep the connection
// A peer that still sends is to read our last answer: wait until it has paused for so long, and no longer
// than that.
constexpr Duration kLingerPauseMax = std::chrono::seconds(2);
constexpr Duration kLingerMax = std::chrono::seconds(30);

class H1Server;

// One request and its response.
class H1Exchange final : public ServedStream, public std::enable_shared_from_this<H1Exchange> {
  public:
    explicit H1Exchange(H1Server* owner) : server(owner) {}

    Task<Result<Blob>> read() override;
    const Headers& trailers() const override { return message.body.trailers; }
    Task<Result<void>> start(ResponseHead head) override;
    Task<Result<void>> write(Blob piece) override;
    Task<Result<void>> finish(Headers fields) override;
    bool started() const override { return started_; }
    int refusal() const override { return refusal_; }
    void on_handler_ended(bool stopping) override;

    // Answers in the handler's place, whatever it was doing, and cancels it. The connection closes
    // afterwards.
    void refuse(int status, Errc code, std::string_view detail);
    bool finished() const { return finished_; }

    H1Server* server;  // null once the connection is closed
    H1Message message;
    std::optional<Error> closed;
    std::size_t body_bytes = 0;
    TimePoint in_progress_at{};
    bool is_head = false;  // the method: a response without a body
    bool expects_continue = false;
    bool serving = false;
    bool last = false;  // the connection closes after this response

  private:
    enum class Framing : std::uint8_t { kNone, kLength, kChunked, kUntilClose };
    Result<void> check_open() const;
    void send_head(int status, Headers headers);
    void answer(int status, Errc code, std::string_view detail);
    void send_piece(Blob piece);
    bool started_ = false;
    bool finished_ = false;
    bool refused_ = false;
    int refusal_ = 0;
    Framing framing_ = Framing::kNone;
    std::uint64_t left_ = 0;  // kLength: bytes still to be written
};

class H1Server final : public H1Link, public ServerConnection {
  public:
    H1Server(
        std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport, std::string peer, bool tls
    )
        : H1Link(
              core->executor, core->clock, std::move(transport), core->scratch,
              core->settings.header_bytes_max + kReadAheadMax
          ),
          core_(std::move(core)),
          peer_(std::move(peer)),
          tls_(tls),
          idle_since_(core_->clock.now()) {}

    void tick(TimePoint now) override;
    void drain() override;
    void abort(const Error& why) override { close(why); }
    bool draining() const { return draining_; }
    // Whether what is left of the request is known to be small enough to be read and thrown away.
    bool can_skip_body() const;
    // The exchange's response is complete and its handler has ended.
    void on_exchange_ended();
    // The connection cannot go on after this response.
    void begin_lingering();
    void linger();

  private:
    bool can_parse() const override;
    std::size_t on_bytes(BytesView bytes) override;
    bool tells_eof_at_once() const override { return true; }  // a client that leaves cancels its handler
    void on_eof() override;
    void on_flushed() override;
    void on_closed(const Error& why) override;
    void begin();
    void on_parse_error(beast::error_code code);
    bool take_request();
    bool request_complete() const { return parser_ && parser_->is_done(); }

    std::shared_ptr<ServerCore> core_;
    std::string peer_;
    bool tls_;
    std::shared_ptr<H1Exchange> exchange_;
    std::optional<H1Parser<true>> parser_;
    TimePoint idle_since_, begun_at_{}, linger_until_{}, linger_end_{};
    bool draining_ = false;
    bool lingering_ = false;   // the last answer is on its way: what arrives is thrown away
    bool discarding_ = false;  // the answer is complete, the rest of the body is thrown away
    std::size_t discarded_ = 0;
};

Result<void> H1Exchange::check_open() const {
    if (server == nullptr) {
        return std::unexpected(*closed);
    }
    if (refused_ || finished_) {
        return fail(Errc::kCancelled, "the response has ended");
    }
    return {};
}

Task<Result<Blob>> H1Exchange::read() {
    const auto self = shared_from_this();
    while (!message.body.readable()) {
        if (server != nullptr) {
            if (std::exchange(expects_continue, false) && !started_) {
                server->send("HTTP/1.1 100 Continue\r\n\r\n");
            }
            in_progress_at = server->clock().now();
        }
        co_await message.body.wait_readable();
    }
    Result<Blob> piece = message.body.take();
    if (server != nullptr) {
        server->resume();
    }
    co_return piece;
}

void H1Exchange::send_head(int status, Headers headers) {
    started_ = true;
    erase_connection_fields(headers);
    const auto length = headers.get("content-length");
    if (is_head || status == 204 || status == 304) {
        framing_ = Framing::kNone;
    } else if (length) {
        framing_ = Framing::kLength;
        left_ = std::strtoull(std::string(*length).c_str(), nullptr, 10);
    } else if (message.version == 11) {
        framing_ = Framing::kChunked;
        headers.add("transfer-encoding", "chunked");
    } else {
        framing_ = Framing::kUntilClose;
        last = true;
    }
    // A client that learned it only from the end of the connection could have sent its next request already.
    last = last || server->draining() || (status >= 400 && !server->can_skip_body());
    if (last) {
        headers.add("connection", "close");
    } else if (message.version == 10) {
        headers.add("connection", "keep-alive");
    }
    server->send(format_response_head(status, headers));
}

void H1Exchange::send_piece(Blob piece) {
    if (framing_ == Framing::kChunked) {
        server->send(format_chunk_head(piece.size()));
        server->send(std::move(piece));
        server->send("\r\n");
    } else if (framing_ != Framing::kNone) {
        server->send(std::move(piece));
    }
}

Task<Result<void>> H1Exchange::start(ResponseHead head) {
    FG_CO_CHECK(check_open());
    FG_CO_CHECK(check_headers(head.headers));
    if (started_ || head.status < 200 || head.status > 599) {
        co_return fail(Errc::kInternal, "a response starts once, with a status from 200 to 599");
    }
    send_head(head.status, std::move(head.headers));
    co_return Result<void>{};
}

Task<Result<void>> H1Exchange::write(Blob piece) {
    const auto self = shared_from_this();
    FG_CO_CHECK(check_open());
    if (!started_ || (framing_ == Framing::kLength && piece.size() > left_)) {
        co_return fail(
            Errc::kInternal, "a response body needs start() first and must fit its content-length"
        );
    }
    if (framing_ == Framing::kLength) {
        left_ -= piece.size();
    }
    if (!piece.empty()) {
        send_piece(std::move(piece));
    }
    while (server != nullptr && server->is_full()) {
        const std::shared_ptr<void> keep = server->shared_from_this();
        co_await server->wait_room();
    }
    if (server == nullptr) {
        co_return std::unexpected(*closed);
    }
    co_return Result<void>{};
}

Task<Result<void>> H1Exchange::finish(Headers fields) {
    FG_CO_CHECK(check_open());
    FG_CO_CHECK(check_headers(fields));
    if (!started_ || (framing_ == Framing::kLength && left_ > 0)) {
        co_return fail(Errc::kInternal, "a response ends after start() and all of its content-length");
    }
    if (framing_ == Framing::kChunked) {
        server->send(format_chunk_end(fields));
    }
    finished_ = true;
    if (!serving) {
        server->on_exchange_ended();
    }
    co_return Result<void>{};
}

void H1Exchange::answer(int status, Errc code, std::string_view detail) {
    Blob body = error_body(code, detail);
    Headers headers{{"content-type", "application/json"}, {"content-length", std::to_string(body.size())}};
    send_head(status, std::move(headers));
    send_piece(std::move(body));
    finished_ = true;
}

void H1Exchange::refuse(int status, Errc code, std::string_view detail) {
    if (server == nullptr || refused_) {
        return;
    }
    const auto self = shared_from_this();
    refused_ = true;
    last = true;
    message.body.drop();
    message.body.fail(make_error(code, std::string(detail)));
    if (!started_) {
        refusal_ = status;
        answer(status, code, detail);
    }
    if (finished_) {
        server->linger();
    } else {
        server->close(make_error(code, std::string(detail)));
    }
    task.cancel();
}

void H1Exchange::on_handler_ended(bool stopping) {
    serving = false;
    if (server == nullptr || refused_) {
        return;
    }
    if (!started_ && !stopping) {
        answer(500, Errc::kInternal, "the request could not be served");
    } else if (!started_) {
        answer(503, Errc::kUnavailable, "the server is stopping");
    } else if (!finished_) {
        server->close(make_error(Errc::kInternal, "the response was not completed"));
        return;
    }
    server->on_exchange_ended();
}

bool H1Server::can_parse() const {
    if (lingering_) {
        return true;
    }
    if (!exchange_) {
        return !draining_;
    }
    return !request_complete() && (discarding_ || exchange_->message.body.buffered() < kBodyAheadMax);
}

bool H1Server::can_skip_body() const {
    if (request_complete() || !parser_) {
        return true;
    }
    const auto left = parser_->content_length_remaining();
    return left && *left <= kDrainBytesMax;
}

void H1Server::begin() {
    exchange_ = std::make_shared<H1Exchange>(this);
    parser_.emplace(exchange_->message, core_->settings.header_bytes_max);
    parser_->body_limit(core_->settings.body_bytes_max);
    begun_at_ = clock().now();
    ++core_->stats.streams_open;
}

std::size_t H1Server::on_bytes(BytesView bytes) {
    if (lingering_ || discarding_) {
        linger_until_ = std::min(clock().now() + kLingerPauseMax, linger_end_);
    }
    if (lingering_) {
        return bytes.size();
    }
    if (!exchange_) {
        // Some clients end a request with one line end too many (RFC 9112 section 2.2).
        std::size_t blank = 0;
        while (blank < bytes.size() && (bytes[blank] == '\r' || bytes[blank] == '\n')) {
            ++blank;
        }
        if (blank > 0) {
            return blank;
        }
        begin();
    }
    const auto exchange = exchange_;
    H1Message& message = exchange->message;
    beast::error_code code;
    const std::size_t used = parser_->put(boost::asio::buffer(bytes.data(), bytes.size()), code);
    exchange->in_progress_at = clock().now();
    if (code && code != beast::http::error::need_more) {
        on_parse_error(code);
        return bytes.size();
    }
    if (discarding_) {
        message.body.drop();
        discarded_ += used;
        if (discarded_ > kDrainBytesMax) {
            linger();
            return used;
        }
    }
    const bool complete = request_complete();
    if (complete && !message.body.complete()) {
        message.body.finish();
    }
    if (message.head_complete && !exchange->serving && !exchange->started()) {
        if (take_request()) {
            exchange->serving = true;
            core_->serve(exchange);
        }
    } else if (complete && discarding_) {
        on_exchange_ended();
    }
    return used;
}

void H1Server::on_parse_error(beast::error_code code) {
    using Beast = beast::http::error;
    exchange_->is_head = exchange_->is_head || exchange_->message.method == "HEAD";
    if (code == Beast::body_limit) {
        exchange_->refuse(413, Errc::kTooLarge, "the body is too large");
        return;
    }
    ++core_->stats.protocol_errors;
    if (code == Beast::header_limit || code == Beast::buffer_overflow) {
        exchange_->refuse(431, Errc::kTooLarge, "the header fields are too large");
    } else if (code == Beast::bad_version) {
        exchange_->refuse(505, Errc::kInvalidArgument, "not an HTTP/1.1 request");
    } else {
        exchange_->refuse(400, Errc::kInvalidArgument, "not an HTTP request: " + code.message());
    }
}

bool H1Server::take_request() {
    H1Message& message = exchange_->message;
    RequestHead& request = exchange_->request;
    exchange_->is_head = message.method == "HEAD";
    request.method = std::move(message.method);
    request.scheme = tls_ ? "https" : "http";
    request.authority = message.headers.get("host").value_or("");
    request.target = std::move(message.target);
    request.headers = std::move(message.headers);
    request.version = Version::kHttp11;
    request.peer = peer_;
    exchange_->last = !parser_->keep_alive();
    if (const auto expect = request.headers.get("expect"); expect && message.version == 11) {
        exchange_->expects_continue = equals_ignoring_case(*expect, "100-continue");
    }
    if (request.method == "CONNECT") {
        exchange_->refuse(501, Errc::kUnsupported, "CONNECT is not supported");
        return false;
    }
    if (request.headers.get("transfer-encoding") && (!parser_->chunked() || message.version != 11)) {
        // Where such a body ends is unclear, and whoever forwarded it may think otherwise (RFC 9112
        // section 6.1).
        exchange_->refuse(400, Errc::kInvalidArgument, "only chunked is a supported transfer encoding");
        return false;
    }
    if (request.authority.empty() && message.version == 11) {
        exchange_->refuse(400, Errc::kInvalidArgument, "the Host header is missing");
        return false;
    }
    if (!request.target.starts_with('/')) {
        // The absolute form that proxies get (RFC 9112 section 3.2.2), or OPTIONS *.
        const auto url = parse_url(request.target);
        request.target = url ? url->target : "/";
    }
    return true;
}

void H1Server::on_exchange_ended() {
    if (!exchange_ || !exchange_->finished() || exchange_->serving) {
        return;
    }
    if (exchange_->last) {
        linger();
        return;
    }
    if (!request_complete()) {
        if (exchange_->expects_continue) {
            linger();  // whether the body will come is anybody's guess
            return;
        }
        discarding_ = true;
        exchange_->message.body.drop();
        begin_lingering();
        resume();
        return;
    }
    exchange_->server = nullptr;
    exchange_->closed = make_error(Errc::kCancelled, "the response has ended");
    parser_.reset();
    exchange_.reset();
    --core_->stats.streams_open;
    discarding_ = false;
    discarded_ = 0;
    idle_since_ = clock().now();
    if (draining_) {
        linger();
    }
    resume();
}

void H1Server::begin_lingering() {
    linger_until_ = clock().now() + kLingerPauseMax;
    linger_end_ = clock().now() + kLingerMax;
}

void H1Server::linger() {
    if (!std::exchange(lingering_, true)) {
        begin_lingering();
        on_flushed();
        resume();
    }
}

void H1Server::on_flushed() {
    if (!lingering_ || unsent() > 0 || is_closed()) {
        return;
    }
    if (request_complete() || !parser_) {
        finish_writing();
        close(make_error(Errc::kUnavailable, "the connection is finished"));
    } else {
        finish_writing();  // a close now would destroy our answer before a peer that still sends has read it
    }
}

void H1Server::on_eof() {
    if (unsent() > 0 && (!exchange_ || exchange_->finished())) {
        linger();  // it may only have closed its sending side
    } else {
        close(make_error(Errc::kCancelled, "the client closed the connection"));
    }
}

void H1Server::on_closed(const Error& why) {
    if (exchange_) {
        --core_->stats.streams_open;
        exchange_->server = nullptr;
        exchange_->closed = why;
        exchange_->message.body.fail(why);
        if (!exchange_->finished()) {
            exchange_->task.cancel();
        }
    }
    core_->remove(this);
}

void H1Server::drain() {
    draining_ = true;
    if (!exchange_) {
        linger();
    }
}

void H1Server::tick(TimePoint now) {
    const auto& settings = core_->settings;
    const auto blocked = blocked_since();
    if ((lingering_ || discarding_) && now > linger_until_ && !blocked) {
        close(make_error(Errc::kUnavailable, "the connection is finished"));
    } else if (blocked && now - *blocked > settings.idle_time_max) {
        close(make_error(Errc::kUnavailable, "the peer does not read"));
    } else if (lingering_ || discarding_) {
        return;
    } else if (is_abandoned()) {
        on_eof();
    } else if (!exchange_) {
        if (now - idle_since_ > settings.idle_time_max) {
            close(make_error(Errc::kUnavailable, "the connection was idle"));
        }
    } else if (!exchange_->message.head_complete) {
        if (now - begun_at_ > settings.header_time_max) {
            exchange_->refuse(408, Errc::kDeadline, "the request's head did not arrive in time");
        }
    } else if (exchange_->message.body.has_reader() &&
               now - exchange_->in_progress_at > settings.body_stall_max) {
        exchange_->refuse(408, Errc::kDeadline, "the body stopped arriving");
    }
}

}  // namespace

void start_h1_connection(
    std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport, std::string peer, bool tls,
    BytesView initial
) {
    const auto connection = std::make_shared<H1Server>(core, std::move(transport), std::move(peer), tls);
    core->add(connection);
    connection->start(initial);
}

}  // namespace framegrid::http
