#include <sim/canary.hpp>

#include <framegrid/runtime/async.hpp>

namespace framegrid::sim {

namespace {

constexpr int kBrokenEvery = 20;  // results

class Broken final : public gateway::Gateway {
  public:
    Broken(Canary canary, std::unique_ptr<gateway::Gateway> honest)
        : canary_(canary), honest_(std::move(honest)) {}

    Task<Result<bool>> serve() override { return honest_->serve(); }
    Task<Result<gateway::JobResult>> run(gateway::JobRequest request, Deadline deadline) override {
        auto result = co_await honest_->run(std::move(request), deadline);
        if (!result || ++results_ % kBrokenEvery != 0) {
            co_return result;
        }
        switch (canary_) {
            case Canary::kLose: {
                const OneShot never;
                co_await never.wait();
                break;
            }
            case Canary::kSwap:
                std::swap(result->output, kept_);
                break;
            case Canary::kEmpty:
                result->output = {};
                break;
            case Canary::kNone:
            case Canary::kTrust:
                break;
        }
        co_return result;
    }
    std::optional<gateway::Offer> offer(const gateway::JobRequest& request) override {
        return honest_->offer(request);
    }
    Task<void> end_stream(std::string manifest_id) override {
        return honest_->end_stream(std::move(manifest_id));
    }
    std::vector<market::PoolEntryView> pool() const override { return honest_->pool(); }
    std::vector<market::OfferedModel> models() const override { return honest_->models(); }
    market::Explanation explain(const gateway::JobRequest& request) const override {
        return honest_->explain(request);
    }
    void reconfigure(std::optional<Price> price_max) override { honest_->reconfigure(price_max); }
    void limit_spending(
        std::function<account::Limits(const std::string& owner)> limits_of, api::KeyStore* store
    ) override {
        honest_->limit_spending(std::move(limits_of), store);
    }
    gateway::Stats stats() const override { return honest_->stats(); }

  private:
    Canary canary_;
    std::unique_ptr<gateway::Gateway> honest_;
    int results_ = 0;
    api::WorkOutput kept_;
};

}  // namespace

std::unique_ptr<gateway::Gateway> with_canary(Canary canary, std::unique_ptr<gateway::Gateway> honest) {
    if (canary == Canary::kNone || canary == Canary::kTrust) {
        return honest;
    }
    return std::make_unique<Broken>(canary, std::move(honest));
}

}  // namespace framegrid::sim
