#include <framegrid/http/client_core.hpp>
#include <framegrid/http/h2_session.hpp>

namespace framegrid::http {

namespace {

struct H2ClientStream final : H2Stream {
    OneShot head_ready;  // or it never will be
    TaskHandle pump;
    bool source_used = false;
    std::uint64_t received_before = 0;
    std::optional<Error> error;  // of our own making; goes before what the peer says

    Error why() const { return error ? *error : closed.value_or(make_error(Errc::kCancelled, "cancelled")); }
    void fail(Error reason) {
        error = std::move(reason);
        in.fail(*error);
        head_ready.fire();
        abandon();
    }
    // Nobody wants this stream any more.
    void abandon() {
        if (session != nullptr) {
            session->discard(*this);
            session->reset(*this, NGHTTP2_CANCEL);
        }
        pump.cancel();
    }
};

class H2ClientBody final : public BodyReader {
  public:
    explicit H2ClientBody(std::shared_ptr<H2ClientStream> stream) : stream_(std::move(stream)) {}
    ~H2ClientBody() override { stream_->abandon(); }
    Task<Result<Blob>> read() override { return read_from(stream_); }
    const Headers& trailers() const override { return stream_->in.trailers; }

  private:
    std::shared_ptr<H2ClientStream> stream_;
};

Task<void> pump_body(std::shared_ptr<H2ClientStream> stream, std::shared_ptr<BodyReader> source) {
    stream->source_used = true;
    for (;;) {
        Result<Blob> piece = co_await source->read();
        if (!piece) {
            stream->fail(std::move(piece.error()).with_context("the request's body"));
            co_return;
        }
        if (piece->empty()) {
            break;
        }
        Task<Result<void>> writing = write_to(stream, std::move(*piece));
        const Result<void> written = co_await std::move(writing);
        if (!written) {
            co_return;
        }
    }
    if (stream->session != nullptr) {
        stream->session->finish(*stream, source->trailers());
    }
}

class H2Client final : public H2Session, public ClientConnection {
  public:
    H2Client(
        std::shared_ptr<ClientCore> core, std::shared_ptr<Origin> origin, std::unique_ptr<Transport> transport
    )
        : H2Session(
              core->executor, core->clock, std::move(transport), core->scratch, settings_of(core->settings)
          ),
          core_(std::move(core)),
          origin_(std::move(origin)) {}

    bool has_room() override;
    bool is_busy() const override { return streams() > 0; }
    bool is_http2() const override { return true; }
    Task<Attempt> exchange(const Request& request) override;
    void tick(TimePoint now) override { H2Session::tick(now); }
    void abort(const Error& why) override { close(why); }

  private:
    static H2Settings settings_of(const ClientSettings& in) {
        H2Settings out;
        out.server = false;
        out.header_bytes_max = in.header_bytes_max;
        out.stream_window_bytes = in.stream_window_bytes;
        out.connection_window_bytes = in.connection_window_bytes;
        out.idle_time_max = in.idle_time_max;
        out.ping_period = in.ping_period;
        return out;
    }

    bool is_unprocessed(const H2ClientStream& stream, const Request& request, bool reused) const;
    void on_head(const std::shared_ptr<H2Stream>& stream) override;
    void on_stream_closed(const std::shared_ptr<H2Stream>& stream) override;
    void on_closed(const Error& why) override;

    std::shared_ptr<ClientCore> core_;
    std::shared_ptr<Origin> origin_;
    bool used_ = false;
};

bool H2Client::has_room() {
    if (!is_closed() && streams() == 0 && used_) {
        const auto self = shared_from_this();
        probe();
    }
    return !is_closed() && !going_away() && streams() < peer_streams_max();
}

Task<Attempt> H2Client::exchange(const Request& request) {
    const auto self = shared_from_this();
    const bool reused = std::exchange(used_, true) && streams() == 0;
    auto stream = std::make_shared<H2ClientStream>();
    stream->received_before = received_bytes();
    const auto sent = submit_request(stream, request);
    if (!sent) {
        co_return Attempt{std::unexpected(sent.error()), true};
    }
    auto body = std::make_unique<H2ClientBody>(stream);  // from here on, unwinding resets the stream
    if (request.body_source != nullptr) {
        core_->pumps.spawn(
            pump_body(stream, request.body_source), stream, stream->pump,
            [stream](std::exception_ptr exception) {
                if (exception && !stream->out_finished) {
                    stream->fail(error_from(exception));
                }
            }
        );
    } else if (!request.body.empty()) {
        push(*stream, request.body);
        finish(*stream, {});
    }
    co_await stream->head_ready.wait();
    if (!stream->head_complete || stream->error) {
        const bool unprocessed = is_unprocessed(*stream, request, reused);
        co_return Attempt{std::unexpected(stream->why()), unprocessed};
    }
    Response response;
    response.head.status = stream->status;
    response.head.headers = std::move(stream->headers);
    response.body = std::move(body);
    co_return Attempt{std::move(response), false};
}

bool H2Client::is_unprocessed(const H2ClientStream& stream, const Request& request, bool reused) const {
    if (stream.source_used || stream.error) {
        return false;
    }
    if (stream.close_code == NGHTTP2_REFUSED_STREAM) {
        return true;  // said so, or above the last stream of a GOAWAY
    }
    // A connection that was idle, and ended without a byte: the peer had closed it before it saw the request.
    return is_closed() && reused && received_bytes() == stream.received_before &&
           is_idempotent(request.method);
}

void H2Client::on_head(const std::shared_ptr<H2Stream>& stream) {
    auto& mine = static_cast<H2ClientStream&>(*stream);
    if (mine.header_too_large) {
        mine.fail(make_error(Errc::kProtocol, "the answer's header fields are too large"));
    }
    mine.head_ready.fire();
}

void H2Client::on_stream_closed(const std::shared_ptr<H2Stream>& stream) {
    auto& mine = static_cast<H2ClientStream&>(*stream);
    mine.head_ready.fire();
    mine.pump.cancel();
    origin_->wake_one();
}

void H2Client::on_closed(const Error& why) {
    core_->log.debug("http.connection_closed", {{"reason", why.message}});
    core_->remove(this, *origin_);
}

}  // namespace

void start_h2_client(
    std::shared_ptr<ClientCore> core, std::shared_ptr<Origin> origin, std::unique_ptr<Transport> transport
) {
    const auto client = std::make_shared<H2Client>(std::move(core), origin, std::move(transport));
    origin->connections.push_back(client);
    client->start({});
}

}  // namespace framegrid::http
