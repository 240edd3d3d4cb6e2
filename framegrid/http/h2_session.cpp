#include <framegrid/http/h2_session.hpp>

#include <array>
#include <cstring>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <framegrid/http/client.hpp>
#include <framegrid/http/h2_fields.hpp>

namespace framegrid::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kOutputBytesMax = 256 * 1024;     // framed ahead of the socket
constexpr std::size_t kStreamOutBytesMax = 256 * 1024;  // of one stream, before its writer waits
constexpr std::size_t kCopyBytesMax = 2 * 1024;         // smaller DATA is copied into nghttp2's frame
constexpr Duration kResetDelay = std::chrono::milliseconds(500);
constexpr int kReadsPerTurn = 8;  // then other connections get their turn
constexpr std::uint32_t kInvalidFramesMax = 100;
constexpr std::uint64_t kResetBurst = 1000, kResetsPerSecond = 50;  // of streams, by the peer

Error error_of(std::uint32_t code, bool server) {
    const std::string name = nghttp2_http2_strerror(code);
    if (server) {
        return make_error(Errc::kCancelled, "the client gave up the request (" + name + ")");
    }
    switch (code) {
        case NGHTTP2_REFUSED_STREAM:
            return make_error(Errc::kUnavailable, "the server refused the request");
        case NGHTTP2_ENHANCE_YOUR_CALM:
            return make_error(Errc::kCapacity, "the server asked to calm down");
        case NGHTTP2_PROTOCOL_ERROR:
        case NGHTTP2_FLOW_CONTROL_ERROR:
        case NGHTTP2_FRAME_SIZE_ERROR:
        case NGHTTP2_COMPRESSION_ERROR:
            return make_error(Errc::kProtocol, "broken HTTP/2 message (" + name + ")");
        default:
            return make_error(Errc::kUnavailable, "the server ended the stream (" + name + ")");
    }
}

}  // namespace

struct H2Session::Callbacks {
    static H2Session& self(void* user) { return *static_cast<H2Session*>(user); }

