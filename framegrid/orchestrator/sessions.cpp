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

Sessions::Map::iterator Sessions::replaceable(TimePoint now) {
    auto oldest = sessions_.end();
    for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
        const Session& session = it->second;
        if (session.in_flight == 0 && now - session.last_used > settings_.yield_after &&
            (oldest == sessions_.end() || session.last_used < oldest->second.last_used)) {
            oldest = it;
        }
    }
    return oldest;
}

bool Sessions::full(TimePoint now) {
    return sessions_.size() >= settings_.sessions_max && replaceable(now) == sessions_.end();
}

Result<Sessions::Visit> Sessions::enter(const std::string& session_id, TimePoint now) {
    const auto known = sessions_.find(session_id);
    if (known != sessions_.end()) {
        if (known->second.in_flight >= settings_.queue_max) {
            return fail(Errc::kCapacity, "OrchestratorBusy");
        }
        ++known->second.in_flight;
        known->second.last_used = now;
        return Visit{known->second.opened};
    }
    Visit visit{++opened_};
    if (sessions_.size() >= settings_.sessions_max) {
        const auto idle = replaceable(now);
        if (idle == sessions_.end()) {
            return fail(Errc::kCapacity, "OrchestratorCapped");
        }
        visit.evicted = idle->first;
        sessions_.erase(idle);
    }
    sessions_[session_id] = {visit.opened, 1, now};
    return visit;
}

void Sessions::leave(const std::string& session_id, const Visit& visit, TimePoint now) {
    const auto known = sessions_.find(session_id);
    if (known == sessions_.end() || known->second.opened != visit.opened) {
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
