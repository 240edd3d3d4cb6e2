// Results of work in memory: for tests and simulation.
#pragma once

#include <map>
#include <utility>

#include <framegrid/api/result_index.hpp>

namespace framegrid::api {

// Single-threaded.
class MemoryResults final : public ResultIndex {
  public:
    Task<Result<void>> keep(KeptResult result) override {
        auto name = std::pair(result.owner, result.key);
        kept_.insert_or_assign(std::move(name), std::move(result));
        co_return Result<void>{};
    }
    Task<Result<std::optional<KeptResult>>> find(std::string owner, std::string key, std::int64_t now_unix_ms)
        override {
        const auto found = kept_.find({std::move(owner), std::move(key)});
        const bool good = found != kept_.end() && found->second.expires_unix_ms > now_unix_ms;
        co_return good ? std::optional(found->second) : std::nullopt;
    }
    Task<Result<std::size_t>> forget(std::int64_t before_unix_ms, std::size_t limit) override {
        co_return std::erase_if(kept_, [&](const auto& one) {
            return one.second.expires_unix_ms <= before_unix_ms && limit > 0 && limit-- > 0;
        });
    }

  private:
    std::map<std::pair<std::string, std::string>, KeptResult> kept_;
};

}  // namespace framegrid::api