    static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* user) {
        if (head->type != NGHTTP2_CONTINUATION) {
            self(user).head_since_.reset();  // an earlier header block has ended, one way or the other
        }
        return 0;
    }

    static int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
        auto& me = self(user);
        me.head_since_ = me.received_at_;
        if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
            return 0;
        }
        auto stream = me.make_stream();
        if (!stream) {
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
        stream->session = &me;
        stream->id = frame->hd.stream_id;
        stream->headers.reserve(8);
        nghttp2_session_set_stream_user_data(session, stream->id, stream.get());
        me.streams_.emplace(stream->id, std::move(stream));
        return 0;
    }

    static int on_header(  // NOLINT(readability-function-size): the library's signature
        nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
        const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user
    ) {
        auto& me = self(user);
        H2Stream* stream = me.find(frame->hd.stream_id);
        if (stream == nullptr) {
            return 0;
        }
        const std::size_t limit = me.settings_.header_bytes_max;
        stream->header_bytes += name_size + value_size + 32;  // as RFC 9113 section 6.5.2 counts
        if (stream->header_bytes > limit) {
            stream->header_too_large = true;
            if (stream->header_bytes <= 4 * limit) {
                return 0;  // gets an answer
            }
            me.head_since_.reset();
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // a compression bomb does not
        }
        store_field(*stream, as_text({name, name_size}), as_text({value, value_size}));
        return 0;
    }

    static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        auto& me = self(user);
        switch (frame->hd.type) {
            case NGHTTP2_HEADERS:
                me.head_since_.reset();
                break;
            case NGHTTP2_DATA:
                break;
            case NGHTTP2_PING:
                if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
                    me.ping_sent_at_.reset();
                }
                return 0;
            case NGHTTP2_GOAWAY:
                me.going_away_ = true;
                return 0;
            default:
                return 0;
        }
        H2Stream* stream = me.find(frame->hd.stream_id);
        if (stream == nullptr) {
            return 0;
        }
        if (frame->hd.type == NGHTTP2_HEADERS && !stream->head_complete) {
            if (stream->status >= 100 &&
                stream->status < 200) {  // 100-continue and the like: the real head follows
                stream->headers = {};
                stream->header_bytes = 0;
            } else {
                stream->head_complete = true;
                me.ready_.push_back(me.find_shared(stream->id));
            }
        }
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            stream->in.finish();
        }
        return 0;
    }

    static int on_data(
        nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size,
        void* user
    ) {
        auto& me = self(user);
        H2Stream* stream = me.find(id);
        if (stream == nullptr || stream->discard) {
            nghttp2_session_consume_connection(session, size);  // no more window for the stream itself
            return 0;
        }
        stream->body_bytes += size;
        stream->in_progress_at = me.received_at_;
        stream->in.push({data, size});
        if (!me.accepts_body(*stream)) {
            me.refused_.push_back(me.find_shared(id));
        }
        return 0;
    }

    static int on_stream_close(nghttp2_session* session, std::int32_t id, std::uint32_t code, void* user) {
        auto& me = self(user);
        auto stream = me.find_shared(id);
        if (!stream) {
            return 0;
        }
        nghttp2_session_set_stream_user_data(session, id, nullptr);
        me.streams_.erase(id);
        me.used_at_ = me.clock_.now();
        stream->close_code = code;
        // What its reader has not taken yet stays readable, and no longer counts against the others.
        nghttp2_session_consume_connection(session, stream->in.buffered());
        me.detach(*stream, error_of(code, me.settings_.server));
        me.ended_.push_back(std::move(stream));
        return 0;
    }

    static int on_invalid_frame(nghttp2_session*, const nghttp2_frame*, int, void* user) {
        auto& me = self(user);
        me.head_since_.reset();
        me.on_protocol_error();
        return ++me.invalid_frames_ > kInvalidFramesMax ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
    }

    static int on_frame_send(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
        auto& me = self(user);
        if (frame->hd.type == NGHTTP2_GOAWAY) {
            me.going_away_ = true;
            if (frame->goaway.error_code != NGHTTP2_NO_ERROR && !me.protocol_error_) {
                me.protocol_error_ = true;
                me.on_protocol_error();
            }
        }
        // The answer is complete: the rest of the request's body is not wanted (RFC 9113 section 8.1). Some
        // clients take a reset at once for a failure of the whole exchange, so what is on its way may still
        // come.
        const bool may_end = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
        if (me.settings_.server && may_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
            nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0) {
            if (H2Stream* stream = me.find(frame->hd.stream_id)) {
                stream->reset_at = me.clock_.now() + kResetDelay;
            }
        }
        return 0;
    }

    // Takes `size` queued bytes out of the stream, as the pieces they are.
    template <class Sink>
    static void pop(H2Session& me, H2Stream& stream, std::size_t size, Sink sink) {
        stream.out_bytes -= size;
        stream.out_progress_at = me.clock_.now();
        while (size > 0) {
            Blob& front = stream.out.front();
            const std::size_t n = std::min(size, front.size());
            sink(front.slice(0, n));
            size -= n;
            if (n == front.size()) {
                stream.out.pop_front();
            } else {
                front = front.slice(n, front.size());
            }
        }
        if (stream.room && stream.out_bytes <= kStreamOutBytesMax / 2) {
            std::exchange(stream.room, std::nullopt)->fire();
        }
    }

    static nghttp2_ssize read_body(  // NOLINT(readability-function-size): the library's signature
        nghttp2_session* session, std::int32_t id, std::uint8_t* buffer, std::size_t length,
        std::uint32_t* flags, nghttp2_data_source* source, void* user
    ) {
        auto& stream = *static_cast<H2Stream*>(source->ptr);
        const std::size_t size = std::min(length, stream.out_bytes);
        if (size == 0 && !stream.out_finished) {
            stream.out_deferred = true;
            return NGHTTP2_ERR_DEFERRED;
        }
        if (size == stream.out_bytes && stream.out_finished) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
            if (!stream.out_trailers.empty()) {
                *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
                FieldList fields;
                fields.add(stream.out_trailers);
                nghttp2_submit_trailer(session, id, fields.data(), fields.size());
            }
        }
        if (size > kCopyBytesMax) {
            *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
        } else {
            pop(self(user), stream, size, [&buffer](const Blob& piece) {
                std::memcpy(buffer, piece.data(), piece.size());
                buffer += piece.size();
            });
        }
        return static_cast<nghttp2_ssize>(size);
    }

    static int send_body(
        nghttp2_session*, nghttp2_frame*, const std::uint8_t* frame_head, std::size_t length,
        nghttp2_data_source* source, void* user
    ) {
        auto& me = self(user);
        me.output_.append(BytesView(frame_head, 9));
        pop(me, *static_cast<H2Stream*>(source->ptr), length,
            [&me](Blob piece) { me.output_.append(std::move(piece)); });
        return me.output_.size() >= kOutputBytesMax ? NGHTTP2_ERR_PAUSE : 0;
    }

    static nghttp2_session* make(H2Session& me) {
        nghttp2_session_callbacks* callbacks = nullptr;
        nghttp2_option* option = nullptr;
        FG_ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
        nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
        nghttp2_session_callbacks_set_send_data_callback(callbacks, send_body);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_stream_reset_rate_limit(option, kResetBurst, kResetsPerSecond);
        nghttp2_session* session = nullptr;
        const int rc = me.settings_.server ? nghttp2_session_server_new2(&session, callbacks, &me, option)
                                           : nghttp2_session_client_new2(&session, callbacks, &me, option);
        FG_ASSERT(rc == 0);
        nghttp2_option_del(option);
        nghttp2_session_callbacks_del(callbacks);
        return session;
    }
};

