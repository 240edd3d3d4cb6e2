#include <framegrid/engine/model_gate.hpp>

#include <atomic>
#include <map>
#include <optional>

#include <gtest/gtest.h>

#include <framegrid/engine/fakes_for_test.hpp>
#include <framegrid/engine/threads_for_test.hpp>

namespace framegrid::engine {
namespace {

using testing::OnThread;

// Room for one model at a time.
class OneModel : public ModelSource {
  public:
    class Lease : public testing::FakeLease {
      public:
        explicit Lease(OneModel& source) : FakeLease(source.model_, source.manifest_), source_(source) {}
        ~Lease() override { --source_.users; }
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;

      private:
        OneModel& source_;
    };
    Result<std::unique_ptr<ModelLease>> acquire(const std::string&, const std::string& model_id) override {
        const std::scoped_lock lock(mutex_);
        ++tries;
        if (model_id == "none") {
            return fail(Errc::kNotFound, "no such model");
        }
        if (users > 0 && model_id != loaded_) {
            return fail(Errc::kCapacity, "does not fit");
        }
        loaded_ = model_id;
        ++users;
        return std::make_unique<Lease>(*this);
    }
    std::vector<ModelManifest> manifests() const override { return {}; }

    std::atomic<int> users = 0;
    std::atomic<int> tries = 0;

  private:
    testing::NearestModel model_{2};
    ModelManifest manifest_ = testing::make_manifest("m", 2);
    std::mutex mutex_;
    std::string loaded_;
};

class ModelGateTest : public ::testing::Test {
  protected:
    void wait_for_tries(int tries) const {
        while (models.tries < tries) {
            std::this_thread::yield();
        }
    }

    OneModel models;
    std::atomic<std::int64_t> seconds = 1;
    ModelGate gate{models, [this] { return TimePoint(std::chrono::seconds(seconds.load())); }};
    api::StopFlag stop = false;
};

TEST_F(ModelGateTest, ErrorsOtherThanRoomAreFinal) {
    EXPECT_EQ(gate.acquire("p", "none", stop).error().code, Errc::kNotFound);
    EXPECT_TRUE(gate.acquire("p", "a", stop));
    EXPECT_EQ(models.users, 0);
}

TEST_F(ModelGateTest, WaitsForRoom) {
    std::optional<ModelGate::Lease> first = gate.acquire("p", "a", stop).value();
    OnThread second([&] { return gate.acquire("p", "b", stop).has_value(); });
    wait_for_tries(2);
    first.reset();
    EXPECT_TRUE(second.get());
}

TEST_F(ModelGateTest, OvertakingEndsWithPatience) {
    std::optional<ModelGate::Lease> first = gate.acquire("p", "a", stop).value();
    OnThread other([&] { return gate.acquire("p", "b", stop).has_value(); });
    wait_for_tries(2);
    EXPECT_TRUE(gate.acquire("p", "a", stop)) << "a job for the loaded model may go ahead for a while";
    seconds = 10;
    api::StopFlag late_stop = false;
    const int tries = models.tries;
    OnThread late([&] { return gate.acquire("p", "a", late_stop).error().code; });
    wait_for_tries(tries + 3);  // all of them by the one that waits longest
    late_stop = true;
    EXPECT_EQ(late.get(), Errc::kCancelled);
    first.reset();
    EXPECT_TRUE(other.get());
    EXPECT_EQ(models.users, 0);
}

TEST_F(ModelGateTest, WhoIsStoppedLeavesTheQueue) {
    std::optional<ModelGate::Lease> first = gate.acquire("p", "a", stop).value();
    api::StopFlag other_stop = false;
    OnThread other([&] { return gate.acquire("p", "b", other_stop).error().code; });
    wait_for_tries(2);
    seconds = 10;
    other_stop = true;
    EXPECT_EQ(other.get(), Errc::kCancelled);
    EXPECT_TRUE(gate.acquire("p", "a", stop)) << "nobody stands in the way";
}

}  // namespace
}  // namespace framegrid::engine
