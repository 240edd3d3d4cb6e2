// What the pool keeps of one orchestrator, and of one kind of needs. For the files of Pool only.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <framegrid/market/pool.hpp>

namespace framegrid::market {

inline constexpr std::size_t kExplainedMax = 1'000;  // a refusal must stay cheap, however large the pool is
inline constexpr std::uint32_t kDoublingsMax = 16;   // of what failures in a row cost

struct Pool::Entry {
    std::string uri;
    std::optional<api::OrchestratorInfo> info;
    TimePoint usable_from{};           // suspended or paused until then
    api::LostJobs lost;                // not told yet
    std::int64_t foreign_mark = 0;     // foreign_jobs() when it was last told
    std::uint64_t considered_for = 0;  // the pick
    bool reachable = true;             // the last poll or job got an answer
    std::uint32_t in_flight = 0;
    std::uint32_t capacity = 1;  // of transcoding
    std::uint32_t failures = 0;
    // What is known about one kind of work.
    struct Record {
        std::int32_t capability = -1;  // its number, -1 for transcoding
        std::optional<double> latency;
        std::uint32_t failures = 0;  // in a row
    };
    std::vector<Record> records;  // few, so a flat list

    Record record(std::optional<job::Capability> capability) const {
        const auto key = key_of(capability);
        const auto known = std::ranges::find(records, key, &Record::capability);
        return known != records.end() ? *known : Record{key, std::nullopt, 0};
    }
    Record& record_to_change(std::optional<job::Capability> capability) {
        const auto key = key_of(capability);
        const auto known = std::ranges::find(records, key, &Record::capability);
        return known != records.end() ? *known : records.emplace_back(key);
    }
    // How many jobs like this one it does at once: models have a capacity of their own.
    std::uint32_t capacity_for(const Demand& demand) const {
        const auto* model = demand.capability && info && info->capabilities
                                ? info->capabilities->model(*demand.capability, demand.model_id)
                                : nullptr;
        return model != nullptr && model->capacity > 0 ? model->capacity : capacity;
    }
    // Whoever fails at a kind of work gets one job of it to prove itself, not as many as it could do.
    bool full(const Demand& demand) const {
        return in_flight >= capacity_for(demand) || (in_flight > 0 && record(demand.capability).failures > 0);
    }

  private:
    static std::int32_t key_of(std::optional<job::Capability> capability) {
        return capability ? static_cast<std::int32_t>(*capability) : -1;
    }
};

// Who can serve one kind of needs. Positions are kept so that removal is constant time.
struct Pool::NeedsKind {
    job::Capabilities needs;
    std::vector<Slot> members;
    std::unordered_map<Slot, std::size_t> position;
    std::unordered_map<Slot, TimePoint> left_at;  // those of the list that were members, and until when
    std::int64_t jobs = 0;  // that somebody got, or nobody: lost by all that are no members

    void insert(Slot slot) {
        left_at.erase(slot);
        if (position.try_emplace(slot, members.size()).second) {
            members.push_back(slot);
        }
    }
    void erase(Slot slot) {
        const auto it = position.find(slot);
        if (it == position.end()) {
            return;
        }
        const Slot last = members.back();
        members[it->second] = last;
        position[last] = it->second;
        members.pop_back();
        position.erase(slot);
    }
};

}  // namespace framegrid::market
