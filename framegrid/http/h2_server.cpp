#include <framegrid/http/h2_session.hpp>
#include <framegrid/http/server_core.hpp>
#include <framegrid/http/text.hpp>

namespace framegrid::http {

namespace {

class H2ServerStream final : public H2Stream,
                             public ServedStream,
                             public std::enable_shared_from_this<H2ServerStream> {
  public:
    explicit H2ServerStream(std::shared_ptr<ServerCore> core) : core_(std::move(core)) {}

    // BodyReader
    Task<Result<Blob>> read() override { return read_from(shared_from_this()); }
    const Headers& trailers() const override { return in.trailers; }

    // ResponseWriter
    Task<Result<void>> start(ResponseHead head) override;
    Task<Result<void>> write(Blob piece) override;
    Task<Result<void>> finish(Headers fields) override;
    bool started() const override { return started_; }
    int refusal() const override { return refusal_; }

    void on_handler_ended(bool stopping) override;
    // Takes the request over from nghttp2; false when it has been refused.
    bool take_request(const std::string& peer, bool tls);
    // Answers in the handler's place, whatever it was doing, and cancels it.
    void refuse(int status, Errc code, std::string_view message);
    bool finished() const { return finished_; }

  private:
    void answer(int status, Errc code, std::string_view message);
    Result<void> check_open() const;
    Result<void> check_started() const;
    std::shared_ptr<ServerCore> core_;
    bool started_ = false;
    bool finished_ = false;
    bool refused_ = false;
    int refusal_ = 0;
    bool no_body_ = false;
};

Result<void> H2ServerStream::check_open() const {
    if (session == nullptr) {
        return std::unexpected(*closed);
    }
    if (refused_ || finished_) {
        return fail(Errc::kCancelled, "the response has ended");
    }
    return {};
}

Result<void> H2ServerStream::check_started() const {
    FG_CHECK(check_open());
    if (!started_) {
        return fail(Errc::kInternal, "a response needs start() first");
    }
    return {};
}

Task<Result<void>> H2ServerStream::start(ResponseHead head) {
    FG_CO_CHECK(check_open());
    FG_CO_CHECK(check_headers(head.headers));
    if (started_ || head.status < 200 || head.status > 599) {
        co_return fail(Errc::kInternal, "a response starts once, with a status from 200 to 599");
    }
    FG_CO_CHECK(session->submit_response(*this, head.status, head.headers));
    started_ = true;
    no_body_ = no_body_ || head.status == 204 || head.status == 304;
    co_return Result<void>{};
}

Task<Result<void>> H2ServerStream::write(Blob piece) {
    FG_CO_CHECK(check_started());
    if (no_body_) {
        co_return Result<void>{};
    }
    const auto self = shared_from_this();
    Task<Result<void>> writing = write_to(self, std::move(piece));
    co_return co_await std::move(writing);
}

Task<Result<void>> H2ServerStream::finish(Headers fields) {
    FG_CO_CHECK(check_started());
    FG_CO_CHECK(check_headers(fields));
    finished_ = true;
    session->finish(*this, std::move(fields));
    co_return Result<void>{};
}

void H2ServerStream::answer(int response_status, Errc code, std::string_view message) {
    Blob body = error_body(code, message);
    const Headers fields{
        {"content-type", "application/json"}, {"content-length", std::to_string(body.size())}
    };
    started_ = true;
    if (session->submit_response(*this, response_status, fields)) {
        if (!no_body_) {
            session->push(*this, std::move(body));
        }
        session->finish(*this, {});
        finished_ = true;
    }
}

void H2ServerStream::refuse(int response_status, Errc code, std::string_view message) {
    if (session == nullptr || refused_) {
        return;
    }
    refused_ = true;
    session->discard(*this);
    in.fail(make_error(code, std::string(message)));
    if (!started_) {
        refusal_ = response_status;
        answer(response_status, code, message);
    } else {
        session->reset(*this, NGHTTP2_CANCEL);
    }
    task.cancel();
}

void H2ServerStream::on_handler_ended(bool stopping) {
    if (session == nullptr || refused_) {
        return;
    }
    if (!started_ && !stopping) {
        answer(500, Errc::kInternal, "the request could not be served");
    } else if (!started_) {
        answer(503, Errc::kUnavailable, "the server is stopping");
    } else if (!finished_) {
        session->reset(*this, NGHTTP2_INTERNAL_ERROR);
    }
    if (!in.finished()) {
        session->discard(*this);
    }
}

bool H2ServerStream::take_request(const std::string& peer, bool tls) {
    no_body_ = method == "HEAD";
    if (header_too_large) {
        refuse(431, Errc::kTooLarge, "the header fields are too large");
        return false;
    }
    if (method == "CONNECT") {
        refuse(501, Errc::kUnsupported, "CONNECT is not supported");
        return false;
    }
    const auto length = headers.get("content-length");
    // nghttp2 has checked that it is a number.
    if (length &&
        (length->size() > 18 || std::stoull(std::string(*length)) > core_->settings.body_bytes_max)) {
        refuse(413, Errc::kTooLarge, "the body is too large");
        return false;
    }
    request.method = std::move(method);
    request.scheme = tls ? "https" : "http";
    request.authority =
        authority.empty() ? std::string(headers.get("host").value_or("")) : std::move(authority);
    request.target = target.starts_with('/') ? std::move(target) : "/";
    request.headers = std::move(headers);
    request.version = Version::kHttp2;
    request.peer = peer;
    return true;
}

class H2Server final : public H2Session, public ServerConnection {
  public:
    H2Server(
        std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport, std::string peer, bool tls
    )
        : H2Session(
              core->executor, core->clock, std::move(transport), core->scratch, settings_of(core->settings)
          ),
          core_(std::move(core)),
          peer_(std::move(peer)),
          tls_(tls) {}

