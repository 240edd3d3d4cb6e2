#include <framegrid/gateway/job_desk.hpp>

#include <map>

#include <framegrid/base/counted.hpp>
#include <framegrid/gateway/job_messages.hpp>
#include <framegrid/gateway/job_run.hpp>
#include <framegrid/job/fair_queue.hpp>
#include <framegrid/job/service_rate.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::gateway {

namespace {

constexpr std::size_t kPage = 1'000;  // records read from the store at once
constexpr std::size_t kPagesAtStart = 1'000;
constexpr std::size_t kPagesPerLook = 4;
constexpr std::size_t kEventsPage = 200;
constexpr std::size_t kForgottenAtOnce = 500;
constexpr Duration kForgetPeriod = std::chrono::minutes(1);
constexpr Duration kForeignWait = std::chrono::seconds(30);
constexpr Duration kHandBackTimeMax = std::chrono::seconds(5);

class Desk final : public JobDesk {
  public:
    Desk(DeskPorts ports, DeskSettings settings)
        : ports_(std::move(ports)), settings_(std::move(settings)), messages_(ports_, settings_) {}

    Task<Result<bool>> serve() override;
    Task<Result<api::Submitted>> submit(NewJob job) override;
    Task<Result<job::Record>> cancel(std::string id) override;
    std::optional<QueuePlace> place_of(const std::string& id) const override;
    std::shared_ptr<JobChannel> listen(const std::string& id) override { return feed_.channel_of(id); }
    Task<Result<std::vector<ToldEvent>>> events_after(
        std::string id, std::shared_ptr<JobChannel> channel, std::uint64_t number, TimePoint until
    ) override;
    Task<void> drain(TimePoint until) override;
    bool draining() const override { return draining_; }
    DeskStats stats() const override;

  private:
    QueuePlace place(std::size_t ahead) const;
    OwnerLimits limits_of(const std::string& owner) const;
    Result<void> admit(const NewJob& job, std::int64_t deadline_ms) const;
    Task<Result<api::Submitted>> keep(NewJob job);
    job::Record record_of(NewJob job) const;
    void enqueue(const job::Record& record);
    void begin(TaskGroup& running);
    Task<void> run_one(job::FairQueue::Entry entry);
    Task<RunEnd> run_claimed(job::Record record, TimePoint lease_end);
    void put_back(job::FairQueue::Entry entry);
    Task<Result<bool>> dispatch(TaskGroup& running);
    Task<Result<bool>> look_for_waiting();
    Task<Result<bool>> take_waiting(std::size_t pages);
    Task<Result<bool>> renew_leases();
    Task<Result<bool>> renew(api::Claim claim);
    Task<Result<bool>> hear_others();
    Task<void> hear_of(std::string id);
    void drop(const std::string& id);
    Task<Result<bool>> forget_old();
    Task<void> wait_until_idle(TimePoint until);

