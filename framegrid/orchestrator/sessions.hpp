// Auth tokens, and the transcode sessions that are alive. Socket-free.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::orchestrator {

struct SessionSettings {
    std::size_t sessions_max = 10;                   // transcode sessions alive at once
    std::uint32_t queue_max = 4;                     // jobs of one session at once (protocol section 3.3)
    Duration idle_max = std::chrono::seconds(70);    // protocol section 6.7
    Duration yield_after = std::chrono::seconds(3);  // idle for so long, a session makes room for a new one
    Duration token_life = std::chrono::minutes(30);  // protocol section 5.1
};

class Sessions {
  public:
    // `random` makes the MAC secret, once, and session ids; it must outlive this.
    Sessions(SessionSettings settings, Random& random);

    api::AuthToken issue(std::int64_t unix_ms);
    // kForbidden with the protocol's text: "missing auth token", "invalid auth token", "expired auth token".
    Result<void> check(const api::AuthToken& token, std::int64_t unix_ms) const;
    // The same without expiry, for EndTranscodingSession.
    Result<void> check_mac(const api::AuthToken& token) const;

    // True when a new session would exceed the limit.
    bool full(TimePoint now);
    bool alive(const std::string& session_id) const { return sessions_.contains(session_id); }
    // A job's stay in its session; `evicted` is the idle session that had to make room for a new one.
    struct Visit {
        std::uint64_t opened = 0;
        std::optional<std::string> evicted{};
    };
    // Counts a job in. kCapacity "OrchestratorCapped" (no room for a new session) or "OrchestratorBusy" (its
    // queue is full).
    Result<Visit> enter(const std::string& session_id, TimePoint now);
    // Counts it out, unless that session has ended meanwhile (even if one of the same id was opened again).
    void leave(const std::string& session_id, const Visit& visit, TimePoint now);
    void end(const std::string& session_id) { sessions_.erase(session_id); }
    // Removes and returns the sessions that have been idle for too long.
    std::vector<std::string> expire(TimePoint now);
    std::size_t size() const { return sessions_.size(); }

  private:
    struct Session {
        std::uint64_t opened = 0;  // which opening of this id, in order
        std::uint32_t in_flight = 0;
        TimePoint last_used{};
    };
    using Map = std::map<std::string, Session>;
    // The session that has been idle longest, if long enough to give way to a new one.
    Map::iterator replaceable(TimePoint now);
    SessionSettings settings_;
    Random& random_;
    Bytes secret_;
    Map sessions_;
    std::uint64_t opened_ = 0;
};

}  // namespace framegrid::orchestrator
