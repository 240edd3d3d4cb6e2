#include <framegrid/gateway/job_run.hpp>

#include <framegrid/gateway/job_messages.hpp>
#include <framegrid/job/record_json.hpp>

namespace framegrid::gateway {

namespace {

constexpr std::size_t kToldMax = 32;  // events that wait to be kept; "progress" ones replace each other

bool can_wait(const Error& error) {
    return error.code == Errc::kCapacity || error.code == Errc::kUnavailable;
}

}  // namespace

JobRun::JobRun(
    const DeskPorts& ports, const DeskSettings& settings, job::Record record,
    std::shared_ptr<JobChannel> channel
)
    : ports_(ports), settings_(settings), record_(std::move(record)), channel_(std::move(channel)) {}

void JobRun::tell(std::string kind, std::string data, Blob preview) {
    if (kind == "verification") {
        verification_ = data;
    }
    ToldEvent told{{0, ports_.clock.unix_ms(), std::move(kind), std::move(data)}, std::move(preview)};
    if (!told_.empty() && told.event.kind == "progress" && told_.back().event.kind == "progress") {
        if (told.preview.empty()) {
            told.preview = std::move(told_.back().preview);
        }
        told_.back() = std::move(told);
    } else if (told_.size() < kToldMax) {
        told_.push_back(std::move(told));
    }
    something_told_.notify_all();
}

api::JobChange JobRun::change() const {
    api::JobChange out;
    out.claim = {record_.id, record_.lease_holder, record_.attempt};
    out.at_unix_ms = ports_.clock.unix_ms();
    return out;
}

// Until the store has it or says that the job is somebody else's. A full disk or a database that is away
// costs time only: what a job has made is not thrown away for that.
Task<bool> JobRun::apply(api::JobChange change, Blob preview) {
    for (auto& event : change.events) {
        event.number = ++record_.events;
    }
    for (;;) {
        const auto applied = co_await ports_.store.apply(change);
        if (applied) {
            if (!*applied) {
                lost_ = true;
                co_return false;
            }
            break;
        }
        ports_.log.warn(
            "gateway.job_not_kept", {{"job", record_.id},
                                     {"error", applied.error().message},
                                     {"trace", job::parse_trace_text(record_.trace).trace_id}}
        );
        co_await sleep_for(ports_.clock, kStoreRetry);
    }
    const bool over = change.state && job::is_final(*change.state);
    for (auto& event : change.events) {
        channel_->publish({std::move(event), preview}, over);
    }
    co_return true;
}

Task<void> JobRun::keep_now() {
    while (!told_.empty() && !lost_) {
        auto told = std::move(told_.front());
        told_.pop_front();
        auto next = change();
        next.events.push_back(std::move(told.event));
        co_await apply(std::move(next), std::move(told.preview));
    }
}

Task<Result<std::string>> JobRun::keep_told() {
    while (!done_) {
        if (told_.empty()) {
            co_await something_told_.wait();
            continue;
        }
        co_await keep_now();
        if (lost_) {
            canceller_.cancel();
            break;
        }
        co_await something_told_.wait_until(ports_.clock, ports_.clock.now() + settings_.progress_period);
    }
    co_return std::string{};
}

Task<Result<std::string>> JobRun::work() {
    const auto left = std::chrono::milliseconds(record_.deadline_unix_ms - ports_.clock.unix_ms());
    const auto tell = [this](std::string kind, std::string data, Blob preview) {
        this->tell(std::move(kind), std::move(data), std::move(preview));
    };
    Span span =
        ports_.tracer.start("gateway.durable_job", SpanKind::kConsumer, job::parse_trace_text(record_.trace));
    span.set("framegrid.job", record_.id);
    span.set("framegrid.kind", record_.kind);
    span.set("framegrid.attempt", record_.attempt);
    job::Record record = record_;
    record.trace = job::trace_text(span.context());
    const auto deadline = Deadline::after(ports_.clock, std::max<Duration>(left, Duration(0)));
    auto result = co_await canceller_.run(ports_.runner.run(std::move(record), tell, deadline));
    if (!result) {
        span.fail(result.error());
    }
    done_ = true;
    something_told_.notify_all();
    co_return result;
}

Task<RunEnd> JobRun::run() {
    if (record_.cancel_wanted) {
        canceller_.cancel();
    }
    if (record_.crashes >= settings_.crashes_max) {
        co_return co_await end(fail(make_error(
            Errc::kInternal, "the gateway went away " + std::to_string(record_.crashes) +
                                 " times while it ran this job, so it is not tried again"
        )));
    }
    if (record_.deadline_unix_ms <= ports_.clock.unix_ms()) {
        co_return co_await end(
            fail(make_error(Errc::kDeadline, "the job's deadline passed before its turn came"))
        );
    }
    std::vector<Task<Result<std::string>>> both;
    both.push_back(work());
    both.push_back(keep_told());
    auto results = co_await all_of(std::move(both));
    if (lost_) {
        co_return RunEnd::kLost;
    }
    co_return co_await end(std::move(results.front()));
}

Task<RunEnd> JobRun::end(Result<std::string> result) {
    co_await keep_now();
    if (lost_) {
        co_return RunEnd::kLost;
    }
    using job::State;
    if (result) {
        co_return co_await conclude(State::kSucceeded, "succeeded", "{}", std::move(*result));
    }
    if (handed_back_) {
        const auto why = make_error(Errc::kUnavailable, "the gateway stops; another process goes on with it");
        co_return co_await conclude(State::kQueued, "waiting", job::error_result(why), "");
    }
    if (canceller_.cancelled()) {
        co_return co_await conclude(State::kCancelled, "cancelled", "{}", "{}");
    }
    auto error = std::move(result.error());
    std::string described = job::error_result(error);
    const bool in_time = ports_.clock.unix_ms() < record_.deadline_unix_ms;
    if (can_wait(error) && in_time) {
        co_return co_await conclude(State::kQueued, "waiting", std::move(described), "");
    }
    co_return co_await conclude(State::kFailed, "failed", described, described);
}

Task<RunEnd> JobRun::conclude(job::State state, std::string kind, std::string data, std::string result) {
    auto last = change();
    last.events.push_back({0, last.at_unix_ms, std::move(kind), std::move(data)});
    last.state = state;
    const bool checked = !verification_.empty() && job::is_final(state);
    last.result = checked ? job::with_verification(result, verification_) : std::move(result);
    record_.state = state;
    record_.result = last.result;
    record_.finished_unix_ms = job::is_final(state) ? last.at_unix_ms : 0;
    if (job::is_final(state)) {
        last.delivery = message_of(record_, settings_, ports_.random);
    }
    if (!co_await apply(std::move(last), {})) {
        co_return RunEnd::kLost;
    }
    co_return job::is_final(state) ? RunEnd::kOver : RunEnd::kHandedBack;
}

}  // namespace framegrid::gateway
