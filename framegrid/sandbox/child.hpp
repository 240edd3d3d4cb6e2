// The parent's view of one executor process: its socket, its state, what it keeps warm.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/api/early_artifacts.hpp>
#include <framegrid/host/process.hpp>
#include <framegrid/runtime/async.hpp>
#include <framegrid/sandbox/message.hpp>

namespace framegrid::sandbox {

// A message and the descriptors that go with it.
struct Parcel {
    Bytes frame;
    std::vector<host::UniqueFd> descriptors;
};

// This side's end of the socket pair. Never blocks, never throws; single-threaded. send() after a failure is
// ignored: the reading side learns of the end.
class ChildSocket : public std::enable_shared_from_this<ChildSocket> {
  public:
    ChildSocket(const Executor& executor, host::UniqueFd fd);
    ~ChildSocket();
    ChildSocket(const ChildSocket&) = delete;
    ChildSocket& operator=(const ChildSocket&) = delete;

    // Queues the parcel and writes what the socket takes. False: kParcelsMax are waiting, the child does not
    // read.
    bool send(Parcel parcel);
    // The next message. kUnavailable: the child closed its end; kProtocol: garbage.
    Task<Result<Message>> receive();

    static constexpr std::size_t kParcelsMax = 256;

  private:
    void flush();
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Both ends of a new socket pair: ours (not blocking) and the child's.
struct SocketPair {
    host::UniqueFd ours;
    host::UniqueFd theirs;
};
Result<SocketPair> make_socket_pair();

// One task in a child. Shared by the child's slot and the run() that waits for it.
struct Assignment {
    bool exclusive = true;   // no other task may be in the process
    bool wanted = true;      // a run() waits for it; else it has been asked to stop
    std::uint64_t task = 0;  // 0: not sent yet
    std::optional<DoneMessage> answer;
    std::shared_ptr<api::EarlyArtifacts> early;  // while it is wanted
    api::ProgressSink progress;                  // while it is wanted
    std::string model;                           // for metrics; empty: it has none
    std::string trace;                           // id of the request that it is for; may be empty
    OneShot finished;                            // fires when `answer` is there or the child is dead
    bool had_company = false;                    // when the child died
    Timer grace;                                 // of a task that was asked to stop
};

struct Slot {
    std::shared_ptr<Assignment> assignment;  // null: free
    host::UniqueFd output;  // the region that the child will write the slot's next large result into
};

// Plain data of the pool, which owns the rules. Shared by the pool, the task that watches the process and the
// run()s that use it at the moment, because any of them may be the last to let go.
struct Child {
    enum class State : std::uint8_t {
        kStarting,
        kReady,
        kDead,  // killed, or about to be
    };

    Child(host::ChildProcess p, std::shared_ptr<ChildSocket> s)
        : process(std::move(p)), socket(std::move(s)) {}

    std::size_t tasks() const {
        return static_cast<std::size_t>(std::ranges::count_if(slots, [](const Slot& slot) {
            return slot.assignment != nullptr;
        }));
    }
    bool is_idle() const { return state == State::kReady && tasks() == 0; }
    bool is_busy() const { return state == State::kReady && tasks() > 0; }
    // Has tasks, all of which may have company.
    bool is_shared() const {
        return is_busy() && std::ranges::none_of(slots, [](const Slot& slot) {
                   return slot.assignment != nullptr && slot.assignment->exclusive;
               });
    }
    // Of the requests that its tasks are for, with commas between.
    std::string traces() const {
        std::string out;
        for (const auto& slot : slots) {
            if (slot.assignment != nullptr && !slot.assignment->trace.empty()) {
                out += (out.empty() ? "" : ",") + slot.assignment->trace;
            }
        }
        return out;
    }
    Slot* slot_of(const std::shared_ptr<Assignment>& assignment) {
        const auto at = std::ranges::find(slots, assignment, &Slot::assignment);
        return at == slots.end() ? nullptr : &*at;
    }
    Slot* slot_of(std::uint64_t task) {
        const auto at = std::ranges::find_if(slots, [&](const Slot& slot) {
            return task != 0 && slot.assignment != nullptr && slot.assignment->task == task;
        });
        return at == slots.end() ? nullptr : &*at;
    }

    host::ChildProcess process;
    std::shared_ptr<ChildSocket> socket;
    State state = State::kStarting;
    bool was_ready = false;  // it has got through its start
    bool prepared = false;   // it was told that AI tasks may come
    std::vector<Slot> slots;
    std::string end_reason;            // why it is dead, once it is
    std::deque<std::string> sessions;  // that it may keep codecs for, newest last
    std::string model;                 // "pipeline model" of its last AI task
    api::DeviceUse use;                // as it said last
    std::uint32_t tasks_done = 0;
    bool retires = false;    // takes no further task
    std::string last_words;  // the last line on its standard error
    TimePoint idle_since{};
    Timer timer;  // of its start
};

}  // namespace framegrid::sandbox