H2Session::H2Session(
    Executor executor, Clock& clock, std::unique_ptr<Transport> transport, std::span<std::uint8_t> scratch,
    const H2Settings& settings
)
    : executor_(std::move(executor)),
      clock_(clock),
      transport_(std::move(transport)),
      scratch_(scratch),
      settings_(settings),
      session_(Callbacks::make(*this)),
      received_at_(clock.now()),
      used_at_(received_at_) {}

H2Session::~H2Session() {
    nghttp2_session_del(session_);
}

void H2Session::start(BytesView initial) {
    FG_ASSERT(!std::exchange(started_, true));
    std::vector<nghttp2_settings_entry> entries{
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings_.stream_window_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(settings_.header_bytes_max)},
    };
    if (settings_.server) {
        entries.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, settings_.streams_max});
    } else {
        entries.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
    }
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries.data(), entries.size());
    nghttp2_session_set_local_window_size(
        session_, NGHTTP2_FLAG_NONE, 0, static_cast<std::int32_t>(settings_.connection_window_bytes)
    );
    if (!initial.empty()) {
        feed(initial);
    }
    flush();
    wait_readable();
}

std::uint32_t H2Session::peer_streams_max() const {
    return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

H2Stream* H2Session::find(std::int32_t id) {
    return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
}

std::shared_ptr<H2Stream> H2Session::find_shared(std::int32_t id) {
    const auto it = streams_.find(id);
    return it == streams_.end() ? nullptr : it->second;
}

void H2Session::wait_readable() {
    if (!closed_ && !read_waiting_) {
        read_waiting_ = true;
        transport_->wait_readable([self = shared_from_this()] {
            self->read_waiting_ = false;
            self->read();
        });
    }
}

void H2Session::read() {
    const auto self = shared_from_this();
    for (int i = 0; i < kReadsPerTurn && !closed_; ++i) {
        ErrorCode code;
        const std::size_t n = transport_->read_some(scratch_, code);
        if (n > 0) {
            received_at_ = clock_.now();
            received_bytes_ += n;
            feed({scratch_.data(), n});
        }
        if (code && code != asio::error::would_block) {
            close(gone());
            return;
        }
        if (n < scratch_.size() || nghttp2_session_want_read(session_) == 0) {
            break;
        }
    }
    flush();
    wait_readable();
}

Error H2Session::gone() const {
    return protocol_error_ ? make_error(Errc::kProtocol, "the peer broke the HTTP/2 protocol")
                           : make_error(Errc::kUnavailable, "the connection was closed");
}

void H2Session::feed(BytesView bytes) {
    const auto rc = nghttp2_session_mem_recv2(session_, bytes.data(), bytes.size());
    settle();
    if (rc < 0 && !closed_) {
        if (!std::exchange(protocol_error_, true)) {
            on_protocol_error();
        }
        nghttp2_session_terminate_session(session_, NGHTTP2_PROTOCOL_ERROR);
        flush();
        close(
            make_error(Errc::kProtocol, std::string("not HTTP/2: ") + nghttp2_strerror(static_cast<int>(rc)))
        );
    }
}

// Calls the hooks that nghttp2's callbacks must not call themselves.
void H2Session::settle() {
    for (const auto& stream : std::exchange(ready_, {})) {
        if (stream->session == this) {
            on_head(stream);
        }
    }
    for (const auto& stream : std::exchange(refused_, {})) {
        if (stream->session == this && !stream->discard) {
            on_body_refused(stream);
        }
    }
    for (const auto& stream : std::exchange(ended_, {})) {
        on_stream_closed(stream);
    }
}

void H2Session::schedule_flush() {
    if (!closed_ && !flush_scheduled_ && !write_blocked_) {
        flush_scheduled_ = true;
        asio::post(executor_, [self = shared_from_this()] {
            self->flush_scheduled_ = false;
            self->flush();
        });
    }
}

// Frames what is queued. False on a failure of nghttp2.
bool H2Session::fill() {
    while (output_.size() < kOutputBytesMax) {
        const std::uint8_t* data = nullptr;
        const auto n = nghttp2_session_mem_send2(session_, &data);
        if (n < 0) {
            return false;
        }
        if (n == 0) {
            break;
        }
        output_.append(BytesView(data, static_cast<std::size_t>(n)));
    }
    return true;
}

void H2Session::flush() {
    if (closed_ || write_blocked_) {
        return;
    }
    const auto self = shared_from_this();
    for (;;) {
        const bool good = fill();
        settle();
        if (closed_) {
            return;
        }
        if (!good) {
            close(make_error(Errc::kInternal, "HTTP/2 framing failed"));
            return;
        }
        if (output_.empty() && !transport_->has_unsent()) {
            break;
        }
        const ErrorCode code = output_.write_to(*transport_);
        if (code == asio::error::would_block) {
            write_blocked_ = true;
            blocked_at_ = clock_.now();
            transport_->wait_writable([self] {
                self->write_blocked_ = false;
                self->flush();
            });
            return;
        }
        if (code) {
            // The peer may have said why before it stopped listening.
            write_blocked_ = true;
            output_.clear();
            read();
            close(gone());
            return;
        }
    }
    if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) {
        transport_->finish_writing();
        close(gone());
    }
}

