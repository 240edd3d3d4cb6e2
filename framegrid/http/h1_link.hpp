// The byte side of one HTTP/1.1 connection, either end: reads ahead a bounded amount, joins and bounds
// output.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include <framegrid/http/queues.hpp>
#include <framegrid/http/transport.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::http {

// Kept alive by its owner and by pending waits; close() ends both. Everything happens on one executor.
class H1Link : public std::enable_shared_from_this<H1Link> {
  public:
    // `scratch` is shared by all connections of one owner: it is only used inside one call.
    H1Link(
        Executor executor, Clock& clock, std::unique_ptr<Transport> transport,
        std::span<std::uint8_t> scratch, std::size_t unparsed_max
    );
    virtual ~H1Link() = default;
    H1Link(const H1Link&) = delete;
    H1Link& operator=(const H1Link&) = delete;

    void start(BytesView initial);
    void close(const Error& why);
    bool is_closed() const { return closed_; }

    void send(std::string_view text);
    void send(Blob blob);
    std::size_t unsent() const { return output_.size(); }
    // True: a writer must wait_room() before it sends more.
    bool is_full() const;
    Task<void> wait_room();
    // Parses what is waiting and reads on; call when can_parse() may have become true.
    void resume();
    // Looks now for what has arrived, such as the end of a connection that was idle.
    void probe() { read(); }
    Clock& clock() { return clock_; }

  protected:
    // Whether on_bytes() is of use now. When false, reading goes on only until `unparsed_max` bytes wait.
    virtual bool can_parse() const = 0;
    // Uses a prefix of `bytes` and returns its size; 0: needs more.
    virtual std::size_t on_bytes(BytesView bytes) = 0;
    // The peer sends no more; told after what it sent has been parsed, or at once.
    virtual void on_eof() = 0;
    virtual bool tells_eof_at_once() const { return false; }
    // Everything sent so far has left.
    virtual void on_flushed() {}
    virtual void on_closed(const Error& why) = 0;

    void finish_writing() { transport_->finish_writing(); }
    // Reading is held back, and behind what waits to be read the peer has closed.
    bool is_abandoned() const { return unparsed_.size() >= unparsed_max_ && transport_->has_peer_finished(); }
    std::uint64_t received_bytes() const { return received_bytes_; }
    // Since when output waits for the peer, if it does.
    std::optional<TimePoint> blocked_since() const;

  private:
    void read();
    void tell_eof();
    void parse();
    std::size_t parse_some(BytesView bytes);
    void wait_readable();
    void schedule_flush();
    void flush();

    Executor executor_;
    Clock& clock_;
    std::unique_ptr<Transport> transport_;
    std::span<std::uint8_t> scratch_;
    std::size_t unparsed_max_;
    Bytes unparsed_;
    OutputBuffer output_;
    std::optional<OneShot> room_;
    std::uint64_t received_bytes_ = 0;
    TimePoint progress_at_{};
    bool closed_ = false;
    bool parsing_ = false;
    bool read_waiting_ = false;
    bool eof_ = false;
    bool eof_told_ = false;
    bool resume_scheduled_ = false;
    bool flush_scheduled_ = false;
    bool write_blocked_ = false;
};

}  // namespace framegrid::http
