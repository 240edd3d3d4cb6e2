#include <framegrid/orchestrator/sessions.hpp>

#include <framegrid/crypto/segment_signature.hpp>

namespace framegrid::orchestrator {

Sessions::Sessions(SessionSettings settings, Random& random)
    : settings_(settings), random_(random), secret_(32) {
    random_.fill(secret_);
}

api::AuthToken Sessions::issue(std::int64_t unix_ms) {
    api::AuthToken token;
    token.session_id = random_.hex(16);
    token.expires_unix_s =
        unix_ms / 1000 + std::chrono::duration_cast<std::chrono::seconds>(settings_.token_life).count();
    const auto mac = crypto::auth_token(secret_, token.session_id, token.expires_unix_s);
    token.token.assign(mac.begin(), mac.end());
    return token;
}

Result<void> Sessions::check_mac(const api::AuthToken& token) const {
    if (token.token.empty() && token.session_id.empty()) {
        return fail(Errc::kForbidden, "missing auth token");
    }
    const auto mac = crypto::auth_token(secret_, token.session_id, token.expires_unix_s);
    if (!crypto::equal_constant_time(mac, token.token)) {
        return fail(Errc::kForbidden, "invalid auth token");
    }
    return {};
}

Result<void> Sessions::check(const api::AuthToken& token, std::int64_t unix_ms) const {
    FG_CHECK(check_mac(token));
    if (token.expires_unix_s * 1000 < unix_ms) {
        return fail(Errc::kForbidden, "expired auth token");
    }
    return {};
}

bool Sessions::full(TimePoint now) {
    if (sessions_.size() < settings_.sessions_max) {
        return false;
    }
    // A session that is only waiting to be declared idle gives way when room is needed.
    for (const auto& [id, session] : sessions_) {
        if (session.in_flight == 0 && now - session.last_used > settings_.idle_max / 4) {
            return false;
        }
    }
    return true;
}

Result<void> Sessions::enter(const std::string& session_id, TimePoint now) {
    const auto known = sessions_.find(session_id);
    if (known == sessions_.end()) {
        if (full(now)) {
            return fail(Errc::kCapacity, "OrchestratorCapped");
        }
        sessions_[session_id] = {1, now};
        return {};
    }
    if (known->second.in_flight >= settings_.queue_max) {
        return fail(Errc::kCapacity, "OrchestratorBusy");
    }
    ++known->second.in_flight;
    known->second.last_used = now;
    return {};
}

void Sessions::leave(const std::string& session_id, TimePoint now) {
    const auto known = sessions_.find(session_id);
    if (known == sessions_.end()) {
        return;  // ended meanwhile
    }
    FG_ASSERT(known->second.in_flight > 0);
    --known->second.in_flight;
    known->second.last_used = now;
}

std::vector<std::string> Sessions::expire(TimePoint now) {
    std::vector<std::string> gone;
    std::erase_if(sessions_, [&](const auto& entry) {
        const bool idle = entry.second.in_flight == 0 && now - entry.second.last_used > settings_.idle_max;
        if (idle) {
            gone.push_back(entry.first);
        }
        return idle;
    });
    return gone;
}

}  // namespace framegrid::orchestrator