    void tick(TimePoint now) override { H2Session::tick(now); }
    void drain() override { go_away(); }
    void abort(const Error& why) override { close(why); }

  private:
    static H2Settings settings_of(const ServerSettings& in) {
        H2Settings out;
        out.server = true;
        out.header_bytes_max = in.header_bytes_max;
        out.streams_max = in.streams_per_connection_max;
        out.stream_window_bytes = in.stream_window_bytes;
        out.connection_window_bytes = in.connection_window_bytes;
        out.header_time_max = in.header_time_max;
        out.body_stall_max = in.body_stall_max;
        out.idle_time_max = in.idle_time_max;
        out.ping_period = in.ping_period;
        return out;
    }

    std::shared_ptr<H2Stream> make_stream() override {
        ++core_->stats.streams_open;
        return std::make_shared<H2ServerStream>(core_);
    }
    void on_head(const std::shared_ptr<H2Stream>& stream) override {
        auto served = std::static_pointer_cast<H2ServerStream>(stream);
        if (served->take_request(peer_, tls_)) {
            core_->serve(std::move(served));
        }
    }
    bool accepts_body(const H2Stream& stream) const override {
        return stream.body_bytes <= core_->settings.body_bytes_max;
    }
    void on_body_refused(const std::shared_ptr<H2Stream>& stream) override {
        static_cast<H2ServerStream&>(*stream).refuse(413, Errc::kTooLarge, "the body is too large");
    }
    void on_body_stalled(const std::shared_ptr<H2Stream>& stream) override {
        static_cast<H2ServerStream&>(*stream).refuse(408, Errc::kDeadline, "the body stopped arriving");
    }
    void on_stream_closed(const std::shared_ptr<H2Stream>& stream) override {
        --core_->stats.streams_open;
        auto& served = static_cast<H2ServerStream&>(*stream);
        if (!served.finished()) {
            served.task.cancel();
        }
    }
    void on_protocol_error() override { ++core_->stats.protocol_errors; }
    void on_closed(const Error& why) override {
        core_->log.debug("http.connection_closed", {{"peer", peer_}, {"reason", why.message}});
        core_->remove(this);
    }

    std::shared_ptr<ServerCore> core_;
    std::string peer_;
    bool tls_;
};

}  // namespace

void start_h2_connection(
    std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport, std::string peer, bool tls,
    BytesView initial
) {
    const auto connection = std::make_shared<H2Server>(core, std::move(transport), std::move(peer), tls);
    core->add(connection);
    connection->start(initial);
}

}  // namespace framegrid::http
