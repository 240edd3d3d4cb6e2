// The simulated network: calls and task streams between nodes, with latency, loss, duplicates, partitions and
// broken connections. Nothing here knows what the roles do with a message.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/api/orchestrator_service.hpp>
#include <framegrid/runtime/channel.hpp>
#include <framegrid/runtime/random.hpp>
#include <sim/scheduler.hpp>
#include <sim/task_set.hpp>
#include <sim/trace.hpp>

namespace framegrid::sim {

using NodeId = std::uint32_t;

// What a message is for; part of the trace.
enum class Kind : std::uint8_t {
    kInfo,
    kRun,
    kEndSession,
    kRegister,
    kFetch,
    kSubmit,
    kJob,
    kEndStream,
    kReply,
    kReset,
    kTask,
    kStreamEnd,
    kEarly,       // a rendition for whoever waits for a job
    kSubmitEarly  // the same from a worker
};

struct LinkFaults {
    Duration latency_min = std::chrono::milliseconds(1);
    Duration latency_max = std::chrono::milliseconds(15);
    double loss = 0;       // of one message; whoever waits for it waits until the deadline
    double duplicate = 0;  // of one request or notification
};

// Text of the error that a call ends with when neither an answer nor an error came back before its deadline.
inline constexpr const char* kNoAnswer = "sim: no answer before the deadline";

// A call that is under way, whatever it returns.
struct CallBase {
    NodeId from = 0;
    NodeId to = 0;
    Kind kind = Kind::kInfo;
    bool answered = false;
    bool abandoned = false;            // the caller no longer waits
    std::vector<TaskSet::Id> serving;  // tasks at the server that end when the caller goes away
    virtual ~CallBase() = default;
    virtual void answer_error(Error error) = 0;
    virtual bool is_over() const = 0;  // for the caller
};

template <class T>
struct Call final : CallBase {
    std::optional<Result<T>> result;
    OneShot done;
    void finish(Result<T> value) {
        if (!result) {
            result.emplace(std::move(value));
            done.fire();
        }
    }
    void answer(Result<T> value) {
        answered = true;
        finish(std::move(value));
    }
    void answer_error(Error error) override { answer(std::unexpected(std::move(error))); }
    bool is_over() const override { return abandoned || result.has_value(); }
};

// A worker's registration across the network: the orchestrator's end is pumped into `tasks`.
struct StreamLink {
    NodeId host = 0;
    NodeId worker = 0;
    bool host_open = true;
    bool worker_open = false;  // until the worker has got the answer
    TaskSet::Id pump = 0;      // at the host
    Channel<api::WorkerTask> tasks{4096};
};

struct NetworkStats {
    std::uint64_t sent = 0;
    std::uint64_t delivered = 0;
    std::uint64_t lost = 0;
    std::uint64_t duplicated = 0;
    std::uint64_t blocked = 0;  // by a partition
    std::size_t calls = 0;      // under way now
    std::size_t calls_max = 0;
};

class Network {
  public:
    struct Node {
        bool up = false;
        bool silent = false;     // lost power: sends nothing, not even a reset
        bool reliable = false;   // a client: its links never fail
        std::uint32_t side = 0;  // of the partition
        double slow = 1;         // factor on latencies
        std::unique_ptr<TaskSet> tasks;
        api::Orchestrator* front = nullptr;                           // what gateways talk to (may lie)
        api::OrchestratorService* service = nullptr;                  // what workers talk to
        std::optional<std::pair<api::WorkerKind, TaskId>> last_task;  // that it gave to a worker
    };

    Network(Scheduler& scheduler, Random& random, Trace& trace)
        : scheduler_(scheduler), random_(random), trace_(trace) {}

    NodeId add_node(std::function<void(std::exception_ptr)> on_exception);
    Node& node(NodeId id) { return nodes_[id]; }
    std::size_t size() const { return nodes_.size(); }
    Scheduler& scheduler() { return scheduler_; }
    Trace& trace() { return trace_; }
    NetworkStats stats() const;

    LinkFaults faults;
    // With `one_way` only messages from a lower side to a higher one are blocked.
    bool one_way = false;
    void heal();

    // Ends the node's tasks and connections; `silent` as when the power goes. Its role may go at the next
    // instant.
    void take_down(NodeId id, bool silent);
    void bring_up(NodeId id);
    // Resets what is under way between two nodes.
    void break_connections(NodeId a, NodeId b);

    // Starts the handler at the server: called once for each delivery of the request.
    template <class T>
    using Start = std::function<Task<Result<T>>(std::shared_ptr<CallBase>)>;
    // One request and its answer. kUnavailable: refused or broken; kDeadline with kNoAnswer.
    template <class T>
    Task<Result<T>> call(NodeId from, NodeId to, Kind kind, Deadline deadline, Start<T> start);

    // Delivers `fn` after the link's latency, if at all; perhaps twice when `may_repeat`.
    void send(NodeId from, NodeId to, Kind kind, bool may_repeat, std::move_only_function<void()> fn);