void H2Session::detach(H2Stream& stream, const Error& why) {
    stream.session = nullptr;
    stream.closed = why;
    stream.in.fail(why);
    if (stream.room) {
        std::exchange(stream.room, std::nullopt)->fire();
    }
    stream.out.clear();
    stream.out_bytes = 0;
}

void H2Session::close(const Error& why) {
    if (std::exchange(closed_, true)) {
        return;
    }
    const auto self = shared_from_this();
    transport_->close(!output_.empty() || transport_->has_unsent());
    output_.clear();
    const auto streams = std::exchange(streams_, {});
    for (const auto& [id, stream] : streams) {
        nghttp2_session_set_stream_user_data(session_, id, nullptr);
        detach(*stream, why);
    }
    for (const auto& [id, stream] : streams) {
        on_stream_closed(stream);
    }
    for (const auto& stream : std::exchange(ended_, {})) {
        on_stream_closed(stream);
    }
    on_closed(why);
}

void H2Session::go_away() {
    if (!closed_ && !going_away_) {
        going_away_ = true;
        nghttp2_submit_goaway(
            session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
            nullptr, 0
        );
        schedule_flush();
    }
}

void H2Session::check_ping(TimePoint now) {
    if (settings_.ping_period <= Duration::zero() || streams_.empty()) {
        ping_sent_at_.reset();
        return;
    }
    if (ping_sent_at_ && received_at_ >= *ping_sent_at_) {
        ping_sent_at_.reset();  // it lives, whatever it sent
    }
    if (!ping_sent_at_ && now - std::max(received_at_, used_at_) >= settings_.ping_period) {
        ping_sent_at_ = now;
        nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
        schedule_flush();
    } else if (ping_sent_at_ && now - *ping_sent_at_ >= settings_.ping_period) {
        close(make_error(Errc::kUnavailable, "the peer is silent: no answer to a ping"));
    }
}

void H2Session::tick(TimePoint now) {
    if (closed_) {
        return;
    }
    const auto self = shared_from_this();
    if (head_since_ && settings_.header_time_max > Duration::zero() &&
        now - *head_since_ > settings_.header_time_max) {
        close(make_error(Errc::kDeadline, "the request's head did not arrive in time"));
        return;
    }
    if (streams_.empty() && now - std::max(received_at_, used_at_) > settings_.idle_time_max) {
        if (going_away_) {
            close(gone());
        }
        go_away();
        return;
    }
    if (write_blocked_ && now - blocked_at_ > settings_.idle_time_max) {
        close(make_error(Errc::kUnavailable, "the peer does not read"));
        return;
    }
    std::vector<std::shared_ptr<H2Stream>> stalled;
    for (const auto& [id, stream] : streams_) {
        if (stream->reset_at && now >= *stream->reset_at) {
            stream->reset_at.reset();
            reset(*stream, NGHTTP2_NO_ERROR);
            continue;
        }
        const bool in_stalled = settings_.body_stall_max > Duration::zero() && stream->in.has_reader() &&
                                now - stream->in_progress_at > settings_.body_stall_max;
        const bool out_stalled =
            stream->out_bytes > 0 && now - stream->out_progress_at > settings_.idle_time_max;
        if (in_stalled || out_stalled) {
            stalled.push_back(stream);
        }
    }
    for (const auto& stream : stalled) {
        on_body_stalled(stream);
    }
    check_ping(now);
}

