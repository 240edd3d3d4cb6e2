// What the executors of a pool say of their models, added up over processes that come and go.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include <framegrid/api/model_use.hpp>
#include <framegrid/runtime/histogram.hpp>
#include <framegrid/runtime/metrics.hpp>

namespace framegrid::sandbox {

inline constexpr std::size_t kModelNamesMax = 100;  // in metrics; further models count as "other"

// By model, at most kModelNamesMax and "other".
template <class Value>
class ByModel {
  public:
    Value& at(std::string_view id) {
        const auto found = values_.find(id);
        if (found != values_.end()) {
            return found->second;
        }
        return values_[values_.size() < kModelNamesMax ? std::string(id) : std::string("other")];
    }
    auto begin() const { return values_.begin(); }
    auto end() const { return values_.end(); }

  private:
    std::map<std::string, Value, std::less<>> values_;
};

struct ModelCounts {
    std::uint64_t loads = 0;
    std::uint64_t load_failures = 0;
    std::uint64_t evicted = 0;
    std::uint64_t idled = 0;
    std::uint64_t ended = 0;  // its process ended while it was loaded
    std::uint64_t no_room = 0;
};

struct ModelTasks {
    std::size_t running = 0;
    std::size_t waiting = 0;
};

// What one device holds in all processes that use it.
struct DeviceHolds {
    std::int64_t memory_bytes_max = 0;
    std::int64_t work_memory_bytes_max = 0;
    ByModel<std::int64_t> bytes;
};

struct ModelStats {
    ByModel<ModelCounts> counts;
    Timings network_loads{kModelNamesMax};
    std::uint64_t turns = 0;
    std::uint64_t turn_jobs = 0;
    std::map<std::string, DeviceHolds> devices;  // of processes that live
    ByModel<ModelTasks> tasks;
};
void dump(MetricsWriter& out, const ModelStats& stats);

// Nothing that a process says is believed beyond what a counter can bear.
class ModelBook {
  public:
    // A process said `before` and then `now`.
    void take(const api::DeviceUse& before, const api::DeviceUse& now);
    // It is gone, and what it had loaded with it.
    void forget(const api::DeviceUse& last);
    // Counts; devices and tasks are the caller's to add.
    const ModelStats& totals() const { return totals_; }
    static void add_device(ModelStats& stats, const api::DeviceUse& now);

  private:
    ModelStats totals_;
};

}  // namespace framegrid::sandbox
