// The bounded queues between a connection and the coroutines that read and write its messages.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/http/message.hpp>
#include <framegrid/http/transport.hpp>
#include <framegrid/runtime/async.hpp>

namespace framegrid::http {

// A body that is arriving: filled by the connection, emptied by one reader. Its bound is the window that the
// connection granted to the sender.
class BodyQueue {
  public:
    void push(BytesView bytes);
    void finish();
    // What has arrived can still be read; then the error is what the reader gets. The first error stays.
    void fail(Error error);
    // Forgets what has not been read, and returns how many bytes that was.
    std::size_t drop();

    bool complete() const { return finished_ || error_.has_value(); }
    bool finished() const { return finished_; }
    std::size_t buffered() const { return buffered_; }

    // Readable means that take() has an answer: a piece, the end (an empty Blob) or an error.
    bool readable() const { return !pieces_.empty() || complete(); }
    // The caller's frame must keep the queue alive.
    Task<void> wait_readable();
    bool has_reader() const { return waiter_.has_value(); }
    Result<Blob> take();

    Headers trailers;  // complete once finished

  private:
    void wake();
    std::deque<Bytes> pieces_;
    std::size_t buffered_ = 0;
    bool finished_ = false;
    std::optional<Error> error_;
    std::optional<OneShot> waiter_;
};

// Bytes on their way into a transport: small ones are copied together, large ones are shared.
class OutputBuffer {
  public:
    void append(BytesView bytes);
    void append(Blob blob);
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    void clear();
    // Writes until everything is out or the transport cannot go on: then would_block or a failure.
    ErrorCode write_to(Transport& transport);

  private:
    struct Segment {
        std::size_t offset = 0;  // into linear_ when blob is empty
        std::size_t size = 0;
        Blob blob;
    };
    void consume(std::size_t count);
    void compact();
    Bytes linear_;
    std::vector<Segment> segments_;
    std::size_t first_ = 0;    // segments before it have been written
    std::size_t written_ = 0;  // bytes of segment first_ that have been written
    std::size_t size_ = 0;
};

}  // namespace framegrid::http
