// Which models stay loaded under a memory limit. Decides only: the owner loads and unloads. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::engine {

class Residency {
  public:
    static constexpr Duration kReloadDefault = std::chrono::seconds(1);
    static constexpr Duration kHalfLife = std::chrono::minutes(5);  // of a use
    // `limit_bytes`: the sum over all loaded models that must not be exceeded.
    explicit Residency(std::int64_t limit_bytes) : limit_bytes_(limit_bytes) {}

    // Makes room for a model and counts it as loaded and in use once. Returns the models to unload first:
    // idle ones, those that are least missed, which is how often they were wanted lately times what loading
    // them takes. Models in use and pinned ones stay. kCapacity: it cannot fit now (nothing is changed). The
    // model must not be loaded yet.
    Result<std::vector<std::string>> admit(
        const std::string& id, std::int64_t bytes, bool pinned, TimePoint now
    );

    // How long loading it took; what is not told counts as kReloadDefault.
    void loaded_in(const std::string& id, Duration time);

    // One more user of a loaded model; false when it is not loaded.
    bool acquire(const std::string& id, TimePoint now);
    void release(const std::string& id, TimePoint now);
    // Forgets a model that could not be loaded after all.
    void forget(const std::string& id);
    // Forgets and returns the unpinned models that nobody has used for `idle`.
    std::vector<std::string> expire(TimePoint now, Duration idle);

    bool is_loaded(const std::string& id) const { return models_.contains(id); }
    std::int64_t bytes_loaded() const { return bytes_loaded_; }
    std::int64_t limit_bytes() const { return limit_bytes_; }
    std::vector<std::string> loaded() const;  // by name

  private:
    struct Model {
        std::int64_t bytes = 0;
        bool pinned = false;
        int users = 0;
        TimePoint last_used{};
    };
    // Outlives the loaded model: a model that comes and goes is wanted all the same.
    struct Demand {
        double uses = 0;  // decayed to `at`
        TimePoint at{};
        Duration reload{kReloadDefault};
    };

    void count_use(const std::string& id, TimePoint now);
    double value_of(const std::string& id, TimePoint now) const;
    std::vector<std::string> choose_victims(std::int64_t bytes, TimePoint now) const;

    std::int64_t limit_bytes_;
    std::int64_t bytes_loaded_ = 0;
    std::map<std::string, Model> models_;
    std::map<std::string, Demand> demand_;  // of every model that was ever loaded
};

}  // namespace framegrid::engine