Result<void> H2Session::submit_response(H2Stream& stream, int status, const Headers& headers) {
    FieldList fields;
    fields.add(":status", std::to_string(status));
    fields.add(headers);
    const nghttp2_data_provider2 body{{.ptr = &stream}, Callbacks::read_body};
    const int rc = nghttp2_submit_response2(session_, stream.id, fields.data(), fields.size(), &body);
    if (rc != 0) {
        return fail(Errc::kInternal, std::string("cannot answer: ") + nghttp2_strerror(rc));
    }
    schedule_flush();
    return {};
}

Result<void> H2Session::submit_request(const std::shared_ptr<H2Stream>& stream, const Request& request) {
    const bool has_body = !request.body.empty() || request.body_source != nullptr;
    FieldList fields;
    fields.add(":method", request.method);
    fields.add(":scheme", request.url.scheme);
    fields.add(":authority", request.url.authority());
    fields.add(":path", request.url.target);
    fields.add(request.headers);
    const nghttp2_data_provider2 body{{.ptr = stream.get()}, Callbacks::read_body};
    const auto id = nghttp2_submit_request2(
        session_, nullptr, fields.data(), fields.size(), has_body ? &body : nullptr, stream.get()
    );
    if (id < 0) {
        going_away_ = true;  // out of stream numbers, or worse: not used for new requests
        return fail(Errc::kUnavailable, std::string("cannot send: ") + nghttp2_strerror(id));
    }
    stream->session = this;
    stream->id = id;
    stream->out_finished = !has_body;
    used_at_ = clock_.now();
    streams_.emplace(id, stream);
    schedule_flush();
    return {};
}

void H2Session::push(H2Stream& stream, Blob piece) {
    if (piece.empty()) {
        return;
    }
    if (stream.out_bytes == 0) {
        stream.out_progress_at = clock_.now();
    }
    stream.out_bytes += piece.size();
    stream.out.push_back(std::move(piece));
    if (std::exchange(stream.out_deferred, false)) {
        nghttp2_session_resume_data(session_, stream.id);
    }
    schedule_flush();
}

void H2Session::finish(H2Stream& stream, Headers trailers) {
    stream.out_trailers = std::move(trailers);
    stream.out_finished = true;
    if (std::exchange(stream.out_deferred, false)) {
        nghttp2_session_resume_data(session_, stream.id);
    }
    schedule_flush();
}

void H2Session::reset(H2Stream& stream, std::uint32_t code) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, code);
    schedule_flush();
}

void H2Session::discard(H2Stream& stream) {
    stream.discard = true;
    nghttp2_session_consume_connection(session_, stream.in.drop());
    schedule_flush();
}

void H2Session::consumed(H2Stream& stream, std::size_t count) {
    if (count > 0 && !closed_) {
        nghttp2_session_consume(session_, stream.id, count);
        if (nghttp2_session_want_write(session_) != 0) {
            schedule_flush();
        }
    }
}

Task<Result<void>> write_to(std::shared_ptr<H2Stream> stream, Blob piece) {
    if (stream->session != nullptr) {
        stream->session->push(*stream, std::move(piece));
    }
    while (stream->session != nullptr && stream->out_bytes > kStreamOutBytesMax) {
        const OneShot room;
        stream->room = room;
        co_await room.wait();
    }
    if (stream->session == nullptr) {
        co_return std::unexpected(*stream->closed);
    }
    co_return Result<void>{};
}

Task<Result<Blob>> read_from(std::shared_ptr<H2Stream> stream) {
    while (!stream->in.readable()) {
        if (stream->session != nullptr) {
            stream->in_progress_at = stream->session->clock().now();
        }
        co_await stream->in.wait_readable();
    }
    Result<Blob> piece = stream->in.take();
    if (piece && stream->session != nullptr) {
        stream->session->consumed(*stream, piece->size());
    }
    co_return piece;
}

}  // namespace framegrid::http
