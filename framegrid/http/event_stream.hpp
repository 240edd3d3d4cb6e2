// Server-sent events (HTML standard, section 9.2): an answer that tells of several things, one after the
// other.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <framegrid/http/message.hpp>
#include <framegrid/runtime/async.hpp>

namespace framegrid::http {

inline constexpr std::string_view kEventStreamType = "text/event-stream";

struct Event {
    std::string name;  // empty: "message"
    std::string data;
    std::string id{};  // what a client that comes back sends as Last-Event-ID; empty: none
    friend bool operator==(const Event&, const Event&) = default;
};
std::string format_event(const Event& event);

// Cuts a stream into events. Retry times and comments are skipped. Holds what was appended last and at
// most `limit` bytes of an event that is not complete.
class EventReader {
  public:
    explicit EventReader(std::size_t limit) : limit_(limit) {}
    // kTooLarge: an event over the limit.
    Result<void> append(std::string_view text);
    std::optional<Event> next();

  private:
    void take_line(std::string_view line);

    std::size_t limit_;
    std::string line_;
    bool after_return_ = false;  // the last line ended with a carriage return: a line feed belongs to it
    Event event_;
    bool has_data_ = false;
    std::deque<Event> events_;
};

// The next event of a body; nullopt: the body has ended. kTooLarge as of append(), else the body's errors.
Task<Result<std::optional<Event>>> read_event(BodyReader& body, EventReader& reader);

// Tells a peer of the newest event while the rest of the answer is waited for. Events that a slow peer leaves
// no time for are replaced by newer ones. The answer's head goes out with the first event, so what fails
// before it can still be answered in the usual way. Single-threaded.
class EventOutlet {
  public:
    using Start = std::function<Task<Result<void>>(ResponseHead head)>;
    EventOutlet(Start start, ResponseWriter& response, Clock& clock)
        : start_(std::move(start)), response_(response), clock_(clock) {}

    void put(Event event);
    // No more events.
    void close();
    // Writes until close(). An error: the peer is gone.
    Task<Result<void>> run();

  private:
    static constexpr Duration kQuietMax = std::chrono::seconds(15);  // then a comment keeps the stream alive

    Start start_;
    ResponseWriter& response_;
    Clock& clock_;
    std::optional<Event> newest_;
    bool closed_ = false;
    Notifier changed_;
};

// Runs `work` to its end while the outlet tells of what comes of it. A peer that is gone ends both.
template <class T>
Task<Result<T>> while_telling(EventOutlet& outlet, Task<Result<T>> work) {
    struct Parts {
        static Task<Result<T>> run(EventOutlet& outlet, Task<Result<T>> work) {
            auto result = co_await std::move(work);
            outlet.close();
            co_return result;
        }
        static Task<Result<T>> tell(EventOutlet& outlet) {
            FG_CO_CHECK(co_await outlet.run());
            co_return T{};
        }
    };
    std::vector<Task<Result<T>>> both;
    both.push_back(Parts::run(outlet, std::move(work)));
    both.push_back(Parts::tell(outlet));
    auto results = co_await all_of(std::move(both));
    co_return std::move(results.front());
}

}  // namespace framegrid::http
