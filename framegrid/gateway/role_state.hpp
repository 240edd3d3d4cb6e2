// What the parts of the gateway role share: everything that outlives a job.
#pragma once

#include <map>
#include <optional>
#include <string>

#include <framegrid/gateway/buying.hpp>
#include <framegrid/gateway/discovery.hpp>
#include <framegrid/gateway/gateway.hpp>
#include <framegrid/gateway/spending.hpp>
#include <framegrid/gateway/stream_sessions.hpp>

namespace framegrid::gateway {

// Used on one executor; its parts refer to each other, so it stays where it is.
struct RoleState {
    RoleState(Ports with, Settings as)
        : ports(std::move(with)),
          settings(std::move(as)),
          pool(settings.pool),
          discovery(ports, settings.discovery, pool, changed),
          sessions(settings.streams_max, settings.stream_idle_max),
          spending(ports.clock, ports.random, ports.log) {
        if (ports.payments) {
            payments.emplace(*ports.payments, ports.clock, ports.log, settings.payments);
            buying.emplace(ports, *payments, settings.discovery.info_time_max);
        }
    }
    RoleState(const RoleState&) = delete;
    RoleState& operator=(const RoleState&) = delete;

    Ports ports;
    Settings settings;
    market::Pool pool;
    Notifier changed;  // the pool may have somebody for a job that waits
    Discovery discovery;
    StreamSessions sessions;
    std::optional<Payments> payments;  // absent: off-chain
    Spending spending;
    std::optional<Buying> buying;                // as payments
    std::map<std::string, std::string> digests;  // of models, by the manifest of their jobs
    Stats stats;
};

}  // namespace framegrid::gateway