    DeskPorts ports_;
    DeskSettings settings_;
    JobFeed feed_;
    JobMessages messages_;
    std::unordered_map<std::string, std::size_t> submitting_;  // by owner: on their way into the store
    job::FairQueue queue_;
    job::ServiceRate rate_;
    std::multimap<TimePoint, job::FairQueue::Entry> later_;  // until they may be tried again
    std::unordered_map<std::string, Duration> retries_;      // of jobs that nobody could do so far
    std::unordered_map<std::string, JobRun*> running_;
    bool draining_ = false;
    std::size_t busy_ = 0;      // jobs from before their claims to after their last changes
    std::string looked_until_;  // take_waiting() goes on after this job
    Notifier changed_;
    DeskStats stats_;
};

QueuePlace Desk::place(std::size_t ahead) const {
    return {ahead, rate_.time_for(ahead + 1)};
}

std::optional<QueuePlace> Desk::place_of(const std::string& id) const {
    const auto ahead = queue_.ahead_of(id);
    return ahead ? std::optional(place(*ahead)) : std::nullopt;
}

OwnerLimits Desk::limits_of(const std::string& owner) const {
    OwnerLimits out = ports_.limits_of ? ports_.limits_of(owner) : OwnerLimits{};
    out.running_max = std::min(
        settings_.running_of_owner_max, out.running_max == 0 ? settings_.running_max : out.running_max
    );
    out.queued_max =
        std::min(settings_.queued_of_owner_max, out.queued_max == 0 ? settings_.queued_max : out.queued_max);
    return out;
}

Result<void> Desk::admit(const NewJob& job, std::int64_t deadline_ms) const {
    if (draining_) {
        return fail(Errc::kUnavailable, "this gateway stops; send the job again in a moment");
    }
    if (queue_.size() + later_.size() >= settings_.queued_max) {
        return fail(Errc::kCapacity, "the queue is full; try again later");
    }
    const auto limits = limits_of(job.owner);
    const auto queued_max =
        job.queued_max == 0 ? limits.queued_max : std::min(limits.queued_max, job.queued_max);
    const auto arriving = submitting_.find(job.owner);
    const auto waiting = queue_.size_of(job.owner) + (arriving == submitting_.end() ? 0 : arriving->second);
    if (waiting >= queued_max) {
        return fail(
            Errc::kCapacity, "you have as many jobs in the queue as you may; wait for some to end",
            "queued_jobs"
        );
    }
    const auto ahead = queue_.ahead_of_new(job.owner, job.priority, limits.weight);
    const auto wait = rate_.time_for(ahead);
    if (ahead > 0 && wait && milliseconds(*wait) > deadline_ms) {
        return fail(
            Errc::kCapacity,
            "about " + std::to_string(ahead) +
                " jobs come before this one and its deadline would pass first; "
                "try later, or with a later deadline",
            "deadline_ms"
        );
    }
    return {};
}

job::Record Desk::record_of(NewJob job) const {
    job::Record out;
    out.created_unix_ms = ports_.clock.unix_ms();
    out.id = job::make_id("job", out.created_unix_ms, ports_.random);
    out.owner = std::move(job.owner);
    out.request = std::move(job.request);
    out.kind = std::move(job.kind);
    out.priority = job.priority;
    const auto life = job.deadline_ms > 0 ? job.deadline_ms : milliseconds(settings_.deadline_default);
    out.deadline_unix_ms = out.created_unix_ms + life;
    out.idempotency_key = std::move(job.idempotency_key);
    out.request_digest = std::move(job.request_digest);
    out.parent = std::move(job.parent);
    out.trace = std::move(job.trace);
    return out;
}

Task<Result<api::Submitted>> Desk::submit(NewJob job) {
    const auto life = job.deadline_ms > 0 ? job.deadline_ms : milliseconds(settings_.deadline_default);
    if (auto admitted = admit(job, life); !admitted) {
        ++stats_.refused;
        co_return fail(std::move(admitted.error()));
    }
    // Those that come meanwhile must not all find the same free place.
    const std::string owner = job.owner;
    struct Arriving {
        std::unordered_map<std::string, std::size_t>& counts;
        const std::string& owner;
        ~Arriving() {
            const auto found = counts.find(owner);
            if (--found->second == 0) {
                counts.erase(found);
            }
        }
    };
    ++submitting_[owner];
    const Arriving arriving{submitting_, owner};
    co_return co_await keep(std::move(job));
}

Task<Result<api::Submitted>> Desk::keep(NewJob job) {
    auto record = record_of(std::move(job));
    job::Event queued{1, record.created_unix_ms, "queued", "{}"};
    auto submitted = co_await ports_.store.submit(std::move(record), std::move(queued));
    if (!submitted) {
        stats_.store_errors += submitted.error().code == Errc::kIo ? 1 : 0;
        co_return fail(std::move(submitted.error()));
    }
    if (submitted->is_new) {
        ++stats_.accepted;
        enqueue(submitted->record);
    }
    co_return submitted;
}

void Desk::enqueue(const job::Record& record) {
    queue_.push({record.id, record.owner, record.priority, limits_of(record.owner).weight});
    changed_.notify_all();
}

// Back into the queue after a while, a longer one each time.
void Desk::put_back(job::FairQueue::Entry entry) {
    auto& wait = retries_[entry.id];
    wait = wait == Duration{} ? settings_.retry_first : std::min(wait * 2, settings_.retry_max);
    later_.emplace(ports_.clock.now() + wait, std::move(entry));
    changed_.notify_all();
}

void Desk::begin(TaskGroup& running) {
    const TimePoint now = ports_.clock.now();
    while (!later_.empty() && later_.begin()->first <= now) {
        queue_.push(std::move(later_.begin()->second));
        later_.erase(later_.begin());
    }
    while (!draining_ && running.size() < running.max()) {
        auto next = queue_.pop([this](const std::string& owner) { return limits_of(owner).running_max; });
        if (!next) {
            break;
        }
        running.spawn(run_one(*std::move(next)));
    }
}

Task<Result<bool>> Desk::dispatch(TaskGroup& running) {
    for (;;) {
        begin(running);
        auto at = ports_.clock.now() + settings_.look_period;
        if (!later_.empty()) {
            at = std::min(at, later_.begin()->first);
        }
        co_await changed_.wait_until(ports_.clock, at);
    }
}

Task<RunEnd> Desk::run_claimed(job::Record record, TimePoint lease_end) {
    const std::string id = record.id;
    const auto channel = feed_.channel_of(id);
    const auto started = "{\"attempt\":" + std::to_string(record.attempt) + "}";
    channel->publish({{record.events, ports_.clock.unix_ms(), "started", started}, {}}, false);
    JobRun run(ports_, settings_, std::move(record), channel);
    run.hold_until(lease_end);
    struct Listed {
        std::unordered_map<std::string, JobRun*>& runs;
        const std::string& id;
        ~Listed() { runs.erase(id); }
    };
    running_[id] = &run;
    const Listed listed{running_, id};
    const auto end = co_await run.run();
    if (end == RunEnd::kOver) {
        using job::State;
        const auto state = run.record().state;
        ++(state == State::kSucceeded ? stats_.succeeded
           : state == State::kFailed  ? stats_.failed
                                      : stats_.cancelled);
        messages_.notify();
    }
    co_return end;
}

Task<void> Desk::run_one(job::FairQueue::Entry entry) {
    std::optional<Counted> busy(std::in_place, busy_);
    const auto now = ports_.clock.unix_ms();
    const auto lease_end = ports_.clock.now() + settings_.lease;
    job::Event started{0, now, "started", "{}"};
    auto claimed = co_await ports_.store.claim(
        entry.id, settings_.holder, std::move(started), now + milliseconds(settings_.lease)
    );
    const std::string owner = entry.owner;
    if (!claimed) {
        ++stats_.store_errors;
        put_back(std::move(entry));
    } else if (*claimed) {
        const auto end = co_await run_claimed(**std::move(claimed), lease_end);
        rate_.done(ports_.clock.now(), queue_.size());
        if (end == RunEnd::kHandedBack) {
            ++stats_.handed_back;
            put_back(std::move(entry));
        } else {
            stats_.claims_lost += end == RunEnd::kLost ? 1 : 0;
            retries_.erase(entry.id);
        }
    } else {
        retries_.erase(entry.id);  // cancelled, or somebody else was quicker
    }
    queue_.release(owner);
    busy.reset();
    changed_.notify_all();
}

Task<Result<bool>> Desk::serve() {
    // Until the store answers there is nothing to do.
    for (;;) {
        const auto reclaimed = co_await ports_.store.reclaim(settings_.holder);
        if (reclaimed) {
            if (*reclaimed > 0) {
                ports_.log.info("gateway.jobs_taken_up", {{"jobs", *reclaimed}});
            }
            break;
        }
        ports_.log.warn("gateway.store_unavailable", {{"error", reclaimed.error().message}});
        co_await sleep_for(ports_.clock, kStoreRetry);
    }
    TaskGroup running(ports_.executor, settings_.running_max, ports_.log);
    struct All {
        static Task<Result<bool>> run(Desk& desk, TaskGroup& running) {
            std::vector<Task<Result<bool>>> services;
            services.push_back(desk.dispatch(running));
            services.push_back(desk.look_for_waiting());
            services.push_back(desk.renew_leases());
            services.push_back(desk.hear_others());
            services.push_back(desk.forget_old());
            services.push_back(desk.messages_.serve());
            auto results = co_await all_of(std::move(services));
            co_return std::move(results.front());
        }
    };
    co_return co_await with_group<bool>(running, All::run(*this, running));
}

// What nobody runs and this queue does not know: left by an earlier process, or by another gateway. Goes on
// where it ended the last time, so that what waits behind many others is seen, too.
Task<Result<bool>> Desk::take_waiting(std::size_t pages) {
    for (; pages > 0; --pages) {
        const auto page = co_await ports_.store.waiting(looked_until_, ports_.clock.unix_ms(), kPage);
        if (!page) {
            co_return fail(page.error());
        }
        for (const auto& record : *page) {
            const bool known =
                queue_.contains(record.id) || running_.contains(record.id) || retries_.contains(record.id);
            if (!known && queue_.size() < settings_.queued_max) {
                enqueue(record);
            }
        }
        if (page->size() < kPage || queue_.size() >= settings_.queued_max) {
            looked_until_.clear();
            co_return true;
        }
        looked_until_ = page->back().id;
    }
    co_return true;
}

Task<Result<bool>> Desk::look_for_waiting() {
    bool first = true;
    for (;;) {
        const auto looked = co_await take_waiting(first ? kPagesAtStart : kPagesPerLook);
        if (looked) {
            first = false;
        } else {
            ++stats_.store_errors;
            ports_.log.warn("gateway.store_unavailable", {{"error", looked.error().message}});
        }
        if (!first && !settings_.shared_store) {
            co_return true;
        }
        co_await sleep_for(ports_.clock, settings_.look_period);
    }
}

Task<Result<bool>> Desk::renew_leases() {
    const Duration period = settings_.lease / 3;
    Duration pause = period;
    for (;;) {
        co_await sleep_for(ports_.clock, pause);
        std::vector<Task<Result<bool>>> renewals;
        for (const auto& [id, run] : running_) {
            renewals.push_back(renew({id, settings_.holder, run->record().attempt}));
        }
        const auto renewed = co_await all_of(std::move(renewals));
        const bool all = std::ranges::all_of(renewed, [](const auto& one) { return one.has_value(); });
        pause = all ? period : std::min(kStoreRetry, period);
    }
}

Task<Result<bool>> Desk::renew(api::Claim claim) {
    const auto lease_end = ports_.clock.now() + settings_.lease;
    const auto until = ports_.clock.unix_ms() + milliseconds(settings_.lease);
    const auto state = co_await ports_.store.renew(claim, until);
    const auto found = running_.find(claim.job_id);
    if (found == running_.end() || found->second->record().attempt != claim.attempt) {
        co_return true;
    }
    auto& run = *found->second;
    if (!state) {
        ++stats_.store_errors;
        // Another gateway may have it by now: two must not work at it.
        if (settings_.shared_store && run.held_until() <= ports_.clock.now()) {
            run.lose();
        }
        co_return fail(state.error());
    }
    run.hold_until(lease_end);
    if (*state == api::LeaseState::kLost) {
        run.lose();
    } else if (*state == api::LeaseState::kCancelWanted) {
        run.cancel();
    }
    co_return true;
}

// Another gateway was asked to cancel a job that runs here, or has made events that somebody here waits for.
Task<Result<bool>> Desk::hear_others() {
    for (;;) {
        const auto ids = co_await ports_.store.foreign_changes(Deadline::after(ports_.clock, kForeignWait));
        if (!ids) {
            co_await sleep_for(ports_.clock, kStoreRetry);
            continue;
        }
        for (const auto& id : *ids) {
            // Whoever changed it has taken it, or it is over; if it waits again, the next look finds it.
            if (!running_.contains(id)) {
                drop(id);
            }
            // An empty id: the store cannot tell which. What runs here hears of it when it renews its lease.
            for (const auto& changed : id.empty() ? feed_.ids() : std::vector<std::string>{id}) {
                co_await hear_of(changed);
            }
        }
    }
}

Task<void> Desk::hear_of(std::string id) {
    if (running_.contains(id)) {
        const auto record = co_await ports_.store.get(id);
        const auto run = running_.find(id);
        if (record && record->cancel_wanted && run != running_.end()) {
            run->second->cancel();
        }
    } else if (const auto channel = feed_.find(id)) {
        channel->forget();
    }
}

void Desk::drop(const std::string& id) {
    queue_.remove(id);
    if (retries_.erase(id) > 0) {
        std::erase_if(later_, [&id](const auto& waiting) { return waiting.second.id == id; });
    }
}

Task<Result<bool>> Desk::forget_old() {
    for (;;) {
        const auto before = ports_.clock.unix_ms() - milliseconds(settings_.retention);
        const auto forgotten = co_await ports_.store.forget(before, kForgottenAtOnce);
        const bool more = forgotten && *forgotten == kForgottenAtOnce;
        co_await sleep_for(ports_.clock, more ? kStoreRetry : kForgetPeriod);
    }
}

Task<Result<job::Record>> Desk::cancel(std::string id) {
    auto record = co_await ports_.store.get(id);
    if (!record || job::is_final(record->state)) {
        co_return record;
    }
    const auto now = ports_.clock.unix_ms();
    const job::Event cancelled{record->events + 1, now, "cancelled", "{}"};
    api::JobChange change;
    change.events.push_back(cancelled);
    change.state = job::State::kCancelled;
    change.result = "{}";
    change.at_unix_ms = now;
    record->state = job::State::kCancelled;
    record->finished_unix_ms = now;
    change.delivery = message_of(*record, settings_, ports_.random);
    auto after = co_await ports_.store.cancel(id, std::move(change));
    if (!after) {
        co_return after;
    }
    if (const auto run = running_.find(id); run != running_.end()) {
        run->second->cancel();
    } else if (after->state == job::State::kCancelled) {
        ++stats_.cancelled;
        drop(id);
        if (const auto channel = feed_.find(id)) {
            channel->publish({cancelled, {}}, true);
        }
        messages_.notify();
    }
    co_return after;
}

Task<Result<std::vector<ToldEvent>>> Desk::events_after(
    std::string id, std::shared_ptr<JobChannel> channel, std::uint64_t number, TimePoint until
) {
    std::vector<ToldEvent> out;
    for (;;) {
        if (channel->after(number, out)) {
            if (!out.empty() || channel->over()) {
                co_return out;
            }
        } else {
            auto kept = co_await ports_.store.events(id, number, kEventsPage);
            if (!kept) {
                co_return fail(std::move(kept.error()));
            }
            for (auto& event : *kept) {
                out.push_back({std::move(event), {}});
            }
            // Something may have been published meanwhile: look again before waiting.
            if (!out.empty() || channel->over()) {
                co_return out;
            }
        }
        if (ports_.clock.now() >= until) {
            co_return out;
        }
        co_await channel->changed().wait_until(ports_.clock, until);
    }
}

Task<void> Desk::drain(TimePoint until) {
    draining_ = true;
    co_await wait_until_idle(until);
    if (busy_ == 0) {
        co_return;
    }
    std::vector<std::string> ids;
    for (const auto& [id, run] : running_) {
        ids.push_back(id);
    }
    ports_.log.info("gateway.jobs_handed_back", {{"jobs", ids.size()}});
    for (const auto& id : ids) {
        if (const auto run = running_.find(id); run != running_.end()) {
            run->second->hand_back();
        }
    }
    co_await wait_until_idle(ports_.clock.now() + kHandBackTimeMax);
}

Task<void> Desk::wait_until_idle(TimePoint until) {
    while (busy_ > 0 && ports_.clock.now() < until) {
        co_await changed_.wait_until(ports_.clock, until);
    }
}

DeskStats Desk::stats() const {
    DeskStats out = stats_;
    out.messages_sent = messages_.sent();
    out.messages_failed = messages_.failed();
    out.queued = queue_.size() + later_.size();
    out.running = running_.size();
    out.listened = feed_.size();
    return out;
}

}  // namespace

