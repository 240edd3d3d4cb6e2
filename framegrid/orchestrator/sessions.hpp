// Auth tokens, and the transcode sessions that are alive. Socket-free.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::orchestrator {

struct SessionSettings {
    std::size_t sessions_max = 10;                     // transcode sessions alive at once
    std::uint32_t queue_max = 4;                       // jobs of one session at once (protocol section 3.3)
    Duration idle_max = std::chrono::seconds(70);      // protocol section 6.7
    Duration token_life = std::chrono::minutes(30);    // protocol section 5.1
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
    // Counts a job in. kCapacity "OrchestratorCapped" (no room for a new session) or "OrchestratorBusy" (its queue is
    // full).
    Result<void> enter(const std::string& session_id, TimePoint now);
    void leave(const std::string& session_id, TimePoint now);
    void end(const std::string& session_id) { sessions_.erase(session_id); }
    // Removes and returns the sessions that have been idle for too long.
    std::vector<std::string> expire(TimePoint now);
    std::size_t size() const { return sessions_.size(); }

  private:
    struct Session {
        std::uint32_t in_flight = 0;
        TimePoint last_used{};
    };
    SessionSettings settings_;
    Random& random_;
    Bytes secret_;
    std::map<std::string, Session> sessions_;
};

}  // namespace framegrid::orchestrator
