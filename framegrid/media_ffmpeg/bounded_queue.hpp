// Private: a blocking queue between two threads of one codec call.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

namespace framegrid::media_ffmpeg {

template <class T>
class BoundedQueue {
  public:
    explicit BoundedQueue(std::size_t limit) : limit_(limit) {}

    // Waits for room. False once the reader has gone (abandon()): the value is dropped.
    bool push(T value) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return items_.size() < limit_ || abandoned_; });
        if (abandoned_) {
            return false;
        }
        items_.push_back(std::move(value));
        changed_.notify_all();
        return true;
    }
    void set_limit(std::size_t limit) {
        const std::lock_guard lock(mutex_);
        limit_ = limit;
        changed_.notify_all();
    }
    // Waits for a value; nothing once the queue is closed and empty, or abandoned.
    std::optional<T> pop() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !items_.empty() || closed_ || abandoned_; });
        if (items_.empty() || abandoned_) {
            return std::nullopt;
        }
        std::optional<T> value(std::move(items_.front()));
        items_.pop_front();
        changed_.notify_all();
        return value;
    }
    // The writer is done.
    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        changed_.notify_all();
    }
    // Nobody reads any more: what waits is dropped, both sides wake up.
    void abandon() {
        std::deque<T> dropped;
        const std::lock_guard lock(mutex_);
        abandoned_ = true;
        dropped.swap(items_);
        changed_.notify_all();
    }

  private:
    std::size_t limit_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<T> items_;
    bool closed_ = false;
    bool abandoned_ = false;
};

}  // namespace framegrid::media_ffmpeg
