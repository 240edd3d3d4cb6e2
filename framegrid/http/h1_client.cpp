#include <boost/beast/http/error.hpp>

#include <framegrid/http/client_core.hpp>
#include <framegrid/http/h1_link.hpp>
#include <framegrid/http/h1_wire.hpp>
#include <framegrid/http/text.hpp>

namespace framegrid::http {

namespace {

namespace beast = boost::beast;

constexpr std::size_t kBodyAheadMax = 1 << 20;  // of a body that nobody has read yet
constexpr std::size_t kReadAheadMax = 64 * 1024;

class H1Client;

// One request and its response.
struct H1Call {
    H1Client* client = nullptr;  // null once the connection is free again, or closed
    H1Message message;
    OneShot head_ready;  // or it never will be
    TaskHandle pump;
    bool chunked = false;
    bool request_sent = false;
    bool source_used = false;
    std::optional<Error> closed;

    void abandon();
};

class H1ClientBody final : public BodyReader {
  public:
    explicit H1ClientBody(std::shared_ptr<H1Call> call) : call_(std::move(call)) {}
    ~H1ClientBody() override { call_->abandon(); }
    Task<Result<Blob>> read() override;
    const Headers& trailers() const override { return call_->message.body.trailers; }

  private:
    static Task<Result<Blob>> read_call(std::shared_ptr<H1Call> call);
    std::shared_ptr<H1Call> call_;
};

class H1Client final : public H1Link, public ClientConnection {
  public:
    H1Client(
        std::shared_ptr<ClientCore> core, std::shared_ptr<Origin> origin, std::unique_ptr<Transport> transport
    )
        : H1Link(
              core->executor, core->clock, std::move(transport), core->scratch,
              core->settings.header_bytes_max + kReadAheadMax
          ),
          core_(std::move(core)),
          origin_(std::move(origin)),
          idle_since_(core_->clock.now()) {}

    bool has_room() override;
    bool is_busy() const override { return call_ != nullptr; }
    bool is_http2() const override { return false; }
    Task<Attempt> exchange(const Request& request) override;
    void tick(TimePoint now) override;
    void abort(const Error& why) override { close(why); }
    // The request is completely on its way; the response may be complete already.
    void on_request_sent();

  private:
    bool can_parse() const override { return !call_ || call_->message.body.buffered() < kBodyAheadMax; }
    std::size_t on_bytes(BytesView bytes) override;
    void on_eof() override;
    void on_closed(const Error& why) override;
    void new_parser();
    void on_response_complete();
    void send_request(const Request& request, const std::shared_ptr<H1Call>& call);

