// A bounded queue between coroutines of one executor.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>

#include <framegrid/runtime/async.hpp>

namespace framegrid {

template <class T>
class Channel {
  public:
    explicit Channel(std::size_t limit) : limit_(limit) {}

    // False when full or closed; the value is then left where it was.
    bool try_send(T& value) {
        if (closed_ || queue_.size() >= limit_) {
            return false;
        }
        queue_.push_back(std::move(value));
        readable_.notify_all();
        return true;
    }
    bool try_send(T&& value) { return try_send(value); }  // NOLINT: that one moves it

    // Waits for room. kCancelled when the channel is closed.
    Task<Result<void>> send(T value) {
        while (!closed_ && queue_.size() >= limit_) {
            co_await writable_.wait();
        }
        if (closed_) {
            co_return fail(Errc::kCancelled, "channel closed");
        }
        queue_.push_back(std::move(value));
        readable_.notify_all();
        co_return Result<void>{};
    }

    // Waits for a value; nullopt once closed and empty.
    Task<std::optional<T>> receive() {
        while (queue_.empty() && !closed_) {
            co_await readable_.wait();
        }
        co_return try_receive();
    }
    std::optional<T> try_receive() {
        if (queue_.empty()) {
            return std::nullopt;
        }
        std::optional<T> value(std::move(queue_.front()));
        queue_.pop_front();
        writable_.notify_all();
        return value;
    }

    // Values already queued can still be received.
    void close() {
        closed_ = true;
        readable_.notify_all();
        writable_.notify_all();
    }
    bool closed() const { return closed_; }
    std::size_t size() const { return queue_.size(); }
    std::size_t limit() const { return limit_; }

  private:
    std::size_t limit_;
    std::deque<T> queue_;
    bool closed_ = false;
    Notifier readable_;
    Notifier writable_;
};

}  // namespace framegrid
