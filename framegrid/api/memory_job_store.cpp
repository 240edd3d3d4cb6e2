#include <framegrid/api/memory_job_store.hpp>

#include <ranges>

namespace framegrid::api {

namespace {

using job::State;

bool matches(const job::Record& record, const JobFilter& filter) {
    return (!filter.owner || record.owner == *filter.owner) &&
           (!filter.state || record.state == *filter.state) &&
           (filter.kind.empty() || record.kind == filter.kind) && record.parent == filter.parent &&
           (filter.before.empty() || record.id < filter.before);
}

}  // namespace

Task<Result<void>> MemoryJobStore::reach() {
    if (delay_ > Duration{}) {
        co_await sleep_for(clock_, delay_);
    }
    if (broken_) {
        co_return fail(*broken_);
    }
    co_return Result<void>{};
}

void MemoryJobStore::put(Job& job, const JobChange& change) {
    for (const auto& event : change.events) {
        job.events.push_back(event);
        job.record.events = event.number;
    }
    if (change.delivery) {
        deliveries_[change.delivery->id] = *change.delivery;
    }
    if (change.state) {
        job.record.state = *change.state;
        job.record.result = change.result;
        job.record.finished_unix_ms = job::is_final(*change.state) ? change.at_unix_ms : 0;
        job.record.lease_holder.clear();
        job.record.lease_until_unix_ms = 0;
    }
}

Task<Result<Submitted>> MemoryJobStore::submit(job::Record record, job::Event queued) {
    FG_CO_CHECK(co_await reach());
    if (!record.idempotency_key.empty()) {
        for (const auto& [id, job] : jobs_) {
            if (job.record.owner != record.owner || job.record.idempotency_key != record.idempotency_key) {
                continue;
            }
            if (job.record.request_digest != record.request_digest) {
                co_return fail(
                    Errc::kInvalidArgument,
                    "this idempotency key was used with another request, for job " + id, "idempotency-key"
                );
            }
            co_return Submitted{job.record, false};
        }
    }
    record.events = queued.number;
    jobs_[record.id] = {record, {std::move(queued)}};
    co_return Submitted{std::move(record), true};
}

Task<Result<job::Record>> MemoryJobStore::get(std::string id) {
    FG_CO_CHECK(co_await reach());
    const auto found = jobs_.find(id);
    if (found == jobs_.end()) {
        co_return fail(Errc::kNotFound, "there is no such job", "id");
    }
    co_return found->second.record;
}

Task<Result<std::vector<job::Record>>> MemoryJobStore::list(JobFilter filter) {
    FG_CO_CHECK(co_await reach());
    std::vector<job::Record> out;
    for (const auto& [id, job] : std::views::reverse(jobs_)) {
        if (out.size() < filter.limit && matches(job.record, filter)) {
            out.push_back(job.record);
        }
    }
    co_return out;
}

Task<Result<std::vector<job::Event>>> MemoryJobStore::events(
    std::string id, std::uint64_t after, std::size_t limit
) {
    FG_CO_CHECK(co_await reach());
    std::vector<job::Event> out;
    if (const auto found = jobs_.find(id); found != jobs_.end()) {
        for (const auto& event : found->second.events) {
            if (event.number > after && out.size() < limit) {
                out.push_back(event);
            }
        }
    }
    co_return out;
}

Task<Result<std::vector<job::Record>>> MemoryJobStore::waiting(
    std::string after, std::int64_t now_unix_ms, std::size_t limit
) {
    FG_CO_CHECK(co_await reach());
    std::vector<job::Record> out;
    for (auto at = jobs_.upper_bound(after); at != jobs_.end() && out.size() < limit; ++at) {
        const auto& record = at->second.record;
        if (record.state == State::kQueued || is_left(record, now_unix_ms)) {
            out.push_back(record);
        }
    }
    co_return out;
}

Task<Result<std::optional<job::Record>>> MemoryJobStore::claim(
    std::string id, std::string holder, job::Event started, std::int64_t until_unix_ms
) {
    FG_CO_CHECK(co_await reach());
    const auto found = jobs_.find(id);
    if (found == jobs_.end()) {
        co_return std::nullopt;
    }
    auto& record = found->second.record;
    const bool left = is_left(record, started.at_unix_ms);
    if (record.state != State::kQueued && !left) {
        co_return std::nullopt;
    }
    record.state = State::kRunning;
    ++record.attempt;
    record.crashes += left ? 1 : 0;
    record.lease_holder = std::move(holder);
    record.lease_until_unix_ms = until_unix_ms;
    if (record.started_unix_ms == 0) {
        record.started_unix_ms = started.at_unix_ms;
    }
    started.number = ++record.events;
    found->second.events.push_back(std::move(started));
    co_return record;
}

Task<Result<std::size_t>> MemoryJobStore::reclaim(std::string holder) {
    FG_CO_CHECK(co_await reach());
    std::size_t count = 0;
    for (auto& [id, job] : jobs_) {
        if (job.record.state == State::kRunning && job.record.lease_holder == holder) {
            job.record.lease_until_unix_ms = 0;
            ++count;
        }
    }
    co_return count;
}

Task<Result<LeaseState>> MemoryJobStore::renew(Claim claim, std::int64_t until_unix_ms) {
    FG_CO_CHECK(co_await reach());
    const auto found = jobs_.find(claim.job_id);
    if (found == jobs_.end() || !is_current(claim, found->second.record)) {
        co_return LeaseState::kLost;
    }
    found->second.record.lease_until_unix_ms = until_unix_ms;
    co_return found->second.record.cancel_wanted ? LeaseState::kCancelWanted : LeaseState::kHeld;
}

Task<Result<bool>> MemoryJobStore::apply(JobChange change) {
    FG_CO_CHECK(co_await reach());
    const auto found = jobs_.find(change.claim.job_id);
    if (found == jobs_.end() || !is_current(change.claim, found->second.record)) {
        co_return false;
    }
    put(found->second, change);
    co_return true;
}

Task<Result<job::Record>> MemoryJobStore::cancel(std::string id, JobChange change) {
    FG_CO_CHECK(co_await reach());
    const auto found = jobs_.find(id);
    if (found == jobs_.end()) {
        co_return fail(Errc::kNotFound, "there is no such job", "id");
    }
    if (found->second.record.state == State::kQueued) {
        put(found->second, change);
    } else if (found->second.record.state == State::kRunning) {
        found->second.record.cancel_wanted = true;
    }
    co_return found->second.record;
}

Task<Result<std::vector<std::string>>> MemoryJobStore::foreign_changes(Deadline deadline) {
    co_await sleep_until(clock_, deadline.at);
    co_return std::vector<std::string>{};
}

Task<Result<std::vector<job::Delivery>>> MemoryJobStore::take_due(
    std::int64_t now_unix_ms, std::int64_t until_unix_ms, std::size_t limit
) {
    FG_CO_CHECK(co_await reach());
    std::vector<job::Delivery> out;
    for (auto& [id, delivery] : deliveries_) {
        if (!delivery.done && delivery.next_unix_ms <= now_unix_ms && out.size() < limit) {
            out.push_back(delivery);
            delivery.next_unix_ms = until_unix_ms;
        }
    }
    co_return out;
}

Task<Result<void>> MemoryJobStore::update_delivery(job::Delivery delivery) {
    FG_CO_CHECK(co_await reach());
    deliveries_[delivery.id] = std::move(delivery);
    co_return Result<void>{};
}

Task<Result<std::vector<job::Delivery>>> MemoryJobStore::deliveries(std::string job_id) {
    FG_CO_CHECK(co_await reach());
    std::vector<job::Delivery> out;
    for (const auto& [id, delivery] : deliveries_) {
        if (delivery.job_id == job_id) {
            out.push_back(delivery);
        }
    }
    co_return out;
}

Task<Result<std::size_t>> MemoryJobStore::forget(std::int64_t before_unix_ms, std::size_t limit) {
    FG_CO_CHECK(co_await reach());
    std::size_t count = 0;
    for (auto at = jobs_.begin(); at != jobs_.end() && count < limit;) {
        const auto& record = at->second.record;
        if (job::is_final(record.state) && record.finished_unix_ms < before_unix_ms) {
            at = jobs_.erase(at);
            ++count;
        } else {
            ++at;
        }
    }
    co_return count;
}

}  // namespace framegrid::api
