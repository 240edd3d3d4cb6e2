#include <sim/clients.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <framegrid/runtime/async.hpp>

namespace framegrid::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::int64_t kSegmentMs = 2000;
constexpr Duration kSegmentTime = 60s;  // a client's patience for one attempt
constexpr Duration kAiTime = 90s;
constexpr Duration kPauseMax = 4s;
constexpr Duration kMildMax = 20s;  // for a job in a mild run, crashes under it included

Task<Result<bool>> end_stream(gateway::Gateway& gateway, std::string manifest_id) {
    co_await gateway.end_stream(std::move(manifest_id));
    co_return true;
}

bool is_reject(Errc code) {
    return code == Errc::kInvalidArgument || code == Errc::kUnsupported || code == Errc::kUnprocessable ||
           code == Errc::kTooLarge;
}

// Errors that tell a client that trying again may help. Anything else means that the gateway is confused.
bool is_clear(Errc code) {
    return code == Errc::kUnavailable || code == Errc::kCapacity || code == Errc::kDeadline ||
           code == Errc::kProtocol;
}

}  // namespace

Clients::Clients(World& world) : world_(world), ai_needs_(job::ai_needs(job::Capability::kUpscale, kModel)) {
    draw_flows();
}

void Clients::draw_flows() {
    const std::uint32_t total = world_.settings.jobs;
    jobs_.reserve(total);
    while (jobs_.size() < total) {
        Flow flow;
        flow.id = static_cast<std::uint32_t>(flows_.size());
        flow.gateway = flow.id % world_.plan.gateways;
        flow.ai = flow.id / world_.plan.gateways % 4 == 3;
        flow.first = static_cast<std::uint32_t>(jobs_.size());
        flow.count = 8 + static_cast<std::uint32_t>(world_.random.below(flow.ai ? 12 : 40));
        flow.count = std::min(flow.count, total - flow.first);
        flow.window = 1 + static_cast<std::uint32_t>(world_.random.below(6));
        for (std::uint32_t seq = 0; seq < flow.count; ++seq) {
            Job job;
            job.flow = flow.id;
            job.seq = seq;
            job.poison = world_.random.chance(world_.plan.poison);
            job.cancelled = flow.ai && world_.random.chance(world_.plan.cancel);
            jobs_.push_back(job);
        }
        waiting_[{flow.gateway, flow.ai}].push_back(flow.id);
        flows_.push_back(flow);
    }
}

void Clients::start() {
    // Average windows are 3.5 jobs; the rest is each gateway's share of the slots.
    const auto flows_for = [&](std::int64_t slots) {
        const double wanted = world_.plan.load * static_cast<double>(slots) / 3.5 / world_.plan.gateways;
        return std::max(1, static_cast<int>(wanted));
    };
    for (std::uint32_t gateway = 0; gateway < world_.plan.gateways; ++gateway) {
        for (int i = 0; i < flows_for(world_.transcode_slots()); ++i) {
            start_next_flow(gateway, false);
        }
        for (int i = 0; i < flows_for(world_.ai_slots()); ++i) {
            start_next_flow(gateway, true);
        }
    }
}

void Clients::start_next_flow(std::uint32_t gateway, bool ai) {
    auto& waiting = waiting_[{gateway, ai}];
    if (waiting.empty()) {
        return;
    }
    const std::uint32_t flow = waiting.front();
    waiting.pop_front();
    ++flows_open_;
    feed(flow);
}

void Clients::feed(std::uint32_t id) {
    Flow& flow = flows_[id];
    while (flow.started < flow.count && flow.started - flow.ended < flow.window) {
        const std::uint32_t index = flow.first + flow.started++;
        Job& job = jobs_[index];
        job.state = State::kRunning;
        job.began = world_.scheduler.now();
        ++running_;
        TaskSet& tasks = *world_.network.node(world_.client).tasks;
        const TaskSet::Id task = tasks.spawn(run_job(index));
        if (job.cancelled) {
            const Duration wait(static_cast<Duration::rep>(world_.random.unit() * 3e9));
            world_.scheduler.after(wait, [this, &tasks, task, index] {
                if (jobs_[index].state == State::kRunning) {
                    tasks.cancel(task);
                    finish(index, State::kCancelled);
                }
            });
        }
    }
}

JobKey Clients::key_of(const Job& job) const {
    return {job.flow, job.seq, flows_[job.flow].ai, job.poison};
}

