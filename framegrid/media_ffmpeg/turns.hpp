// Private: which of the threads of one transcode may compute.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>

namespace framegrid::media_ffmpeg {

// Lets `slots` threads compute at the same time; of those that wait, the one with the lowest rank is next.
// Unlike the system's priorities this orders the threads among themselves and takes nothing from them as a
// whole.
class Turns {
  public:
    explicit Turns(unsigned slots) : free_(std::max(1U, slots)) {}

    // One turn, held while the object lives, except between pause() and resume(). Do not wait for another
    // thread of the same transcode while holding it.
    class Turn {
      public:
        Turn(Turns* turns, int rank) : turns_(turns), rank_(rank) { resume(); }
        ~Turn() { pause(); }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
        void pause() {
            if (turns_ != nullptr && held_) {
                turns_->give();
                held_ = false;
            }
        }
        void resume() {
            if (turns_ != nullptr && !held_) {
                turns_->take(rank_);
                held_ = true;
            }
        }

      private:
        Turns* turns_;  // null: no order is kept
        int rank_;
        bool held_ = false;
    };

    void add_slots(unsigned count) {
        const std::lock_guard lock(mutex_);
        free_ += count;
        changed_.notify_all();
    }

  private:
    void take(int rank) {
        std::unique_lock lock(mutex_);
        const auto place = waiting_.insert(rank);
        changed_.wait(lock, [&] { return free_ > 0 && *waiting_.begin() == rank; });
        waiting_.erase(place);
        --free_;
        if (free_ > 0 && !waiting_.empty()) {
            changed_.notify_all();
        }
    }
    void give() {
        {
            const std::lock_guard lock(mutex_);
            ++free_;
        }
        changed_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::multiset<int> waiting_;
    unsigned free_;
};

}  // namespace framegrid::media_ffmpeg
