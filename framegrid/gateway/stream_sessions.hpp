// Which orchestrators hold a session of which stream. Socket-free.
#pragma once

#include <list>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/market/pool.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::gateway {

struct SessionAt {
    market::Slot slot;
    std::string uri;  // where its work goes: of the answer that brought the token, which is good nowhere else
    api::AuthToken token;
};

class StreamSessions {
  public:
    StreamSessions(std::size_t streams_max, Duration idle_max)
        : streams_max_(streams_max), idle_max_(idle_max) {}

    // The orchestrators that hold a session of this stream.
    std::vector<market::Slot> holders(const std::string& manifest_id) const;
    // The session with one of them, unless its token has less than `life_min_s` seconds to live. Until the
    // next change.
    const SessionAt* find(
        const std::string& manifest_id, market::Slot slot, std::int64_t unix_ms, std::int64_t life_min_s
    ) const;
    // Remembers a session, unless `streams_max` other streams are known.
    void put(const std::string& manifest_id, SessionAt session, TimePoint now);
    void touch(const std::string& manifest_id, TimePoint now);
    void drop(const std::string& manifest_id, market::Slot slot);
    // Forgets the stream and returns its sessions, which are then ended at their orchestrators.
    std::vector<SessionAt> end(const std::string& manifest_id);
    // The same for all streams idle for too long, and for the oldest when there is no room for a new one.
    std::vector<SessionAt> expire(TimePoint now);
    std::size_t size() const { return streams_.size(); }

  private:
    struct Stream {
        std::vector<SessionAt> sessions;
        TimePoint last_used{};
    };
    std::size_t streams_max_;
    Duration idle_max_;
    std::map<std::string, Stream> streams_;
};

}  // namespace framegrid::gateway