Task<void> Clients::run_job(std::uint32_t index) {
    Duration pause = 500ms;
    for (;;) {
        const std::uint32_t starts = world_.gateways[flows_[jobs_[index].flow].gateway].starts;
        Early early;
        auto result = co_await submit(index, early);
        if (result) {
            judge_early(index, *result, early);
        }
        if (judge(index, result, starts)) {
            co_return;
        }
        ++stats_.retries;
        co_await sleep_for(world_.scheduler.clock(), pause);
        pause = std::min(pause * 2, kPauseMax);
    }
}

// Every second stream takes its renditions as they are done.
api::ArtifactSink Clients::early_sink(std::uint32_t index, Early& early) {
    if (flows_[jobs_[index].flow].ai || jobs_[index].flow % 2 == 0) {
        return nullptr;
    }
    return [this, index, &early](std::size_t rendition, const api::Artifact& artifact) {
        ++stats_.early;
        if (!early.emplace(rendition, artifact.bytes).second) {
            world_.verdict.fail("early", fmt::format("job {}: rendition {} came twice", index, rendition));
        }
    };
}

// Every second AI flow wants to know how far its jobs are.
api::ProgressSink Clients::progress_sink(std::uint32_t index) {
    if (!flows_[jobs_[index].flow].ai || jobs_[index].flow % 2 == 0) {
        return nullptr;
    }
    return [this, index](const api::Progress& told) {
        ++stats_.progress;
        world_.verdict.expect(
            jobs_[index].state == State::kRunning && told.done >= 0 && told.done <= told.total, "progress",
            fmt::format("job {}: told of step {} of {}", index, told.done, told.total)
        );
    };
}

// What came early is what the result holds.
void Clients::judge_early(std::uint32_t index, const gateway::JobResult& result, const Early& early) {
    const auto& artifacts = result.output.artifacts;
    for (const auto& [rendition, bytes] : early) {
        world_.verdict.expect(
            rendition < artifacts.size() && artifacts[rendition].bytes.text() == bytes.text(), "early",
            fmt::format("job {}: rendition {} came early and is not in the result", index, rendition)
        );
    }
}

Task<Result<gateway::JobResult>> Clients::submit(std::uint32_t index, Early& early) {
    const Job& job = jobs_[index];
    const Flow& flow = flows_[job.flow];
    GatewayNode& node = world_.gateways[flow.gateway];
    gateway::JobRequest request;
    request.manifest_id = flow_name(flow.id);
    request.seq = job.seq;
    request.work = make_work(key_of(job), kSegmentMs);
    if (flow.ai) {
        request.needs = ai_needs_;
    } else {
        const auto& profiles = std::get<api::TranscodeWork>(request.work.kind).profiles;
        request.needs = job::transcode_needs(profiles, job::SourceCodec::kH264, false);
    }
    const Deadline deadline = Deadline::after(world_.scheduler.clock(), flow.ai ? kAiTime : kSegmentTime);
    // The gateway keeps the deadline itself; past the slack it has failed to.
    const Deadline slack{deadline.at + 2s};
    Network::Start<gateway::JobResult> start = [this, &node, request = std::move(request), deadline,
                                                sink = early_sink(index, early),
                                                steps = progress_sink(index)](const auto& call) {
        gateway::JobRequest sent = request;
        sent.early = world_.network.early_to_caller(call, sink);
        sent.progress = world_.network.progress_to_caller(call, steps);
        return node.role->run(std::move(sent), deadline);
    };
    return world_.network.call<gateway::JobResult>(
        world_.client, node.id, Kind::kJob, slack, std::move(start)
    );
}

bool Clients::judge(
    std::uint32_t index, const Result<gateway::JobResult>& result, std::uint32_t gateway_starts
) {
    const Job& job = jobs_[index];
    const JobKey key = key_of(job);
    world_.trace.add({0x0b0b, index, result ? 100u : static_cast<std::uint64_t>(result.error().code)});
    if (!result) {
        return judge_error(index, result.error(), gateway_starts);
    }
    if (job.poison) {
        world_.verdict.fail(
            "poison", fmt::format("flow {} seq {} is not media, but got a result", job.flow, job.seq)
        );
    }
    if (const std::string wrong = check_output(key, result->output); !wrong.empty()) {
        world_.verdict.fail("content", fmt::format("flow {} seq {}: {}", job.flow, job.seq, wrong));
    }
    stats_.attempts += static_cast<std::uint64_t>(result->attempts);
    finish(index, State::kDone);
    return true;
}

