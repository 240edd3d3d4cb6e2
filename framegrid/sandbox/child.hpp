// The parent's view of one executor process: its socket, its state, what it keeps warm.
#pragma once

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

// Plain data of the pool, which owns the rules. Shared by the pool, the task that watches the process and the
// run() that uses it at the moment, because any of them may be the last to let go.
struct Child {
    enum class State : std::uint8_t {
        kStarting,
        kIdle,
        kBusy,      // works for a run() that waits
        kStopping,  // works on a task that nobody wants any more, until it answers or is killed
        kDead,      // killed, or about to be
    };

    Child(host::ChildProcess p, std::shared_ptr<ChildSocket> s)
        : process(std::move(p)), socket(std::move(s)) {}

    host::ChildProcess process;
    std::shared_ptr<ChildSocket> socket;
    State state = State::kStarting;
    bool was_ready = false;                      // it has got through its start
    std::uint64_t task = 0;                      // the task it works on, or 0
    std::optional<DoneMessage> answer;           // to `task`
    std::shared_ptr<api::EarlyArtifacts> early;  // of `task`, while a run() waits for it
    OneShot finished;                            // fires when `answer` is there or the child is dead
    std::string end_reason;                      // why it is dead, once it is
    host::UniqueFd output;             // the region that the child will write its next large result into
    std::deque<std::string> sessions;  // that it may keep codecs for, newest last
    std::string model;                 // "pipeline model" of its last AI task
    std::uint32_t tasks_done = 0;
    std::string last_words;  // the last line on its standard error
    TimePoint idle_since{};
    Timer timer;  // start-up, or the grace of a cancelled task
};

}  // namespace framegrid::sandbox
