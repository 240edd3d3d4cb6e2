#include <framegrid/gateway/discovery.hpp>

#include <algorithm>

namespace framegrid::gateway {

namespace {
// In very large pools the period stretches so that polling stays under this rate.
constexpr double kPollsPerSecondMax = 200;
constexpr std::size_t kHurriedMax = 64;  // orchestrators
constexpr Duration kHurryPeriod = std::chrono::milliseconds(200);
}  // namespace

Discovery::Discovery(const Ports& ports, DiscoverySettings settings, market::Pool& pool, Notifier& changed)
    : ports_(ports), settings_(settings), pool_(pool), changed_(changed) {}

Duration Discovery::period() const {
    const double stretched = static_cast<double>(known_.size()) / kPollsPerSecondMax * 1e9;
    return Duration(
        static_cast<Duration::rep>(std::max(static_cast<double>(settings_.info_period.count()), stretched))
    );
}

Duration Discovery::jittered(Duration duration) const {
    const double factor = 0.8 + 0.4 * ports_.random.unit();
    return Duration(static_cast<Duration::rep>(static_cast<double>(duration.count()) * factor));
}

Task<Result<bool>> Discovery::serve() {
    TaskGroup polls(ports_.executor, settings_.polls_max + 1, ports_.log);  // and the list
    co_return co_await with_group<bool>(polls, loop(polls));
}

Task<Result<bool>> Discovery::loop(TaskGroup& polls) {
    list_at_ = ports_.clock.now();
    for (;;) {
        const TimePoint now = ports_.clock.now();
        if (now >= list_at_) {
            list_at_ = now + settings_.list_period;
            polls.spawn(refresh_list());
        }
        // With all pollers busy the end of a poll wakes this up.
        wants_poller_ = start_polls(polls, now);
        wakes_at_ = wants_poller_ || queue_.empty() ? list_at_ : std::min(list_at_, queue_.begin()->first);
        (void)co_await wake_.wait_until(ports_.clock, wakes_at_);
    }
}

// Starts what is due, earliest first. True when something due had to wait for a poller.
bool Discovery::start_polls(TaskGroup& polls, TimePoint now) {
    while (!queue_.empty() && queue_.begin()->first <= now) {
        if (polling_ >= settings_.polls_max) {
            return true;
        }
        const std::string uri = queue_.begin()->second;
        queue_.erase(queue_.begin());
        known_[uri].polling = true;
        ++polling_;
        polls.spawn(poll(uri));
    }
    return false;
}

void Discovery::read_list() {
    list_at_ = ports_.clock.now();
    wake_.notify_all();
}

Task<void> Discovery::refresh_list() {
    auto uris = co_await ports_.source.list(Deadline::after(ports_.clock, settings_.list_time_max));
    if (!uris) {
        ports_.log.warn("gateway.list_failed", {{"error", uris.error().message}, {"kept", known_.size()}});
    } else {
        apply(*uris);
    }
    listed_ = true;
    check_settled();
    wake_.notify_all();
}

void Discovery::apply(const std::vector<std::string>& uris) {
    pool_.set_list(uris);
    std::map<std::string, Known> before = std::exchange(known_, {});
    queue_.clear();
    unanswered_ = 0;
    for (const auto& uri : pool_.uris()) {
        const auto old = before.find(uri);
        Known& known = known_[uri];
        known = old == before.end() ? Known{ports_.clock.now(), settings_.info_retry, false, false, true}
                                    : old->second;
        unanswered_ += known.answered ? 0 : 1;
        if (!known.polling) {
            queue_.emplace(known.due, uri);
        }
    }
}

void Discovery::schedule(const std::string& uri, Known& known, TimePoint at) {
    queue_.erase({known.due, uri});  // listed again while an older poll was under way
    known.due = at;
    queue_.emplace(at, uri);
    if (at < wakes_at_) {
        wake_.notify_all();
    }
}

void Discovery::look_again() {
    const TimePoint now = ports_.clock.now();
    if (known_.size() > kHurriedMax || now - looked_again_ < kHurryPeriod) {
        return;
    }
    looked_again_ = now;
    for (auto& [uri, known] : known_) {
        if (!known.polling && known.due > now) {
            schedule(uri, known, now);
        }
    }
}

void Discovery::check_settled() {
    if (!settled_ && listed_ && unanswered_ == 0) {
        settled_ = true;
        changed_.notify_all();
    }
}

Task<void> Discovery::poll(std::string uri) {
    const auto orchestrator = ports_.orchestrators.at(uri);
    const Deadline deadline = Deadline::after(ports_.clock, settings_.info_time_max);
    api::InfoRequest ask;
    if (const auto asked = pool_.find(uri)) {
        ask.lost = pool_.take_lost(*asked);
    }
    const api::LostJobs lost = ask.lost;
    auto info = co_await with_deadline<api::OrchestratorInfo>(
        ports_.clock, deadline, orchestrator->get_info(std::move(ask), deadline)
    );
    --polling_;
    if (wants_poller_) {
        wake_.notify_all();
    }
    const auto entry = known_.find(uri);
    const auto slot = pool_.find(uri);
    if (entry == known_.end() || !slot) {
        co_return;  // left the list meanwhile
    }
    Known& known = entry->second;
    const TimePoint now = ports_.clock.now();
    known.polling = false;
    bool changed = true;
    if (info) {
        changed = pool_.on_info(*slot, std::move(*info), now);
    } else {
        // Only the first failure in a row is news: the node is asked again soon, then less and less often.
        changed = known.reachable;
        if (!known.answered) {
            ports_.log.warn(
                "gateway.orchestrator_unreachable", {{"uri", uri}, {"error", info.error().message}}
            );
        }
        pool_.on_info_failed(*slot);
        pool_.return_lost(*slot, lost);
    }
    known.reachable = info.has_value();
    // A node that has just started gets its workers one by one, and one that recovers is wanted back: look
    // again soon.
    const Duration soon =
        std::max(settings_.info_retry, period() / 20);  // in a large pool as well not too often
    known.pause = changed ? soon : std::min(known.pause * 2, period());
    schedule(uri, known, now + jittered(known.pause));
    unanswered_ -= known.answered ? 0 : 1;
    known.answered = true;
    check_settled();
    changed_.notify_all();
}

}  // namespace framegrid::gateway