    // What the server of a call tells of goes to the caller's `sink`, as long as the caller waits. Empty for
    // an empty sink.
    api::ArtifactSink early_to_caller(std::shared_ptr<CallBase> call, api::ArtifactSink sink);
    api::ProgressSink progress_to_caller(std::shared_ptr<CallBase> call, api::ProgressSink sink);

    // Opens the host's half of a registration and pumps it.
    std::shared_ptr<StreamLink> open_stream(CallBase& call, std::unique_ptr<api::TaskStream> stream);
    // The worker's half is gone.
    void close_stream(std::shared_ptr<StreamLink> link);

  private:
    template <class T>
    class Reply;
    class Hangup;
    using Calls = std::list<std::shared_ptr<CallBase>>;

    bool blocked(NodeId from, NodeId to) const;
    Duration latency(NodeId from, NodeId to);
    template <class T>
    void deliver(std::shared_ptr<Call<T>> call, const Start<T>& start);
    template <class T>
    Task<void> serve(std::shared_ptr<Call<T>> call, Task<Result<T>> work);
    void abandon(const std::shared_ptr<CallBase>& call);
    void stop_serving(CallBase& call);
    Task<void> pump(std::shared_ptr<StreamLink> link, std::unique_ptr<api::TaskStream> stream);
    void keep_alive(std::shared_ptr<StreamLink> link);
    void end_stream(StreamLink& link);

    Scheduler& scheduler_;
    Random& random_;
    Trace& trace_;
    std::deque<Node> nodes_;  // references to nodes stay valid
    Calls calls_;             // in the order they were made
    std::vector<std::weak_ptr<StreamLink>> streams_;
    std::size_t streams_sweep_at_ = 64;
    NetworkStats stats_;
};

// Sends the answer; a handler that was cut off (its node crashed) resets the call instead.
template <class T>
class Network::Reply {
  public:
    Reply(Network& network, std::shared_ptr<Call<T>> call) : network_(network), call_(std::move(call)) {}
    ~Reply() {
        Network::Node& server = network_.node(call_->to);
        if (call_->abandoned || server.silent) {
            return;
        }
        network_.send(
            call_->to, call_->from, Kind::kReply, false,
            [call = call_, result = std::move(result_)]() mutable { call->answer(std::move(result)); }
        );
    }
    Reply(const Reply&) = delete;
    Reply& operator=(const Reply&) = delete;
    void set(Result<T> result) { result_ = std::move(result); }

  private:
    Network& network_;
    std::shared_ptr<Call<T>> call_;
    Result<T> result_ = fail(Errc::kUnavailable, "the connection was reset");
};

// Tells the server when the caller stops waiting.
class Network::Hangup {
  public:
    Hangup(Network& network, std::shared_ptr<CallBase> call)
        : network_(network), at_(network.calls_.insert(network.calls_.end(), std::move(call))) {
        ++network_.stats_.calls;
        network_.stats_.calls_max = std::max(network_.stats_.calls_max, network_.stats_.calls);
    }
    ~Hangup() {
        const auto call = std::move(*at_);
        network_.calls_.erase(at_);
        --network_.stats_.calls;
        call->abandoned = true;
        if (!call->answered) {
            network_.abandon(call);
        }
    }
    Hangup(const Hangup&) = delete;
    Hangup& operator=(const Hangup&) = delete;

  private:
    Network& network_;
    Calls::iterator at_;
};

template <class T>
Task<Result<T>> Network::call(NodeId from, NodeId to, Kind kind, Deadline deadline, Start<T> start) {
    const auto call = std::make_shared<Call<T>>();
    call->from = from;
    call->to = to;
    call->kind = kind;
    const Hangup hangup(*this, call);
    // A registration is a connection of its own: it cannot arrive twice.
    send(from, to, kind, kind != Kind::kRegister, [this, call, start = std::move(start)] {
        deliver<T>(call, start);
    });
    const Timer timer =
        scheduler_.clock().call_at(deadline.at, [call] { call->finish(fail(Errc::kDeadline, kNoAnswer)); });
    co_await call->done.wait();
    co_return std::move(*call->result);
}

template <class T>
void Network::deliver(std::shared_ptr<Call<T>> call, const Start<T>& start) {
    Node& server = nodes_[call->to];
    if (call->abandoned || server.silent) {
        return;
    }
    if (!server.up) {
        send(call->to, call->from, Kind::kReply, false, [call] {
            call->answer(fail(Errc::kUnavailable, "connection refused"));
        });
        return;
    }
    const auto id = server.tasks->spawn(serve<T>(call, start(call)));
    call->serving.push_back(id);
}

template <class T>
Task<void> Network::serve(std::shared_ptr<Call<T>> call, Task<Result<T>> work) {
    Reply<T> reply(*this, std::move(call));
    auto result = co_await std::move(work);
    reply.set(std::move(result));
}

}  // namespace framegrid::sim
