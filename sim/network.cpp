#include <sim/network.hpp>

#include <algorithm>

namespace framegrid::sim {

namespace {
constexpr Duration kKeepAlive = std::chrono::seconds(8);  // a dead stream is noticed within this time
}

NodeId Network::add_node(std::function<void(std::exception_ptr)> on_exception) {
    nodes_.emplace_back();
    nodes_.back().tasks = std::make_unique<TaskSet>(scheduler_.executor(), std::move(on_exception));
    return static_cast<NodeId>(nodes_.size() - 1);
}

NetworkStats Network::stats() const {
    return stats_;
}

void Network::heal() {
    faults.loss = 0;
    faults.duplicate = 0;
    for (Node& node : nodes_) {
        node.side = 0;
        node.slow = 1;
    }
}

bool Network::blocked(NodeId from, NodeId to) const {
    const Node& a = nodes_[from];
    const Node& b = nodes_[to];
    if (a.side == b.side || a.reliable || b.reliable) {
        return false;
    }
    return !one_way || a.side < b.side;
}

Duration Network::latency(NodeId from, NodeId to) {
    // Skewed: most messages are quick, a few take the longest.
    const double unit = random_.unit();
    const double span = static_cast<double>((faults.latency_max - faults.latency_min).count());
    const double base = static_cast<double>(faults.latency_min.count()) + unit * unit * unit * span;
    const bool reliable = nodes_[from].reliable || nodes_[to].reliable;
    const double slow = reliable ? 1 : std::max(nodes_[from].slow, nodes_[to].slow);
    return Duration(static_cast<Duration::rep>(base * slow));
}

void Network::send(NodeId from, NodeId to, Kind kind, bool may_repeat, std::move_only_function<void()> fn) {
    ++stats_.sent;
    if (nodes_[from].silent) {
        return;
    }
    if (blocked(from, to)) {
        ++stats_.blocked;
        return;
    }
    struct Message {
        std::move_only_function<void()> fn;
    };
    const bool reliable = nodes_[from].reliable || nodes_[to].reliable;
    const bool lost = !reliable && faults.loss > 0 && random_.chance(faults.loss);
    const bool repeated = !reliable && may_repeat && faults.duplicate > 0 && random_.chance(faults.duplicate);
    const auto message = std::make_shared<Message>(std::move(fn));
    const auto post = [&] {
        scheduler_.after(latency(from, to), [this, from, to, kind, message] {
            ++stats_.delivered;
            trace_.add(static_cast<std::uint64_t>(scheduler_.now().time_since_epoch().count()));
            trace_.add(static_cast<std::uint64_t>(kind) << 56 | static_cast<std::uint64_t>(from) << 28 | to);
            message->fn();
        });
    };
    if (lost) {
        ++stats_.lost;
    } else {
        post();
    }
    if (repeated) {
        ++stats_.duplicated;
        post();
    }
}

api::ArtifactSink Network::early_to_caller(std::shared_ptr<CallBase> call, api::ArtifactSink sink) {
    if (!sink) {
        return nullptr;
    }
    return
        [this, call = std::move(call), sink = std::move(sink)](std::size_t index, const api::Artifact& told) {
            send(call->to, call->from, Kind::kEarly, false, [call, sink, index, told] {
                if (!call->is_over()) {
                    sink(index, told);
                }
            });
        };
}

api::ProgressSink Network::progress_to_caller(std::shared_ptr<CallBase> call, api::ProgressSink sink) {
    if (!sink) {
        return nullptr;
    }
    return [this, call = std::move(call), sink = std::move(sink)](const api::Progress& told) {
        send(call->to, call->from, Kind::kEarly, false, [call, sink, told] {
            if (!call->is_over()) {
                sink(told);
            }
        });
    };
}

void Network::stop_serving(CallBase& call) {
    for (const TaskSet::Id id : call.serving) {
        nodes_[call.to].tasks->cancel(id);
    }
}

void Network::abandon(const std::shared_ptr<CallBase>& call) {
    send(call->from, call->to, Kind::kReset, false, [this, call] { stop_serving(*call); });
}

void Network::take_down(NodeId id, bool silent) {
    Node& node = nodes_[id];
    FG_ASSERT(node.up);
    node.up = false;
    node.silent = silent;
    node.tasks->cancel_all();
    if (silent) {
        return;
    }
    // Peers see a reset for what they had under way; what the node itself had under way ends with its tasks.
    for (const auto& call : calls_) {
        if (call->to == id && !call->answered) {
            send(id, call->from, Kind::kReset, false, [call] {
                if (!call->abandoned) {
                    call->answer_error(make_error(Errc::kUnavailable, "the connection was reset"));
                }
            });
        }
    }
}

void Network::bring_up(NodeId id) {
    nodes_[id].up = true;
    nodes_[id].silent = false;
}

void Network::break_connections(NodeId a, NodeId b) {
    const auto between = [&](NodeId x, NodeId y) { return (x == a && y == b) || (x == b && y == a); };
    for (const auto& call : calls_) {
        if (between(call->from, call->to) && !call->answered && !nodes_[call->from].reliable) {
            call->answer_error(make_error(Errc::kUnavailable, "the connection broke"));
            stop_serving(*call);
        }
    }
    std::erase_if(streams_, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : streams_) {
        if (const auto link = weak.lock(); link && between(link->host, link->worker)) {
            end_stream(*link);
        }
    }
}

std::shared_ptr<StreamLink> Network::open_stream(CallBase& call, std::unique_ptr<api::TaskStream> stream) {
    auto link = std::make_shared<StreamLink>();
    link->host = call.to;
    link->worker = call.from;
    link->pump = nodes_[call.to].tasks->spawn(pump(link, std::move(stream)));
    call.serving.push_back(link->pump);  // a caller that went away meanwhile ends it
    if (streams_.size() >= streams_sweep_at_) {
        std::erase_if(streams_, [](const auto& weak) { return weak.expired(); });
        streams_sweep_at_ = std::max<std::size_t>(64, streams_.size() * 2);
    }
    streams_.push_back(link);
    keep_alive(link);
    return link;
}

// Tells the worker how its stream ended, whatever ended it.
Task<void> Network::pump(std::shared_ptr<StreamLink> link, std::unique_ptr<api::TaskStream> stream) {
    struct End {
        Network& network;
        std::shared_ptr<StreamLink> link;
        End(Network& n, std::shared_ptr<StreamLink> l) : network(n), link(std::move(l)) {}
        ~End() {
            link->host_open = false;
            network.send(link->host, link->worker, Kind::kStreamEnd, false, [ended = link] {
                ended->tasks.close();
            });
        }
        End(const End&) = delete;
        End& operator=(const End&) = delete;
    };
    const End end(*this, link);
    for (;;) {
        auto task = co_await stream->next();
        if (!task) {
            co_return;
        }
        send(link->host, link->worker, Kind::kTask, true, [link, item = std::move(*task)] {
            api::WorkerTask copy = item;
            (void)link->tasks.try_send(std::move(copy));
        });
    }
}

// Both ends notice within a keep-alive period that the other one is gone or out of reach.
void Network::keep_alive(std::shared_ptr<StreamLink> link) {
    scheduler_.after(kKeepAlive, [this, weak = std::weak_ptr(link)] {
        const auto held = weak.lock();
        if (!held || (!held->host_open && !held->worker_open)) {
            return;
        }
        if (!held->host_open || !held->worker_open || blocked(held->host, held->worker) ||
            blocked(held->worker, held->host)) {
            end_stream(*held);
            return;
        }
        keep_alive(held);
    });
}

void Network::end_stream(StreamLink& link) {
    link.tasks.close();
    nodes_[link.host].tasks->cancel(link.pump);
}

void Network::close_stream(std::shared_ptr<StreamLink> link) {
    link->worker_open = false;
    const NodeId from = link->worker;
    const NodeId to = link->host;
    send(from, to, Kind::kStreamEnd, false, [this, link = std::move(link)] { end_stream(*link); });
}

}  // namespace framegrid::sim
