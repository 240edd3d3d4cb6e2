#include <framegrid/sandbox/core.hpp>

#include <fcntl.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <framegrid/sandbox/executor.hpp>
#include <framegrid/sandbox/hardening.hpp>
#include <framegrid/sandbox/shared_memory.hpp>

#include <fmt/format.h>

namespace framegrid::sandbox {

namespace {

constexpr std::size_t kSessionsPerChildMax = 64;
constexpr std::size_t kMissingToldMax = 64;
constexpr Duration kBackOffMin = std::chrono::milliseconds(100);
constexpr Duration kBackOffMax = std::chrono::seconds(30);

std::vector<std::string> environment(std::vector<std::string> names) {
    if constexpr (is_sanitized()) {
        names.insert(names.end(), {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"});
    }
    std::vector<std::string> out;
    for (const auto& name : names) {
        if (const char* value = std::getenv(name.c_str())) {
            out.push_back(name + "=" + value);
        }
    }
    return out;
}

Error retry(std::string message) {
    return make_error(Errc::kUnavailable, std::move(message)).with_disposition(Disposition::kRetry);
}

std::string model_of(const api::Work& work) {
    const auto* ai = std::get_if<api::AiWork>(&work.kind);
    return ai != nullptr ? ai->pipeline + " " + ai->model_id : std::string();
}

bool is_inside(const Region& region, std::uint64_t limit) {
    return region.size <= limit && region.offset <= limit - region.size;
}

// The end of the last region. nullopt: a region outside `limit`.
std::optional<std::uint64_t> bytes_used(const OutputMessage& output, std::uint64_t limit) {
    std::uint64_t used = 0;
    for (const auto& entry : output.artifacts) {
        if (!entry.region) {
            continue;
        }
        if (!is_inside(*entry.region, limit)) {
            return std::nullopt;
        }
        used = std::max(used, entry.region->offset + entry.region->size);
    }
    return used;
}

bool uses_region(const DoneMessage& message) {
    return message.outcome && std::ranges::any_of(message.outcome->artifacts, [](const auto& a) {
               return a.region.has_value();
           });
}

}  // namespace

ExecutorPool::Core::Core(ExecutorPorts ports, ExecutorSettings settings)
    : ports_(std::move(ports)),
      settings_(std::move(settings)),
      // Two tasks for each process; those that were killed are still watched for a moment.
      group_(ports_.executor, settings_.executors * 8 + 16, ports_.log) {
    FG_ASSERT(settings_.executors > 0 && !settings_.argv.empty());
    std::string& program = settings_.argv.front();
    if (program.find('/') != std::string::npos) {
        program = std::filesystem::absolute(program).string();  // the child starts in "/"
    }
}

void ExecutorPool::Core::warm_up() {
    warmed_up_ = true;
    start_missing();
}

Result<std::shared_ptr<Ticket>> ExecutorPool::Core::enqueue(const api::Work& work) {
    if (stopping_) {
        return fail(retry("the executors are being stopped"));
    }
    if (queue_.size() >= settings_.queue_max) {
        ++stats_.tasks_refused;
        return fail(Errc::kCapacity, fmt::format("{} tasks wait for an executor already", queue_.size()));
    }
    auto ticket = std::make_shared<Ticket>();
    ticket->session_id = work.session_id;
    ticket->model = model_of(work);
    queue_.push_back(ticket);
    dispatch();
    start_missing();
    return ticket;
}

void ExecutorPool::Core::drop(const std::shared_ptr<Ticket>& ticket) {
    std::erase(queue_, ticket);
    const auto child = std::exchange(ticket->child, nullptr);
    if (child) {
        child->early = nullptr;
    }
    if (!child || child->state == Child::State::kDead) {
        return;
    }
    if (child->task != 0) {
        ask_to_stop(child);
    } else {
        make_idle(child);
    }
}

Result<void> ExecutorPool::Core::send_task(
    Child& child, RunMessage message, host::UniqueFd input, api::ArtifactSink early
) {
    Parcel parcel;
    if (input) {
        parcel.descriptors.push_back(std::move(input));
    }
    host::UniqueFd output;
    if (!child.output) {
        FG_TRY(region, make_output_region(settings_.result_bytes_max));
        host::UniqueFd copy(::fcntl(region.get(), F_DUPFD_CLOEXEC, 0));
        if (!copy) {
            return fail(host::system_error("cannot share memory with an executor", errno));
        }
        parcel.descriptors.push_back(std::move(copy));
        message.output_shared = settings_.result_bytes_max;
        output = std::move(region);
    }
    message.task = ++last_task_;
    FG_TRY(frame, encode(message));
    parcel.frame = std::move(frame);
    if (output) {
        child.output = std::move(output);
    }
    child.task = message.task;
    child.early = std::make_shared<api::EarlyArtifacts>(api::early_count(message.work), std::move(early));
    remember_session(child, message.work.session_id);
    if (auto model = model_of(message.work); !model.empty()) {
        child.model = std::move(model);
    }
    if (!child.socket->send(std::move(parcel))) {
        kill(child, "did not read its messages");
    }
    return {};
}

Result<api::WorkOutput> ExecutorPool::Core::collect(Child& child) {
    if (!child.answer) {
        return fail(retry(fmt::format("the executor {} during the task", child.end_reason)));
    }
    DoneMessage done = std::move(*child.answer);
    child.answer.reset();
    if (!done.outcome) {
        ++stats_.tasks_failed;
        Error error = std::move(done.outcome.error());
        if (error.disposition != Disposition::kReject) {
            error.disposition = Disposition::kRetry;  // whatever it is, it is this executor's trouble
        }
        return fail(std::move(error));
    }
    auto mapped = map_result(child, *done.outcome);
    if (!mapped) {
        ++stats_.tasks_crashed;
        kill(child, "sent a false result (" + mapped.error().message + ")");
        return fail(retry(fmt::format("the executor {}", child.end_reason)));
    }
    ++stats_.tasks_ok;
    api::WorkOutput output;
    output.decoded = done.outcome->decoded;
    output.ai = std::move(done.outcome->ai);
    for (auto& entry : done.outcome->artifacts) {
        if (entry.region) {
            entry.artifact.bytes = mapped->slice(entry.region->offset, entry.region->size);
        }
        output.artifacts.push_back(std::move(entry.artifact));
    }
    if (child.early) {
        child.early->put_into(output);
    }
    return output;
}

void ExecutorPool::Core::end_session(const std::string& session_id) {
    for (const auto& child : children_) {
        if (std::erase(child->sessions, session_id) > 0 && child->state != Child::State::kDead) {
            send(*child, EndSessionMessage{session_id});
        }
    }
}

Result<Blob> ExecutorPool::Core::map_result(Child& child, const OutputMessage& output) {
    const auto used = bytes_used(output, settings_.result_bytes_max);
    if (!used) {
        return fail(Errc::kProtocol, "a file outside its memory");
    }
    if (*used == 0) {
        return Blob();
    }
    const host::UniqueFd region = std::move(child.output);
    return seal_and_map(region, *used);
}

Task<void> ExecutorPool::Core::stop() {
    const auto self = shared_from_this();
    stopping_ = true;
    start_timer_.cancel();
    idle_timer_.cancel();
    for (const auto& ticket : std::exchange(queue_, {})) {
        ticket->error = retry("the executors are being stopped");
        ticket->turn.fire();
    }
    const auto children = children_;
    for (const auto& child : children) {
        kill(*child, "was stopped");
    }
    co_await group_.join();
}

Task<void> ExecutorPool::Core::watch(std::shared_ptr<Core> core, std::shared_ptr<Child> child) {
    std::string misconduct;
    while (misconduct.empty()) {
        auto message = co_await child->socket->receive();
        if (!message) {
            if (message.error().code == Errc::kProtocol) {
                misconduct = fmt::format("sent garbage ({})", message.error().message);
            }
            break;
        }
        if (!co_await core->handle(child, std::move(*message))) {
            misconduct = "sent a message out of turn";
        }
    }
    child->process.signal(SIGKILL, true);
    const host::ExitStatus status = co_await child->process.wait();
    core->on_gone(child, status, misconduct);
}

Task<void> ExecutorPool::Core::listen(std::shared_ptr<Core> core, std::shared_ptr<Child> child) {
    while (true) {
        auto line = co_await child->process.err()->next();
        if (!line) {
            co_return;
        }
        child->last_words = line->substr(0, 500);
        core->ports_.log.debug("sandbox.executor_said", {{"pid", child->process.pid()}, {"text", *line}});
    }
}

void ExecutorPool::Core::start_missing() {
    if (stopping_) {
        return;
    }
    const std::size_t needed = count(Child::State::kBusy) + count(Child::State::kStopping) + queue_.size();
    const std::size_t wanted =
        std::min(settings_.executors, std::max(warmed_up_ ? settings_.warm : 0, needed));
    while (alive() < wanted) {
        if (ports_.clock.now() < start_again_at_) {
            if (alive() == 0) {
                for (const auto& ticket : std::exchange(queue_, {})) {
                    ticket->error = *start_error_;
                    ticket->turn.fire();
                }
            }
            start_timer_ = ports_.clock.call_at(start_again_at_, [this] { start_missing(); });
            return;
        }
        if (auto started = start_one(); !started) {
            start_failed(started.error());
        }
    }
}

Result<void> ExecutorPool::Core::start_one() {
    FG_TRY(pair, make_socket_pair());
    host::SpawnOptions options;
    options.argv = settings_.argv;
    options.env = environment(settings_.env_allowed);
    options.fds = {{kExecutorFd, pair.theirs.get()}};
    options.out.kind = host::Output::Kind::kNull;
    options.err.kind = host::Output::Kind::kPipe;
    options.working_dir = "/";
    FG_TRY(process, host::ChildProcess::start(ports_.executor, std::move(options)));
    auto socket = std::make_shared<ChildSocket>(ports_.executor, std::move(pair.ours));
    const auto child = std::make_shared<Child>(std::move(process), std::move(socket));
    child->timer =
        ports_.clock.call_at(ports_.clock.now() + settings_.startup_max, [this, weak = std::weak_ptr(child)] {
            if (const auto late = weak.lock()) {
                kill(*late, "was not ready in time");
            }
        });
    const auto self = shared_from_this();
    if (!group_.spawn(watch(self, child)) || !group_.spawn(listen(self, child))) {
        kill(*child, "cannot be watched");
        return fail(Errc::kCapacity, "too many executors are ending");
    }
    children_.push_back(child);
    ++stats_.started;
    ports_.log.debug("sandbox.executor_started", {{"pid", child->process.pid()}});
    send(*child, SetupMessage{settings_.memory_bytes_max, settings_.gpu, settings_.readable});
    return {};
}

void ExecutorPool::Core::start_failed(const Error& error) {
    ++stats_.start_failures;
    const auto doublings = std::min<std::uint32_t>(failed_starts_++, 16);
    start_again_at_ = ports_.clock.now() + std::min(kBackOffMin * (1U << doublings), kBackOffMax);
    start_error_ = retry("no executor can be started: " + error.message);
    ports_.log.warn(
        "sandbox.start_failed",
        {{"program", settings_.argv.front()}, {"error", error.message}, {"in_a_row", failed_starts_}}
    );
}

Task<bool> ExecutorPool::Core::handle(std::shared_ptr<Child> child, Message message) {
    if (const auto* ready = std::get_if<ReadyMessage>(&message); ready != nullptr && !child->was_ready) {
        on_ready(child, *ready);
        co_return true;
    }
    if (auto* early = std::get_if<EarlyMessage>(&message)) {
        co_return co_await on_early(child, std::move(*early));
    }
    if (auto* done = std::get_if<DoneMessage>(&message)) {
        co_return on_done(child, std::move(*done));
    }
    co_return false;
}

void ExecutorPool::Core::on_ready(const std::shared_ptr<Child>& child, const ReadyMessage& message) {
    child->was_ready = true;
    child->timer.cancel();
    failed_starts_ = 0;
    for (const auto& what : message.missing) {
        if (told_missing_.size() < kMissingToldMax && told_missing_.insert(what).second) {
            ports_.log.warn("sandbox.protection_missing", {{"what", what}});
        }
    }
    make_idle(child);
}

// The child may still write to its memory, so this is the one place where a result is copied.
Task<bool> ExecutorPool::Core::on_early(std::shared_ptr<Child> child, EarlyMessage message) {
    if (child->task == 0 || message.task != child->task) {
        co_return child->state == Child::State::kDead;
    }
    const auto region = message.entry.region;
    if (region && (!child->output || !is_inside(*region, settings_.result_bytes_max))) {
        co_return false;
    }
    const auto early = child->early;
    if (!early || !early->wants(message.index) || (region && region->size > settings_.early_bytes_max)) {
        co_return true;
    }
    if (region) {
        const auto copy = [child, region] { return copy_out(child->output, region->offset, region->size); };
        Result<Blob> bytes = Blob();
        if (region->size >= kCopyOnPoolMin) {
            bytes = co_await offload(ports_.pool, copy);
        } else {
            bytes = copy();
        }
        if (!bytes) {
            co_return false;
        }
        message.entry.artifact.bytes = std::move(*bytes);
    }
    if (child->early == early) {  // else nobody waits for it any more
        early->tell(message.index, message.entry.artifact);
    }
    co_return true;
}

bool ExecutorPool::Core::on_done(const std::shared_ptr<Child>& child, DoneMessage message) {
    if (child->task == 0 || message.task != child->task) {
        return child->state == Child::State::kDead;
    }
    child->task = 0;
    child->tasks_done += 1;
    if (message.retire) {
        child->tasks_done = settings_.tasks_per_executor_max;
    }
    if (child->state == Child::State::kBusy) {
        child->answer = std::move(message);
        child->finished.fire();
    } else if (child->state == Child::State::kStopping) {
        child->timer.cancel();
        if (uses_region(message)) {
            child->output = {};
        }
        make_idle(child);
    }
    return true;
}

void ExecutorPool::Core::on_gone(
    const std::shared_ptr<Child>& child, const host::ExitStatus& status, const std::string& misconduct
) {
    const bool expected = child->state == Child::State::kDead;
    if (!expected) {
        kill(*child, misconduct.empty() ? status.describe() : misconduct);
    }
    children_.remove(child);
    if (!child->was_ready && !stopping_) {
        std::string text = fmt::format("it {}", child->end_reason);
        if (!child->last_words.empty()) {
            text += fmt::format(" ({})", printable(child->last_words));
        }
        start_failed(make_error(Errc::kUnavailable, std::move(text)));
    } else if (!expected) {
        stats_.tasks_crashed += child->task != 0 ? 1 : 0;
        ports_.log.warn(
            "sandbox.executor_died",
            {{"pid", child->process.pid()}, {"how", child->end_reason}, {"last_words", child->last_words}}
        );
    }
    child->task = 0;
    child->finished.fire();
    start_missing();
}

void ExecutorPool::Core::dispatch() {
    while (!queue_.empty()) {
        auto child = best_idle(*queue_.front());
        if (!child) {
            return;
        }
        const auto ticket = queue_.front();
        queue_.pop_front();
        child->state = Child::State::kBusy;
        child->finished = OneShot();
        child->answer.reset();
        ticket->child = std::move(child);
        ticket->turn.fire();
    }
}

std::shared_ptr<Child> ExecutorPool::Core::best_idle(const Ticket& ticket) const {
    std::shared_ptr<Child> best;
    std::pair<int, TimePoint> best_score;
    for (const auto& child : children_) {
        if (child->state != Child::State::kIdle) {
            continue;
        }
        const bool same_session =
            std::ranges::find(child->sessions, ticket.session_id) != child->sessions.end();
        const bool same_model = !ticket.model.empty() && child->model == ticket.model;
        const std::pair score((same_session ? 2 : 0) + (same_model ? 1 : 0), child->idle_since);
        if (!best || score > best_score) {
            best = child;
            best_score = score;
        }
    }
    return best;
}

void ExecutorPool::Core::make_idle(const std::shared_ptr<Child>& child) {
    if (child->state == Child::State::kDead) {
        return;
    }
    if (child->tasks_done >= settings_.tasks_per_executor_max) {
        ++stats_.retired;
        kill(*child, "was replaced");
        start_missing();
        return;
    }
    child->state = Child::State::kIdle;
    child->idle_since = ports_.clock.now();
    dispatch();
    retire_idle();
}

void ExecutorPool::Core::ask_to_stop(const std::shared_ptr<Child>& child) {
    child->state = Child::State::kStopping;
    child->timer =
        ports_.clock.call_at(ports_.clock.now() + settings_.stop_grace, [this, weak = std::weak_ptr(child)] {
            if (const auto late = weak.lock()) {
                ports_.log.info("sandbox.executor_killed", {{"pid", late->process.pid()}});
                kill(*late, "did not stop its task");
                start_missing();
            }
        });
    send(*child, CancelMessage{child->task});
}

void ExecutorPool::Core::kill(Child& child, std::string reason) {
    if (child.state != Child::State::kDead) {
        child.state = Child::State::kDead;
        child.end_reason = std::move(reason);
        child.timer.cancel();
        child.process.signal(SIGKILL, true);
    }
}

void ExecutorPool::Core::send(Child& child, const Message& message) {
    auto frame = encode(message);
    if (!frame || !child.socket->send({std::move(*frame), {}})) {
        kill(child, "did not read its messages");
    }
}

void ExecutorPool::Core::remember_session(Child& child, const std::string& session_id) {
    if (session_id.empty()) {
        return;
    }
    std::erase(child.sessions, session_id);
    child.sessions.push_back(session_id);
    if (child.sessions.size() > kSessionsPerChildMax) {
        send(child, EndSessionMessage{child.sessions.front()});
        child.sessions.pop_front();
    }
}

void ExecutorPool::Core::retire_idle() {
    const TimePoint now = ports_.clock.now();
    std::size_t surplus = count(Child::State::kIdle);
    surplus -= std::min(surplus, settings_.warm);
    std::optional<TimePoint> next;
    for (const auto& child : children_) {
        if (surplus == 0 || child->state != Child::State::kIdle) {
            continue;
        }
        --surplus;
        if (now - child->idle_since >= settings_.idle_max) {
            ++stats_.retired;
            kill(*child, "was not needed");
        } else {
            next = std::min(next.value_or(TimePoint::max()), child->idle_since + settings_.idle_max);
        }
    }
    idle_timer_ = next ? ports_.clock.call_at(*next, [this] { retire_idle(); }) : Timer();
}

std::size_t ExecutorPool::Core::count(Child::State state) const {
    return static_cast<std::size_t>(std::ranges::count(children_, state, [](const auto& c) {
        return c->state;
    }));
}

std::size_t ExecutorPool::Core::alive() const {
    return children_.size() - count(Child::State::kDead);
}

ExecutorStats ExecutorPool::Core::snapshot() const {
    ExecutorStats out = stats_;
    out.idle = count(Child::State::kIdle);
    out.busy = count(Child::State::kBusy) + count(Child::State::kStopping);
    out.waiting = queue_.size();
    out.waiting_max = settings_.queue_max;
    return out;
}

}  // namespace framegrid::sandbox