    std::shared_ptr<ClientCore> core_;
    std::shared_ptr<Origin> origin_;
    std::shared_ptr<H1Call> call_;
    std::optional<H1Parser<false>> parser_;
    bool head_request_ = false;
    bool used_ = false;
    TimePoint idle_since_;
};

void H1Call::abandon() {
    pump.cancel();
    if (client != nullptr) {
        // The rest of the response would have to be read before another request: a new connection is cheaper.
        client->close(make_error(Errc::kCancelled, "cancelled"));
    }
}

Task<Result<Blob>> H1ClientBody::read() {
    return read_call(call_);
}

Task<Result<Blob>> H1ClientBody::read_call(std::shared_ptr<H1Call> call) {
    while (!call->message.body.readable()) {
        co_await call->message.body.wait_readable();
    }
    Result<Blob> piece = call->message.body.take();
    if (call->client != nullptr) {
        call->client->resume();
    }
    co_return piece;
}

Task<void> pump_body(std::shared_ptr<H1Call> call, std::shared_ptr<BodyReader> source) {
    call->source_used = true;
    for (;;) {
        Result<Blob> piece = co_await source->read();
        H1Client* client = call->client;
        if (client == nullptr) {
            co_return;
        }
        if (!piece) {
            client->close(std::move(piece.error()).with_context("the request's body"));
            co_return;
        }
        if (piece->empty()) {
            break;
        }
        if (call->chunked) {
            client->send(format_chunk_head(piece->size()));
        }
        client->send(std::move(*piece));
        if (call->chunked) {
            client->send("\r\n");
        }
        while (call->client != nullptr && call->client->is_full()) {
            const std::shared_ptr<void> keep = call->client->shared_from_this();
            co_await call->client->wait_room();
        }
    }
    if (call->client != nullptr) {
        if (call->chunked) {
            call->client->send(format_chunk_end(source->trailers()));
        }
        call->client->on_request_sent();
    }
}

bool H1Client::has_room() {
    if (!is_closed() && !call_ && used_) {
        const auto self = shared_from_this();
        probe();
    }
    return !is_closed() && !call_;
}

void H1Client::new_parser() {
    parser_.emplace(call_->message, core_->settings.header_bytes_max);
    parser_->skip(head_request_);
}

void H1Client::send_request(const Request& request, const std::shared_ptr<H1Call>& call) {
    Headers fields{{"host", request.url.authority()}};
    Headers rest = request.headers;
    erase_connection_fields(rest);
    call->chunked = request.body_source != nullptr && !rest.get("content-length");
    for (const auto& field : rest.fields()) {
        if (field.name != "host") {
            fields.add(field.name, field.value);
        }
    }
    if (call->chunked) {
        fields.add("transfer-encoding", "chunked");
    }
    send(format_request_head(request.method, request.url.target, fields));
    if (request.body_source == nullptr) {
        send(request.body);
        call->request_sent = true;
    }
}

Task<Attempt> H1Client::exchange(const Request& request) {
    const auto self = shared_from_this();
    const bool reused = std::exchange(used_, true);
    const std::uint64_t received_before = received_bytes();
    auto call = std::make_shared<H1Call>();
    call->client = this;
    call_ = call;
    head_request_ = request.method == "HEAD";
    new_parser();
    auto body = std::make_unique<H1ClientBody>(call);  // from here on, unwinding closes the connection
    send_request(request, call);
    if (request.body_source != nullptr) {
        core_->pumps.spawn(
            pump_body(call, request.body_source), call, call->pump,
            [call](std::exception_ptr exception) {
                if (exception && call->client != nullptr) {
                    call->client->close(error_from(exception));
                }
            }
        );
    }
    co_await call->head_ready.wait();
    if (!call->message.head_complete) {
        const Error why = call->closed.value_or(make_error(Errc::kCancelled, "cancelled"));
        const bool unprocessed = reused && why.code == Errc::kUnavailable && !call->source_used &&
                                 received_bytes() == received_before && is_idempotent(request.method);
        co_return Attempt{std::unexpected(why), unprocessed};
    }
    Response response;
    response.head.status = call->message.status;
    response.head.headers = std::move(call->message.headers);
    response.body = std::move(body);
    co_return Attempt{std::move(response), false};
}

std::size_t H1Client::on_bytes(BytesView bytes) {
    if (!call_) {
        close(make_error(Errc::kProtocol, "the server sent something that nobody asked for"));
        return bytes.size();
    }
    const auto call = call_;
    H1Message& message = call->message;
    const bool had_head = message.head_complete;
    beast::error_code code;
    const std::size_t used = parser_->put(boost::asio::buffer(bytes.data(), bytes.size()), code);
    if (code && code != beast::http::error::need_more) {
        message.head_complete = had_head;
        close(make_error(Errc::kProtocol, "not an HTTP response: " + code.message()));
        return bytes.size();
    }
    if (!had_head && message.head_complete && message.status < 200) {
        if (message.status == 101) {
            message.head_complete = false;
            close(make_error(Errc::kProtocol, "the server switched protocols without being asked"));
            return bytes.size();
        }
        message.headers = {};  // 100-continue and the like: the real head follows
        message.head_complete = false;
        new_parser();
        return used;
    }
    if (!had_head && message.head_complete) {
        call->head_ready.fire();
    }
    if (parser_->is_done()) {
        on_response_complete();
    }
    return used;
}

void H1Client::on_response_complete() {
    call_->message.body.finish();
    if (!parser_->keep_alive() || !call_->request_sent) {
        close(make_error(Errc::kUnavailable, "the connection is finished"));
        return;
    }
    const auto call = std::exchange(call_, nullptr);
    call->client = nullptr;
    call->closed = make_error(Errc::kCancelled, "the response has ended");
    parser_.reset();
    idle_since_ = clock().now();
    origin_->wake_one();
}

void H1Client::on_request_sent() {
    call_->request_sent = true;
}

void H1Client::on_eof() {
    if (call_ && call_->message.head_complete) {
        beast::error_code code;
        parser_->put_eof(code);
        if (!code) {
            call_->message.body.finish();  // a body that ends with the connection
        }
    }
    close(make_error(Errc::kUnavailable, "the server closed the connection"));
}

void H1Client::on_closed(const Error& why) {
    if (const auto call = std::exchange(call_, nullptr)) {
        call->client = nullptr;
        call->closed = why;
        call->message.body.fail(why);
        call->head_ready.fire();
        call->pump.cancel();
    }
    core_->remove(this, *origin_);
}

void H1Client::tick(TimePoint now) {
    if (!call_ && now - idle_since_ > core_->settings.idle_time_max) {
        close(make_error(Errc::kUnavailable, "the connection was idle"));
    }
}

}  // namespace

void start_h1_client(
    std::shared_ptr<ClientCore> core, std::shared_ptr<Origin> origin, std::unique_ptr<Transport> transport
) {
    const auto client = std::make_shared<H1Client>(std::move(core), origin, std::move(transport));
    origin->connections.push_back(client);
    client->start({});
}

}  // namespace framegrid::http