bool Clients::judge_error(std::uint32_t index, const Error& error, std::uint32_t gateway_starts) {
    const Job& job = jobs_[index];
    const GatewayNode& gateway = world_.gateways[flows_[job.flow].gateway];
    const std::string what =
        fmt::format("flow {} seq {}: {}: {}", job.flow, job.seq, to_string(error.code), error.message);
    if (is_reject(error.code)) {
        world_.verdict.expect(job.poison, "reject", "good input was refused: " + what);
        finish(index, job.poison ? State::kRejected : State::kDone);
        return true;
    }
    world_.verdict.expect(is_clear(error.code), "clear errors", what);
    world_.verdict.expect(!error.message.empty(), "clear errors", "no text: " + what);
    const bool gateway_stayed = gateway.starts == gateway_starts && world_.is_up(gateway.id);
    if (error.message == kNoAnswer && gateway_stayed && !world_.network.node(gateway.id).silent) {
        world_.verdict.fail("answers in time", what);
    }
    if (world_.plan.mild && !job.poison) {
        world_.verdict.fail("failover", "a client saw what the gateway should have hidden: " + what);
    }
    ++stats_.errors[std::string(to_string(error.code))];
    ++jobs_[index].errors;
    jobs_[index].last_error = error.message;
    return false;
}

void Clients::finish(std::uint32_t index, State state) {
    Job& job = jobs_[index];
    Flow& flow = flows_[job.flow];
    if (++job.answers != 1) {
        world_.verdict.fail(
            "exactly once", fmt::format("flow {} seq {} ended {} times", job.flow, job.seq, job.answers)
        );
        return;
    }
    job.state = state;
    ++(state == State::kDone ? stats_.done : state == State::kRejected ? stats_.rejected : stats_.cancelled);
    const Duration took = world_.scheduler.now() - job.began;
    stats_.slowest = std::max(stats_.slowest, took);
    if (world_.plan.mild && took > kMildMax) {
        world_.verdict.fail(
            "failover",
            fmt::format("flow {} seq {} took {} s", job.flow, job.seq, took.count() / 1'000'000'000)
        );
    }
    --running_;
    ++ended_;
    ++flow.ended;
    release(flow);
    if (flow.ended < flow.count) {
        feed(flow.id);
    } else {
        world_.network.node(world_.client).tasks->spawn(end_flow(flow.id));
    }
}

// The player takes what is there without a hole.
void Clients::release(Flow& flow) {
    while (flow.released < flow.count) {
        const Job& next = jobs_[flow.first + flow.released];
        if (next.state == State::kWaiting || next.state == State::kRunning) {
            break;
        }
        world_.verdict.expect(
            next.seq == flow.released, "order", fmt::format("flow {} seq {}", flow.id, next.seq)
        );
        ++flow.released;
    }
}

Task<void> Clients::end_flow(std::uint32_t id) {
    Flow& flow = flows_[id];
    flow.over = true;
    GatewayNode& node = world_.gateways[flow.gateway];
    Network::Start<bool> start = [&node, id](const auto&) { return end_stream(*node.role, flow_name(id)); };
    const Deadline deadline = Deadline::after(world_.scheduler.clock(), 30s);
    auto ended = co_await world_.network.call<bool>(
        world_.client, node.id, Kind::kEndStream, deadline, std::move(start)
    );
    (void)ended;  // a hint: idle streams end by themselves
    --flows_open_;
    start_next_flow(flows_[id].gateway, flows_[id].ai);
}

std::string Clients::describe(const Job& job) const {
    const Flow& flow = flows_[job.flow];
    std::string state = "not started";
    if (job.state == State::kRunning) {
        const std::chrono::duration<double> age = world_.scheduler.now() - job.began;
        state = fmt::format("running for {:.0f} s, {} errors", age.count(), job.errors);
        state += job.errors > 0 ? ", the last one: " + job.last_error : "";
    }
    return fmt::format(
        "flow {} seq {} ({} at gateway {}): {}", job.flow, job.seq, flow.ai ? "AI" : "segment", flow.gateway,
        state
    );
}

void Clients::check_finished() {
    std::uint64_t open = 0;
    for (const Job& job : jobs_) {
        if (job.answers == 1) {
            continue;
        }
        if (++open <= 3) {
            world_.verdict.fail("liveness", "has not ended: " + describe(job));
        }
    }
    if (open > 3) {
        world_.verdict.fail("liveness", fmt::format("{} jobs have not ended", open));
    }
    for (const Flow& flow : flows_) {
        if (flow.released != flow.count && open == 0) {
            world_.verdict.fail(
                "order", fmt::format("flow {} stopped at {} of {}", flow.id, flow.released, flow.count)
            );
        }
    }
}

}  // namespace framegrid::sim
