#include <framegrid/sandbox/core.hpp>

#include <fcntl.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <framegrid/base/utf8.hpp>
#include <framegrid/sandbox/executor.hpp>
#include <framegrid/sandbox/hardening.hpp>
#include <framegrid/sandbox/shared_memory.hpp>

#include <fmt/format.h>

namespace framegrid::sandbox {

namespace {

constexpr std::size_t kSessionsPerChildMax = 64;
constexpr std::size_t kMissingToldMax = 64;
constexpr std::string_view kSaid = "sandbox.executor_said";
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

// The model's name of "pipeline model", for metrics: clients' words reach this.
std::string label_of(const std::string& model) {
    return valid_utf8(printable(std::string_view(model).substr(std::min(model.size(), model.find(' ') + 1))));
}

// The trace that a line of an executor's log names last; an executor's word.
std::string trace_in(std::string_view line) {
    constexpr std::size_t kDigits = 32;
    for (const std::string_view mark : {"trace=", "\"trace\":\""}) {
        const auto at = line.rfind(mark);
        const auto id = at == std::string_view::npos ? "" : line.substr(at + mark.size()).substr(0, kDigits);
        if (id.size() == kDigits && id.find_first_not_of("0123456789abcdef") == std::string_view::npos) {
            return std::string(id);
        }
    }
    return {};
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
    FG_ASSERT(settings_.share_max > 0 && settings_.share_max <= kSlotsMax);
    std::string& program = settings_.argv.front();
    if (program.find('/') != std::string::npos) {
        program = std::filesystem::absolute(program).string();  // the child starts in "/"
    }
}

void ExecutorPool::Core::warm_up() {
    warmed_up_ = true;
    start_missing();
}

bool ExecutorPool::Core::may_share(const api::Work& work) const {
    return settings_.share_max > 1 && std::holds_alternative<api::AiWork>(work.kind);
}

Result<std::shared_ptr<Ticket>> ExecutorPool::Core::enqueue(const api::Work& work, bool exclusive) {
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
    ticket->exclusive = exclusive;
    queue_.push_back(ticket);
    dispatch();
    start_missing();
    return ticket;
}

void ExecutorPool::Core::drop(const std::shared_ptr<Ticket>& ticket) {
    std::erase(queue_, ticket);
    const auto child = std::exchange(ticket->child, nullptr);
    const auto assignment = std::exchange(ticket->assignment, nullptr);
    if (!assignment) {
        return;
    }
    assignment->early = nullptr;
    assignment->progress = nullptr;
    assignment->wanted = false;
    Slot* slot = child->slot_of(assignment);
    if (slot == nullptr || child->state == Child::State::kDead) {
        return;
    }
    if (assignment->task != 0 && !assignment->answer) {
        ask_to_stop(child, assignment);
    } else {
        release(child, *slot);
    }
}

Result<void> ExecutorPool::Core::send_task(
    Ticket& ticket, RunMessage message, host::UniqueFd input, api::WorkEvents events
) {
    Child& child = *ticket.child;
    Assignment& assignment = *ticket.assignment;
    Slot* slot = child.slot_of(ticket.assignment);
    if (slot == nullptr) {
        return {};  // the child has died, and finished is fired
    }
    Parcel parcel;
    if (input) {
        parcel.descriptors.push_back(std::move(input));
    }
    host::UniqueFd output;
    if (!slot->output) {
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
    message.slot = static_cast<std::uint32_t>(slot - child.slots.data());
    FG_TRY(frame, encode(message));
    parcel.frame = std::move(frame);
    if (output) {
        slot->output = std::move(output);
    }
    assignment.task = message.task;
    assignment.trace = message.work.trace.trace_id;
    assignment.early =
        std::make_shared<api::EarlyArtifacts>(api::early_count(message.work), std::move(events.artifact));
    assignment.progress = std::move(events.progress);
    remember_session(child, message.work.session_id);
    if (!child.socket->send(std::move(parcel))) {
        kill(child, "did not read its messages");
    }
    return {};
}

Result<api::WorkOutput> ExecutorPool::Core::collect(Ticket& ticket) {
    Child& child = *ticket.child;
    Assignment& assignment = *ticket.assignment;
    if (!assignment.answer) {
        return fail(retry(fmt::format("the executor {} during the task", child.end_reason)));
    }
    const DoneMessage& done = *assignment.answer;
    if (!done.outcome) {
        ++stats_.tasks_failed;
        Error error = done.outcome.error();
        if (error.disposition != Disposition::kReject) {
            error.disposition = Disposition::kRetry;  // whatever it is, it is this executor's trouble
        }
        return fail(std::move(error));
    }
    Slot* slot = child.slot_of(ticket.assignment);
    auto mapped =
        slot != nullptr ? map_result(*slot, *done.outcome) : fail(Errc::kProtocol, "its memory is gone");
    if (!mapped) {
        ++stats_.tasks_crashed;
        kill(child, "sent a false result (" + mapped.error().message + ")");
        return fail(retry(fmt::format("the executor {}", child.end_reason)));
    }
    ++stats_.tasks_ok;
    api::WorkOutput output;
    output.decoded = done.outcome->decoded;
    output.ai = done.outcome->ai;
    for (const auto& entry : done.outcome->artifacts) {
        output.artifacts.push_back(entry.artifact);
        if (entry.region) {
            output.artifacts.back().bytes = mapped->slice(entry.region->offset, entry.region->size);
        }
    }
    if (assignment.early) {
        assignment.early->put_into(output);
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

Result<Blob> ExecutorPool::Core::map_result(Slot& slot, const OutputMessage& output) {
    const auto used = bytes_used(output, settings_.result_bytes_max);
    if (!used) {
        return fail(Errc::kProtocol, "a file outside its memory");
    }
    if (*used == 0) {
        return Blob();
    }
    const host::UniqueFd region = std::move(slot.output);
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
    constexpr int kTold = 20;  // which device and library it uses; a hostile file must not fill the log
    for (int lines = 0; true; ++lines) {
        auto line = co_await child->process.err()->next();
        if (!line) {
            co_return;
        }
        child->last_words = line->substr(0, 500);
        const Logger& log = core->ports_.log;
        const LogField pid("pid", child->process.pid());
        const LogField text("text", *line);
        // With several tasks inside, only the line itself can say which one it is about.
        const std::string told = trace_in(*line);
        const LogField trace("trace", told.empty() && child->tasks() == 1 ? child->traces() : told);
        const bool traced = !trace.value.empty();
        if (lines < kTold) {
            traced ? log.info(kSaid, {pid, text, trace}) : log.info(kSaid, {pid, text});
        } else {
            traced ? log.debug(kSaid, {pid, text, trace}) : log.debug(kSaid, {pid, text});
        }
    }
}

std::size_t ExecutorPool::Core::processes_needed() const {
    const auto alone = static_cast<std::size_t>(std::ranges::count(queue_, true, [](const auto& ticket) {
        return ticket->exclusive;
    }));
    const std::size_t sharing = count(&Child::is_shared);
    const std::size_t more = settings_.sharing_executors - std::min(sharing, settings_.sharing_executors);
    return count(&Child::is_busy) + alone + std::min(queue_.size() - alone, more);
}

void ExecutorPool::Core::start_missing() {
    if (stopping_) {
        return;
    }
    const std::size_t wanted =
        std::min(settings_.executors, std::max(warmed_up_ ? settings_.warm : 0, processes_needed()));
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
    if (const auto* progress = std::get_if<ProgressMessage>(&message)) {
        co_return on_progress(*child, *progress);
    }
    if (auto* done = std::get_if<DoneMessage>(&message)) {
        co_return on_done(child, std::move(*done));
    }
    if (auto* usage = std::get_if<UsageMessage>(&message)) {
        on_usage(*child, std::move(*usage));
        co_return true;
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
    child->state = Child::State::kReady;
    child->idle_since = ports_.clock.now();
    if (count(&Child::prepared) < settings_.prepared) {
        child->prepared = true;
        send(*child, PrepareMessage{});
    }
    dispatch();
    retire_idle();
}

// The child may still write to its memory, so this is the one place where a result is copied.
Task<bool> ExecutorPool::Core::on_early(std::shared_ptr<Child> child, EarlyMessage message) {
    const Slot* slot = child->slot_of(message.task);
    if (slot == nullptr) {
        co_return child->state == Child::State::kDead;
    }
    const auto region = message.entry.region;
    if (region && (!slot->output || !is_inside(*region, settings_.result_bytes_max))) {
        co_return false;
    }
    const auto assignment = slot->assignment;
    const auto early = assignment->early;
    if (!early || !early->wants(message.index) || (region && region->size > settings_.early_bytes_max)) {
        co_return true;
    }
    if (region) {
        const host::UniqueFd memory(::fcntl(slot->output.get(), F_DUPFD_CLOEXEC, 0));
        const auto copy = [&] { return copy_out(memory, region->offset, region->size); };
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
    if (assignment->early == early) {  // else nobody waits for it any more
        early->tell(message.index, message.entry.artifact);
    }
    co_return true;
}

bool ExecutorPool::Core::on_progress(Child& child, const ProgressMessage& message) {
    const Slot* slot = child.slot_of(message.task);
    if (slot == nullptr) {
        return child.state == Child::State::kDead;
    }
    if (const auto tell = slot->assignment->progress) {
        tell(message.progress);
    }
    return true;
}

void ExecutorPool::Core::on_usage(Child& child, UsageMessage message) {
    models_.take(child.use, message.use);
    child.use = std::move(message.use);
}

bool ExecutorPool::Core::on_done(const std::shared_ptr<Child>& child, DoneMessage message) {
    Slot* slot = child->slot_of(message.task);
    if (slot == nullptr || slot->assignment->answer) {
        return child->state == Child::State::kDead;
    }
    child->tasks_done += 1;
    child->retires =
        child->retires || message.retire || child->tasks_done >= settings_.tasks_per_executor_max;
    const auto assignment = slot->assignment;
    if (assignment->wanted) {
        assignment->answer = std::move(message);
        assignment->finished.fire();
        return true;
    }
    assignment->grace.cancel();
    if (uses_region(message)) {
        slot->output = {};
    }
    if (child->state != Child::State::kDead) {
        release(child, *slot);
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
    models_.forget(child->use);
    if (!child->was_ready && !stopping_) {
        std::string text = fmt::format("it {}", child->end_reason);
        if (!child->last_words.empty()) {
            text += fmt::format(" ({})", printable(child->last_words));
        }
        start_failed(make_error(Errc::kUnavailable, std::move(text)));
    } else if (!expected) {
        stats_.tasks_crashed += child->tasks();
        ports_.log.warn(
            "sandbox.executor_died", {{"pid", child->process.pid()},
                                      {"how", child->end_reason},
                                      {"last_words", child->last_words},
                                      {"trace", child->traces()}}
        );
    }
    const bool had_company = child->tasks() > 1;
    for (auto& slot : child->slots) {
        if (const auto assignment = std::exchange(slot.assignment, nullptr)) {
            assignment->had_company = had_company;
            assignment->finished.fire();
        }
    }
    start_missing();
}

// Tasks that want a process to themselves do not hold up those that can join others, nor the other way round.
void ExecutorPool::Core::dispatch() {
    for (std::size_t i = 0; i < queue_.size();) {
        const auto ticket = queue_[i];
        auto child = ticket->exclusive ? best_idle(*ticket) : best_shared(*ticket);
        if (!child) {
            ++i;
            continue;
        }
        queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i));
        assign(ticket, std::move(child));
    }
}

void ExecutorPool::Core::assign(const std::shared_ptr<Ticket>& ticket, std::shared_ptr<Child> child) {
    auto slot = std::ranges::find(child->slots, nullptr, &Slot::assignment);
    if (slot == child->slots.end()) {
        slot = child->slots.emplace(child->slots.end());
    }
    ticket->assignment = std::make_shared<Assignment>();
    ticket->assignment->exclusive = ticket->exclusive;
    ticket->assignment->model = label_of(ticket->model);
    slot->assignment = ticket->assignment;
    if (!ticket->model.empty()) {
        child->model = ticket->model;
    }
    ticket->child = std::move(child);
    ticket->turn.fire();
}

std::shared_ptr<Child> ExecutorPool::Core::best_idle(const Ticket& ticket) const {
    std::shared_ptr<Child> best;
    std::tuple<bool, bool, bool, TimePoint> best_score;
    for (const auto& child : children_) {
        if (!child->is_idle()) {
            continue;
        }
        const bool same_session =
            std::ranges::find(child->sessions, ticket.session_id) != child->sessions.end();
        // A transcode leaves the process that has models loaded to those who want them.
        const bool fits = ticket.model.empty() ? child->model.empty() : child->model == ticket.model;
        const bool prepared_for_it = child->prepared != ticket.model.empty();
        const std::tuple score(same_session, fits, prepared_for_it, child->idle_since);
        if (!best || score > best_score) {
            best = child;
            best_score = score;
        }
    }
    return best;
}

std::shared_ptr<Child> ExecutorPool::Core::best_shared(const Ticket& ticket) const {
    std::shared_ptr<Child> best;
    for (const auto& child : children_) {
        if (!child->is_shared() || child->retires || child->tasks() >= settings_.share_max) {
            continue;
        }
        if (!best || (child->model == ticket.model && best->model != ticket.model)) {
            best = child;
        }
    }
    return best || count(&Child::is_shared) >= settings_.sharing_executors ? best : best_idle(ticket);
}

// The slot's task is over.
void ExecutorPool::Core::release(const std::shared_ptr<Child>& child, Slot& slot) {
    slot.assignment = nullptr;
    if (child->tasks() == 0) {
        child->idle_since = ports_.clock.now();
        if (child->retires) {
            ++stats_.retired;
            kill(*child, "was replaced");
            start_missing();
            return;
        }
    }
    dispatch();
    retire_idle();
}

void ExecutorPool::Core::ask_to_stop(
    const std::shared_ptr<Child>& child, const std::shared_ptr<Assignment>& assignment
) {
    const Duration grace = child->tasks() > 1 ? settings_.shared_stop_grace : settings_.stop_grace;
    assignment->grace = ports_.clock.call_at(
        ports_.clock.now() + grace,
        [this, weak_child = std::weak_ptr(child), weak = std::weak_ptr(assignment)] {
            const auto late = weak_child.lock();
            const auto stopping = weak.lock();
            if (late && stopping && late->slot_of(stopping->task) != nullptr) {
                ports_.log.info(
                    "sandbox.executor_killed", {{"pid", late->process.pid()}, {"trace", stopping->trace}}
                );
                kill(*late, "did not stop its task");
                start_missing();
            }
        }
    );
    send(*child, CancelMessage{assignment->task});
}

void ExecutorPool::Core::kill(Child& child, std::string reason) {
    if (child.state != Child::State::kDead) {
        child.state = Child::State::kDead;
        child.end_reason = std::move(reason);
        child.timer.cancel();
        for (auto& slot : child.slots) {
            if (slot.assignment) {
                slot.assignment->grace.cancel();
            }
        }
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
    std::size_t surplus = count(&Child::is_idle);
    surplus -= std::min(surplus, settings_.warm);
    std::optional<TimePoint> next;
    for (const auto& child : children_) {
        if (surplus == 0 || !child->is_idle()) {
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

std::size_t ExecutorPool::Core::alive() const {
    return count([](const Child& child) { return child.state != Child::State::kDead; });
}

ExecutorStats ExecutorPool::Core::snapshot() const {
    ExecutorStats out = stats_;
    out.idle = count(&Child::is_idle);
    out.busy = count(&Child::is_busy);
    out.waiting = queue_.size();
    out.waiting_max = settings_.queue_max;
    return out;
}

ModelStats ExecutorPool::Core::models() const {
    ModelStats out = models_.totals();
    for (const auto& child : children_) {
        ModelBook::add_device(out, child->use);
        for (const auto& slot : child->slots) {
            if (slot.assignment && !slot.assignment->model.empty()) {
                ++out.tasks.at(slot.assignment->model).running;
            }
        }
    }
    for (const auto& ticket : queue_) {
        if (!ticket->model.empty()) {
            ++out.tasks.at(label_of(ticket->model)).waiting;
        }
    }
    return out;
}

}  // namespace framegrid::sandbox
