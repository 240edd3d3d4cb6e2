#include <framegrid/gateway/stream_sessions.hpp>

#include <algorithm>

namespace framegrid::gateway {

std::vector<market::Slot> StreamSessions::holders(const std::string& manifest_id) const {
    std::vector<market::Slot> out;
    if (const auto stream = streams_.find(manifest_id); stream != streams_.end()) {
        for (const auto& session : stream->second.sessions) {
            out.push_back(session.slot);
        }
    }
    return out;
}

const SessionAt* StreamSessions::find(
    const std::string& manifest_id, market::Slot slot, std::int64_t unix_ms, std::int64_t life_min_s
) const {
    const auto stream = streams_.find(manifest_id);
    if (stream == streams_.end()) {
        return nullptr;
    }
    for (const auto& session : stream->second.sessions) {
        if (session.slot == slot && session.token.expires_unix_s - unix_ms / 1000 >= life_min_s) {
            return &session;
        }
    }
    return nullptr;
}

void StreamSessions::put(const std::string& manifest_id, SessionAt session, TimePoint now) {
    drop(manifest_id, session.slot);
    if (streams_.size() >= streams_max_ && !streams_.contains(manifest_id)) {
        return;  // not remembered: its next segment opens another session; expire() makes room
    }
    auto& stream = streams_[manifest_id];
    stream.sessions.push_back(std::move(session));
    stream.last_used = now;
}

void StreamSessions::touch(const std::string& manifest_id, TimePoint now) {
    if (const auto stream = streams_.find(manifest_id); stream != streams_.end()) {
        stream->second.last_used = now;
    }
}

void StreamSessions::drop(const std::string& manifest_id, market::Slot slot) {
    if (const auto stream = streams_.find(manifest_id); stream != streams_.end()) {
        std::erase_if(stream->second.sessions, [slot](const SessionAt& session) {
            return session.slot == slot;
        });
    }
}

std::vector<SessionAt> StreamSessions::end(const std::string& manifest_id) {
    const auto stream = streams_.find(manifest_id);
    if (stream == streams_.end()) {
        return {};
    }
    auto sessions = std::move(stream->second.sessions);
    streams_.erase(stream);
    return sessions;
}

std::vector<SessionAt> StreamSessions::expire(TimePoint now) {
    std::vector<SessionAt> gone;
    std::vector<std::string> idle;
    for (const auto& [manifest_id, stream] : streams_) {
        if (now - stream.last_used > idle_max_) {
            idle.push_back(manifest_id);
        }
    }
    while (streams_.size() - idle.size() >= streams_max_) {
        const auto oldest =
            std::min_element(streams_.begin(), streams_.end(), [](const auto& a, const auto& b) {
                return a.second.last_used < b.second.last_used;
            });
        idle.push_back(oldest->first);
        oldest->second.last_used = now;  // not chosen again by this loop
    }
    for (const auto& manifest_id : idle) {
        auto sessions = end(manifest_id);
        std::move(sessions.begin(), sessions.end(), std::back_inserter(gone));
    }
    return gone;
}

}  // namespace framegrid::gateway
