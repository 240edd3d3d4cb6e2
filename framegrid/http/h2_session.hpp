// One HTTP/2 connection, either side: nghttp2 for the protocol, a Transport for the bytes, H2Streams for the
// messages.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include <nghttp2/nghttp2.h>

#include <framegrid/http/message.hpp>
#include <framegrid/http/queues.hpp>
#include <framegrid/http/transport.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::http {

struct Request;

class H2Session;

// One request and its response. Shared by the session (while the stream is open) and the coroutines that use
// it.
struct H2Stream {
    virtual ~H2Stream() = default;

    H2Session* session = nullptr;  // null once the stream is closed
    std::int32_t id = -1;

    // Arriving.
    std::string method, scheme, authority, target;  // requests
    int status = 0;                                 // responses
    Headers headers;
    std::size_t header_bytes = 0;
    bool header_too_large = false;
    bool head_complete = false;
    bool discard = false;  // nobody wants the rest of the body
    std::size_t body_bytes = 0;
    BodyQueue in;
    TimePoint in_progress_at{};  // the last body byte, or when the reader began to wait

    // Leaving.
    std::deque<Blob> out;
    std::size_t out_bytes = 0;
    bool out_finished = false;
    bool out_deferred = false;  // nghttp2 waits for resume_data
    Headers out_trailers;
    TimePoint out_progress_at{};
    std::optional<OneShot> room;
    std::optional<TimePoint> reset_at;  // server: answered completely; the rest of the request has until then

    std::uint32_t close_code = NGHTTP2_NO_ERROR;
    std::optional<Error> closed;  // why, once session is null
};

struct H2Settings {
    bool server = true;
    std::size_t header_bytes_max = 64 * 1024;
    std::uint32_t streams_max = 256;
    std::uint32_t stream_window_bytes = 8 << 20;
    std::uint32_t connection_window_bytes = 64 << 20;
    Duration header_time_max{};
    Duration body_stall_max{};  // 0: off
    Duration idle_time_max{};
    Duration ping_period{};  // 0: off
};

// Owns the transport and nghttp2's state. Kept alive by its owner's list and by pending waits; close() ends
// both. Everything happens on one executor. Hooks are never called from inside nghttp2.
class H2Session : public std::enable_shared_from_this<H2Session> {
  public:
    // `scratch` is shared by all connections of one owner: it is only used inside one call.
    H2Session(
        Executor executor, Clock& clock, std::unique_ptr<Transport> transport,
        std::span<std::uint8_t> scratch, const H2Settings& settings
    );
    virtual ~H2Session();
    H2Session(const H2Session&) = delete;
    H2Session& operator=(const H2Session&) = delete;

    // Sends the preface and starts reading; `initial` has been read already.
    void start(BytesView initial);
    // Enforces the time limits; called regularly by the owner.
    void tick(TimePoint now);
    // GOAWAY: running streams go on, and the connection closes after the last one.
    void go_away();
    // Ends the connection and every stream at once.
    void close(const Error& why);
    bool is_closed() const { return closed_; }
    std::size_t streams() const { return streams_.size(); }
    // Looks now for what has arrived, such as the end of a connection that was idle.
    void probe() { read(); }
    std::uint64_t received_bytes() const { return received_bytes_; }

    // All for open streams (stream.session == this).
    Result<void> submit_response(H2Stream& stream, int status, const Headers& headers);
    // Whose body, if it has one, is pushed afterwards.
    Result<void> submit_request(const std::shared_ptr<H2Stream>& stream, const Request& request);
    void push(H2Stream& stream, Blob piece);
    void finish(H2Stream& stream, Headers trailers);
    void reset(H2Stream& stream, std::uint32_t code);
    // The rest of the arriving body is not wanted: grants its window back.
    void discard(H2Stream& stream);
    // The reader took `count` bytes: lets the peer send as many again.
    void consumed(H2Stream& stream, std::size_t count);
    Clock& clock() { return clock_; }

  protected:
    // Server: a stream for a new request.
    virtual std::shared_ptr<H2Stream> make_stream() { return nullptr; }
    // The head is complete (also when header_too_large).
    virtual void on_head(const std::shared_ptr<H2Stream>& stream) = 0;
    // The body passed a limit of the owner: return false to have on_body_refused() called.
    virtual bool accepts_body(const H2Stream&) const { return true; }
    virtual void on_body_refused(const std::shared_ptr<H2Stream>&) {}
    virtual void on_body_stalled(const std::shared_ptr<H2Stream>&) {}
    // The stream is closed: stream.closed says why, stream.session is null.
    virtual void on_stream_closed(const std::shared_ptr<H2Stream>& stream) = 0;
    virtual void on_protocol_error() {}
    // The connection is closed, all streams too.
    virtual void on_closed(const Error& why) = 0;

    bool going_away() const { return going_away_; }
    std::uint32_t peer_streams_max() const;
    TimePoint used_at() const { return used_at_; }

  private:
    struct Callbacks;
    void read();
    void wait_readable();
    void feed(BytesView bytes);
    void settle();
    void schedule_flush();
    void flush();
    bool fill();
    void check_ping(TimePoint now);
    Error gone() const;
    void detach(H2Stream& stream, const Error& why);
    H2Stream* find(std::int32_t id);
    std::shared_ptr<H2Stream> find_shared(std::int32_t id);

    Executor executor_;
    Clock& clock_;
    std::unique_ptr<Transport> transport_;
    std::span<std::uint8_t> scratch_;
    const H2Settings settings_;
    nghttp2_session* session_ = nullptr;
    std::unordered_map<std::int32_t, std::shared_ptr<H2Stream>> streams_;
    OutputBuffer output_;

    // What callbacks found, for settle().
    std::vector<std::shared_ptr<H2Stream>> ready_, refused_, ended_;

    bool started_ = false;
    bool closed_ = false;
    bool going_away_ = false;
    bool flush_scheduled_ = false;
    bool read_waiting_ = false;
    bool write_blocked_ = false;
    bool protocol_error_ = false;
    std::uint32_t invalid_frames_ = 0;
    std::uint64_t received_bytes_ = 0;
    std::optional<TimePoint> head_since_;  // a header block is arriving
    TimePoint received_at_{}, blocked_at_{}, used_at_{};
    std::optional<TimePoint> ping_sent_at_;
};

// Sends a piece and waits until little enough is queued. kUnavailable (or why it was closed) on a closed
// stream.
Task<Result<void>> write_to(std::shared_ptr<H2Stream> stream, Blob piece);
// The next piece of the arriving body.
Task<Result<Blob>> read_from(std::shared_ptr<H2Stream> stream);

}  // namespace framegrid::http