void dump(MetricsWriter& out, const DeskStats& stats) {
    out.counter("framegrid_jobs_accepted_total", stats.accepted);
    out.counter("framegrid_jobs_refused_total", stats.refused);
    out.counter("framegrid_jobs_ended_total", stats.succeeded, {{"state", "succeeded"}});
    out.counter("framegrid_jobs_ended_total", stats.failed, {{"state", "failed"}});
    out.counter("framegrid_jobs_ended_total", stats.cancelled, {{"state", "cancelled"}});
    out.counter("framegrid_jobs_handed_back_total", stats.handed_back);
    out.counter("framegrid_jobs_claims_lost_total", stats.claims_lost);
    out.counter("framegrid_jobs_store_errors_total", stats.store_errors);
    out.counter("framegrid_webhooks_sent_total", stats.messages_sent);
    out.counter("framegrid_webhooks_failed_total", stats.messages_failed);
    out.gauge("framegrid_jobs_queued", static_cast<double>(stats.queued));
    out.gauge("framegrid_jobs_running", static_cast<double>(stats.running));
    out.gauge("framegrid_jobs_listened", static_cast<double>(stats.listened));
}

std::unique_ptr<JobDesk> make_job_desk(DeskPorts ports, DeskSettings settings) {
    return std::make_unique<Desk>(std::move(ports), std::move(settings));
}

}  // namespace framegrid::gateway
