#include <framegrid/gateway/discovery.hpp>

namespace framegrid::gateway {

namespace {
// In very large pools the period stretches so that polling stays under this rate.
constexpr double kPollsPerSecondMax = 200;
constexpr Duration kTick = std::chrono::milliseconds(50);
}  // namespace

Discovery::Discovery(const Ports& ports, DiscoverySettings settings, market::Pool& pool, Notifier& changed)
    : ports_(ports), settings_(settings), pool_(pool), changed_(changed) {}

Duration Discovery::period() const {
    const double stretched = static_cast<double>(due_.size()) / kPollsPerSecondMax * 1e9;
    const double base = std::max(static_cast<double>(settings_.info_period.count()), stretched);
    return Duration(static_cast<Duration::rep>(base * (0.8 + 0.4 * ports_.random.unit())));
}

Task<Result<bool>> Discovery::serve() {
    TaskGroup polls(ports_.executor, settings_.polls_max + 1, ports_.log);
    co_return co_await with_group<bool>(polls, loop(polls));
}

Task<Result<bool>> Discovery::loop(TaskGroup& polls) {
    TimePoint list_at = ports_.clock.now();
    for (;;) {
        const TimePoint now = ports_.clock.now();
        if (now >= list_at) {
            list_at = now + settings_.list_period;
            polls.spawn(refresh_list());
        }
        TimePoint next = list_at;
        bool all_answered = listed_;
        for (auto& [uri, due] : due_) {
            all_answered = all_answered && due.answered;
            if (due.polling) {
                continue;
            }
            if (due.at > now) {
                next = std::min(next, due.at);
                continue;
            }
            due.polling = polls.spawn(poll(uri));
            if (!due.polling) {
                next = now + kTick;  // all pollers are busy
                break;
            }
        }
        if (all_answered && !settled_) {
            settled_ = true;
            changed_.notify_all();
        }
        struct Wait {
            static Task<Result<bool>> once(Notifier& notifier) {
                co_await notifier.wait();
                co_return true;
            }
        };
        (void)co_await with_deadline<bool>(ports_.clock, Deadline{next}, Wait::once(wake_));
    }
}

Task<void> Discovery::refresh_list() {
    auto uris = co_await ports_.source.list(Deadline::after(ports_.clock, settings_.list_time_max));
    if (!uris) {
        ports_.log.warn("gateway.list_failed", {{"error", uris.error().message}, {"kept", due_.size()}});
    } else {
        pool_.set_list(*uris);
        std::map<std::string, Due> fresh;
        for (const auto& uri : pool_.uris()) {
            const auto known = due_.find(uri);
            fresh[uri] = known == due_.end() ? Due{ports_.clock.now(), settings_.info_retry, false, false}
                                             : known->second;
        }
        due_ = std::move(fresh);
    }
    listed_ = true;
    wake_.notify_all();
}

Task<void> Discovery::poll(std::string uri) {
    const auto orchestrator = ports_.orchestrators.at(uri);
    const Deadline deadline = Deadline::after(ports_.clock, settings_.info_time_max);
    auto info = co_await with_deadline<api::OrchestratorInfo>(
        ports_.clock, deadline, orchestrator->get_info({}, deadline)
    );
    const auto due = due_.find(uri);
    const auto slot = pool_.find(uri);
    if (due == due_.end() || !slot) {
        co_return;  // left the list meanwhile
    }
    const TimePoint now = ports_.clock.now();
    due->second.polling = false;
    if (info) {
        due->second.retry = settings_.info_retry;
        due->second.at = now + period();
        pool_.on_info(*slot, std::move(*info), now);
    } else {
        if (!due->second.answered) {
            ports_.log.warn("gateway.orchestrator_unreachable", {{"uri", uri}, {"error", info.error().message}});
        }
        // Polls come back sooner than jobs: a node that recovers is known again before anybody needs it.
        due->second.at = now + due->second.retry;
        due->second.retry = std::min(due->second.retry * 2, settings_.info_period);
        pool_.on_info_failed(*slot, now, ports_.random);
    }
    due->second.answered = true;
    changed_.notify_all();
    wake_.notify_all();
}

}  // namespace framegrid::gateway
