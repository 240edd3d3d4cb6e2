#include <framegrid/market/pool.hpp>

#include <set>

#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/seeded_random.hpp>

#include <gtest/gtest.h>

namespace framegrid::market {
namespace {

using namespace std::chrono_literals;

class PoolTest : public testing::Test {
  protected:
    static api::OrchestratorInfo info(std::uint32_t capacity = 4, Price price = {0, 1}) {
        api::OrchestratorInfo out;
        out.service_uri = "https://node";
        out.price = price;
        out.capabilities = job::default_capabilities();
        out.capabilities->capacities[0] = capacity;
        return out;
    }
    std::vector<Slot> make(Pool& pool, std::size_t count) {
        std::vector<std::string> uris;
        for (std::size_t i = 0; i < count; ++i) {
            uris.push_back("https://node" + std::to_string(i));
        }
        pool.set_list(uris);
        std::vector<Slot> slots;
        for (const auto& uri : uris) {
            slots.push_back(*pool.find(uri));
            pool.on_info(slots.back(), info(), now());
        }
        return slots;
    }
    TimePoint now() const { return clock_.now(); }
    Demand demand() const {
        Demand out;
        out.needs = job::transcode_needs({}, job::SourceCodec::kH264, false);
        return out;
    }
    Verdict verdict(const Pool& pool, Slot slot, const Demand& demand) const {
        for (const auto& one : pool.explain(demand, now(), 10).listed) {
            if (one.uri == pool.uri(slot)) {
                return one;
            }
        }
        ADD_FAILURE() << "not looked at";
        return {};
    }
    ManualClock clock_;
    SeededRandom random_{7};
};

TEST_F(PoolTest, NobodyIsPickedBeforeDiscoveryAnswered) {
    Pool pool({});
    pool.set_list({"https://a"});
    EXPECT_FALSE(pool.pick(demand(), now(), random_));
    EXPECT_FALSE(pool.could_serve(demand(), now()));
    pool.on_info(*pool.find("https://a"), info(), now());
    EXPECT_TRUE(pool.pick(demand(), now(), random_));
}

TEST_F(PoolTest, RemembersWhichModelsWereEverOffered) {
    PoolSettings settings;
    settings.models_seen_max = 2;
    Pool pool(settings);
    const auto slots = make(pool, 2);
    const auto offers = [&](Slot slot, const std::string& model) {
        auto with = info();
        with.capabilities->add_model(job::Capability::kUpscale, model, {.warm = true, .capacity = 1});
        pool.on_info(slot, with, now());
    };
    EXPECT_FALSE(pool.ever_offered(job::Capability::kUpscale, "a"));
    offers(slots[0], "a");
    EXPECT_TRUE(pool.ever_offered(job::Capability::kUpscale, "a"));
    EXPECT_FALSE(pool.ever_offered(job::Capability::kUpscale, "b"));
    EXPECT_FALSE(pool.ever_offered(job::Capability::kTextToImage, "a"));
    pool.on_info(slots[0], info(), now());  // its worker has left
    pool.on_info_failed(slots[0]);
    pool.set_list({});
    EXPECT_TRUE(pool.ever_offered(job::Capability::kUpscale, "a"));
    pool.set_list({"https://node1"});
    offers(*pool.find("https://node1"), "b");
    EXPECT_TRUE(pool.ever_offered(job::Capability::kUpscale, "c")) << "no more are remembered";
}

TEST_F(PoolTest, FailureSuspendsWithDoublingBackOff) {
    Pool pool({});
    const auto slots = make(pool, 1);
    Duration last{};
    for (int i = 0; i < 4; ++i) {
        ASSERT_TRUE(pool.pick(demand(), now(), random_));
        pool.on_started(slots[0]);
        pool.on_failed(slots[0], std::nullopt, now(), random_);
        EXPECT_FALSE(pool.pick(demand(), now(), random_));
        EXPECT_TRUE(pool.could_serve(demand(), now()));
        const auto release = pool.next_release(demand(), now());
        ASSERT_TRUE(release);
        EXPECT_GT(*release - now(), last);
        last = *release - now();
        clock_.advance_to(*release);
    }
    EXPECT_LE(last, 12s);
    pool.on_started(slots[0]);
    pool.on_done(slots[0], std::nullopt, 0.5);
    EXPECT_EQ(pool.view(now())[0].failures, 0u);
}

TEST_F(PoolTest, ExplainsWhyNobodyTakesAJob) {
    Pool pool({.price_max = Price{100, 1}});
    EXPECT_EQ(pool.explain(demand(), now(), 5).summary(), "no orchestrators are known");
    const auto slots = make(pool, 7);
    auto want = demand();
    want.price_max = Price{50, 1};
    pool.on_info(slots[0], info(4, {70, 1}), now());
    pool.on_info(slots[1], info(4, {60, 1}), now());
    pool.on_started(slots[2]);
    pool.on_failed(slots[2], std::nullopt, now(), random_);
    pool.on_started(slots[3]);
    pool.on_busy(slots[3], now());
    auto other = info();
    other.capabilities->bits = job::bitstring({1, 2, 3});
    pool.on_info(slots[4], other, now());
    pool.on_info_failed(slots[5]);
    want.exclude.push_back(slots[6]);
    EXPECT_FALSE(pool.pick(want, now(), random_));
    const auto why = pool.explain(want, now(), 6);
    EXPECT_EQ(why.considered(), 7u);
    ASSERT_EQ(why.listed.size(), 6u) << "the one that could never do it comes last, and is not listed";
    EXPECT_EQ(why.listed[0].detail, "asks 70 wei per 1, the limit is 50 wei per 1");
    EXPECT_EQ(why.listed[2].obstacle, Obstacle::kSuspended);
    EXPECT_EQ(why.listed[2].detail.find("1 failures in a row, asked again in "), 0u);
    EXPECT_EQ(
        why.summary(),
        "of 7 orchestrators 1 cannot be reached, 1 does not offer what the job needs, "
        "2 ask too much (the cheapest 60 wei per 1), 1 rests after failures, 1 said that it is full and "
        "1 has failed at this job"
    );
    EXPECT_EQ(pool.explain(want, now(), 7).listed.back().detail, "lacks H.264, Storage direct, Auth token");
}

TEST_F(PoolTest, WhoLostAJobIsToldWhyOnce) {
    Pool pool({});
    const auto slots = make(pool, 6);
    auto want = demand();
    want.price_max = Price{50, 1};
    want.price_told = true;
    pool.on_info(slots[0], info(4, {70, 1}), now());
    pool.on_started(slots[1]);
    pool.on_failed(slots[1], std::nullopt, now(), random_);
    pool.on_started(slots[2]);
    pool.on_busy(slots[2], now());
    auto other = info();
    other.capabilities->bits = job::bitstring({1, 2, 3});
    pool.on_info(slots[3], other, now());
    (void)pool.take_lost(slots[3]);
    const auto taken = pool.pick(want, now(), random_);
    ASSERT_TRUE(taken);
    const auto idle = *taken == slots[4] ? slots[5] : slots[4];
    want.counted = true;  // as after a first attempt: it is still one job
    EXPECT_TRUE(pool.pick(want, now(), random_));
    pool.on_refused(want, now());
    EXPECT_EQ(pool.take_lost(slots[0]), (api::LostJobs{1, 0, 0, 0, 0, Price{50, 1}}));
    EXPECT_EQ(pool.take_lost(slots[1]), (api::LostJobs{0, 0, 0, 1, 0, {}}));
    EXPECT_EQ(pool.take_lost(slots[2]), (api::LostJobs{0, 0, 1, 0, 0, {}}));
    EXPECT_EQ(pool.take_lost(slots[3]), (api::LostJobs{0, 1, 0, 0, 0, {}}));
    EXPECT_EQ(pool.take_lost(idle), (api::LostJobs{0, 0, 0, 0, 1, {}}));
    EXPECT_TRUE(pool.take_lost(*taken).empty()) << "it got the job";
    for (const auto slot : slots) {
        EXPECT_TRUE(pool.take_lost(slot).empty()) << "told once";
    }
}

TEST_F(PoolTest, ALimitThatIsMadeOfOthersPricesIsNotTold) {
    Pool pool({});
    const auto slots = make(pool, 2);
    pool.on_info(slots[0], info(4, {70, 1}), now());
    auto want = demand();
    want.price_max = Price{50, 1};
    ASSERT_EQ(pool.pick(want, now(), random_), slots[1]);
    EXPECT_EQ(pool.take_lost(slots[0]), (api::LostJobs{1, 0, 0, 0, 0, {}}));
    // The gateway's own limit is no secret, and of two the higher one is told.
    want.price_max.reset();
    for (const std::int64_t limit : {60, 65, 62}) {
        pool.set_price_max(Price{limit, 1});
        ASSERT_TRUE(pool.pick(want, now(), random_));
    }
    EXPECT_EQ(pool.take_lost(slots[0]), (api::LostJobs{3, 0, 0, 0, 0, Price{65, 1}}));
}

TEST_F(PoolTest, AJobThatNobodyTookIsLostByAllAndComesBackWhenNotTold) {
    Pool pool({});
    const auto slots = make(pool, 2);
    auto other = info();
    other.capabilities->bits = job::bitstring({1, 2, 3});
    pool.on_info(slots[1], other, now());
    (void)pool.take_lost(slots[1]);
    pool.on_info_failed(slots[0]);
    EXPECT_FALSE(pool.pick(demand(), now(), random_));
    EXPECT_FALSE(pool.pick(demand(), now(), random_)) << "waits";
    EXPECT_TRUE(pool.take_lost(slots[0]).empty()) << "nobody has lost it yet";
    pool.on_refused(demand(), now());
    const auto lost = pool.take_lost(slots[0]);
    EXPECT_EQ(lost, (api::LostJobs{0, 0, 0, 1, 0, {}}));
    pool.return_lost(slots[0], lost);
    pool.on_refused(demand(), now());
    EXPECT_EQ(pool.take_lost(slots[0]).suspended, 2u);
    EXPECT_EQ(pool.take_lost(slots[1]).capability, 2u);
    EXPECT_TRUE(pool.take_lost(1'000).empty());
}

TEST_F(PoolTest, LostCapabilitiesAreExactWhileKindsOfJobsComeAndGo) {
    PoolSettings settings;
    settings.needs_kinds_max = 3;
    Pool pool(settings);
    const auto slots = make(pool, 2);
    // The first does H.264 alone; the second all there is.
    auto narrow = info();
    narrow.capabilities->bits = demand().needs.bits;
    pool.on_info(slots[0], narrow, now());
    std::uint64_t expected = 0;
    std::uint64_t told = 0;
    for (int i = 0; i < 400; ++i) {
        Demand want;
        const auto kind = random_.below(8);
        if (kind < 6) {
            want.needs = job::ai_needs(job::Capability::kUpscale, "model-" + std::to_string(kind));
            ++expected;
        } else {
            want = demand();
        }
        pool.pick(want, now(), random_) ? void() : pool.on_refused(want, now());
        if (random_.chance(0.1)) {
            told += pool.take_lost(slots[0]).capability;
        }
    }
    told += pool.take_lost(slots[0]).capability;
    EXPECT_EQ(told, expected);
    // What it lost before it offered this stays lost; afterwards it does not lose by that.
    Demand upscale;
    upscale.needs = job::ai_needs(job::Capability::kUpscale, "model-0");
    pool.on_refused(upscale, now());
    auto wide = narrow;
    wide.capabilities->bits = job::bitstring({1, 2, 3});
    pool.on_info(slots[0], wide, now());
    pool.on_info(slots[0], narrow, now());
    (void)pool.pick(demand(), now(), random_);
    EXPECT_EQ(pool.take_lost(slots[0]).capability, 1u);
}

TEST_F(PoolTest, BusyIsNotBad) {
    Pool pool({});
    const auto slots = make(pool, 1);
    pool.on_started(slots[0]);
    pool.on_busy(slots[0], now());
    EXPECT_FALSE(pool.pick(demand(), now(), random_));
    EXPECT_EQ(pool.view(now())[0].failures, 0u);
    clock_.advance(200ms);
    EXPECT_TRUE(pool.pick(demand(), now(), random_));
}

TEST_F(PoolTest, PriceCapsExclude) {
    PoolSettings settings;
    settings.price_max = Price{10, 1};
    Pool pool(settings);
    const auto slots = make(pool, 2);
    pool.on_info(slots[0], info(4, {21, 2}), now());
    pool.on_info(slots[1], info(4, {10, 1}), now());
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(pool.pick(demand(), now(), random_), slots[1]);
    }
    Demand frugal = demand();
    frugal.price_max = Price{9, 1};
    EXPECT_FALSE(pool.pick(frugal, now(), random_));
    EXPECT_FALSE(pool.could_serve(frugal, now()));
}

TEST_F(PoolTest, AQuoteCountsWithTheDearestThatIsNotOutrageous) {
    Pool pool({});
    EXPECT_FALSE(pool.price_for(demand(), now()));
    const auto slots = make(pool, 3);
    pool.on_info(slots[0], info(4, {10, 1}), now());
    pool.on_info(slots[1], info(4, {19, 1}), now());
    pool.on_info(slots[2], info(4, {9'000'000'000'000'000'000, 1}), now());
    EXPECT_EQ(pool.price_for(demand(), now()), (Price{19, 1}));
    EXPECT_EQ(pool.price_of(slots[0], demand()), (Price{10, 1}));
    auto capped = demand();
    capped.price_max = Price{12, 1};
    EXPECT_EQ(pool.price_for(capped, now()), (Price{10, 1}));
    capped.price_max = Price{9, 1};
    EXPECT_FALSE(pool.price_for(capped, now()));
    // A node whose workers left a moment ago may be back before the work begins.
    auto without = info(4, {10, 1});
    without.capabilities->bits.clear();
    pool.on_info(slots[0], without, now());
    EXPECT_EQ(pool.price_for(demand(), now()), (Price{19, 1}));
}

TEST_F(PoolTest, WhoLostItsWorkersIsHopedForAMomentAndRemembered) {
    Pool pool({});
    const auto slots = make(pool, 2);
    Demand want = demand();
    ASSERT_TRUE(pool.pick(want, now(), random_));
    auto idle = info();
    idle.capabilities = job::Capabilities{};
    pool.on_info(slots[1], idle, now());
    want.exclude = {slots[0]};
    EXPECT_FALSE(pool.pick(want, now(), random_));
    EXPECT_TRUE(pool.could_serve(want, now()));
    clock_.advance(1h);
    EXPECT_FALSE(pool.could_serve(want, now()));
    EXPECT_TRUE(pool.ever_could_serve(want));
    want.exclude = slots;
    EXPECT_FALSE(pool.ever_could_serve(want)) << "it has been asked";
    want.exclude = {slots[0]};
    pool.set_list({"https://node0"});
    EXPECT_FALSE(pool.ever_could_serve(want)) << "it has left the list";
}

TEST_F(PoolTest, ExcludedAndFullComeLast) {
    Pool pool({});
    const auto slots = make(pool, 3);
    for (int i = 0; i < 4; ++i) {
        pool.on_started(slots[0]);
    }
    Demand want = demand();
    want.exclude = {slots[1]};
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(pool.pick(want, now(), random_), slots[2]);
    }
    want.exclude = {slots[1], slots[2]};
    EXPECT_EQ(pool.pick(want, now(), random_), slots[0]) << "a full node is better than none";
}

TEST_F(PoolTest, OneOfEverythingSaysNothingAboutANodeOfAnotherMake) {
    Pool pool({});
    const auto slots = make(pool, 2);
    pool.on_info(slots[0], info(1), now());
    auto ours = info(1);
    ours.capabilities->add(job::Capability::kOtherDecode, 1);
    pool.on_info(slots[1], ours, now());
    for (const Slot slot : slots) {
        pool.on_started(slot);
    }
    EXPECT_EQ(verdict(pool, slots[0], demand()).obstacle, Obstacle::kNone);
    EXPECT_EQ(verdict(pool, slots[1], demand()).obstacle, Obstacle::kFull) << "one of ours means it";
    for (int i = 1; i < 10; ++i) {
        EXPECT_EQ(verdict(pool, slots[0], demand()).obstacle, Obstacle::kNone) << i;
        pool.on_started(slots[0]);
    }
    EXPECT_EQ(verdict(pool, slots[0], demand()).obstacle, Obstacle::kFull) << "ten by default";
    pool.on_info(slots[0], info(20), now());
    EXPECT_EQ(verdict(pool, slots[0], demand()).obstacle, Obstacle::kNone) << "it says something";
}

TEST_F(PoolTest, AModelHasItsOwnCapacity) {
    Pool pool({});
    const auto slots = make(pool, 1);
    auto offer = info(1);
    offer.capabilities->add_model(job::Capability::kUpscale, "three", {.warm = true, .capacity = 3});
    offer.capabilities->add_model(job::Capability::kUpscale, "one", {.warm = true, .capacity = 1});
    pool.on_info(slots[0], offer, now());
    const auto full = [&](const std::string& model) {
        Demand want;
        want.needs = job::ai_needs(job::Capability::kUpscale, model);
        want.capability = job::Capability::kUpscale;
        want.model_id = model;
        const auto found = verdict(pool, slots[0], want);
        EXPECT_TRUE(found.obstacle == Obstacle::kNone || found.obstacle == Obstacle::kFull);
        return found.obstacle == Obstacle::kFull ? found.detail : "";
    };
    EXPECT_EQ(full("one"), "");
    pool.on_started(slots[0]);
    EXPECT_EQ(full("one"), "1 of 1 under way");
    EXPECT_EQ(full("three"), "");
    pool.on_started(slots[0]);
    pool.on_started(slots[0]);
    EXPECT_EQ(full("three"), "3 of 3 under way");
}

TEST_F(PoolTest, AJobsConstraintsLeaveOthersOut) {
    PoolSettings settings;
    settings.sample_size = 4;
    Pool pool(settings);
    const auto slots = make(pool, 50);
    Demand want = demand();
    want.constraints.orchestrators = {"https://node7/", "https://node8"};
    want.constraints.avoid = {"https://node8"};
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(pool.pick(want, now(), random_), slots[7]);
    }
    EXPECT_TRUE(pool.could_serve(want, now()));
    EXPECT_TRUE(pool.price_for(want, now()));
    want.constraints.orchestrators = {"https://nobody"};
    EXPECT_FALSE(pool.pick(want, now(), random_));
    EXPECT_FALSE(pool.could_serve(want, now()));
    EXPECT_FALSE(pool.price_for(want, now()));
    EXPECT_EQ(
        pool.explain(want, now(), 1).summary(), "of 50 orchestrators 50 are left out by the job's constraints"
    );
}

TEST_F(PoolTest, FastNodesGetMoreWorkAndNewcomersAreTried) {
    Pool pool({});
    const auto slots = make(pool, 3);
    pool.on_done(slots[0], std::nullopt, 0.2);
    pool.on_done(slots[1], std::nullopt, 2.0);
    std::map<Slot, int> count;
    for (int i = 0; i < 300; ++i) {
        ++count[*pool.pick(demand(), now(), random_)];
    }
    EXPECT_GT(count[slots[0]], 250);
    pool.on_started(slots[0]);
    pool.on_started(slots[0]);
    pool.on_started(slots[0]);
    pool.on_done(slots[0], std::nullopt, 0.6);
    pool.on_started(slots[0]);
    EXPECT_EQ(*pool.pick(demand(), now(), random_), slots[2]) << "an unmeasured node beats a loaded one";
}

// A node that takes AI jobs and never answers was a newcomer for ever: one AI job in ten lost its whole time.
TEST_F(PoolTest, WhoFailsAtAKindOfWorkIsNoNewcomerAtIt) {
    Pool pool({});
    const auto slots = make(pool, 3);
    Demand upscale;
    upscale.capability = job::Capability::kUpscale;
    upscale.needs = job::ai_needs(*upscale.capability, "m");
    for (const Slot slot : slots) {
        auto with_model = info();
        with_model.capabilities->add_model(*upscale.capability, "m", {.warm = true, .capacity = 1});
        pool.on_info(slot, with_model, now());
    }
    pool.on_done(slots[0], upscale.capability, 0.2);
    pool.on_done(slots[1], upscale.capability, 0.8);
    const auto share = [&](const Demand& want) {
        int picked = 0;
        for (int i = 0; i < 2000; ++i) {
            picked += pool.pick(want, now(), random_) == slots[2] ? 1 : 0;
        }
        return picked / 2000.0;
    };
    EXPECT_NEAR(share(upscale), 0.1, 0.03);
    for (int i = 0; i < 4; ++i) {
        pool.on_started(slots[2]);
        pool.on_failed(slots[2], upscale.capability, now(), random_);
        clock_.advance(1min);
    }
    EXPECT_NEAR(share(upscale), 0.1 / 16, 0.006);
    EXPECT_GT(share(upscale), 0) << "it may have been mended";
    EXPECT_NEAR(share(demand()), 1.0 / 3, 0.05) << "its transcoding has done nobody harm";
    pool.on_done(slots[2], upscale.capability, 0.02);
    EXPECT_EQ(share(upscale), 1);
}

TEST_F(PoolTest, WhoFailedGetsOneJobAtATimeUntilItHasDoneOne) {
    Pool pool({});
    const auto slots = make(pool, 2);
    pool.on_done(slots[0], std::nullopt, 0.01);
    pool.on_done(slots[1], std::nullopt, 2.0);
    pool.on_started(slots[0]);
    pool.on_failed(slots[0], std::nullopt, now(), random_);
    clock_.advance(2s);
    EXPECT_EQ(pool.pick(demand(), now(), random_), slots[0]);
    pool.on_started(slots[0]);
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(pool.pick(demand(), now(), random_), slots[1]);
    }
    Demand only = demand();
    only.exclude = {slots[1]};
    EXPECT_EQ(pool.pick(only, now(), random_), slots[0]) << "better than none";
    pool.on_done(slots[0], std::nullopt, 0.01);
    pool.on_started(slots[0]);
    EXPECT_EQ(pool.pick(demand(), now(), random_), slots[0]);
}

TEST_F(PoolTest, WarmModelsArePreferred) {
    Pool pool({});
    const auto slots = make(pool, 2);
    for (const Slot slot : slots) {
        auto with_model = info();
        with_model.capabilities->add_model(
            job::Capability::kUpscale, "framegrid/sr-2x", {.warm = slot == slots[1], .capacity = 1}
        );
        pool.on_info(slot, with_model, now());
    }
    const auto models = pool.models();
    ASSERT_EQ(models.size(), 1U);
    EXPECT_EQ(models.front().id, "framegrid/sr-2x");
    EXPECT_EQ(models.front().nodes, 2U);
    EXPECT_EQ(models.front().warm_nodes, 1U);
    Demand want;
    want.capability = job::Capability::kUpscale;
    want.model_id = "framegrid/sr-2x";
    want.needs = job::ai_needs(*want.capability, want.model_id);
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(pool.pick(want, now(), random_), slots[1]);
    }
    want.model_id = "framegrid/none";
    want.needs = job::ai_needs(*want.capability, want.model_id);
    EXPECT_FALSE(pool.pick(want, now(), random_));
}

TEST_F(PoolTest, CapabilityChangesAreSeenAtOnce) {
    Pool pool({});
    const auto slots = make(pool, 1);
    ASSERT_TRUE(pool.pick(demand(), now(), random_));
    auto without = info();
    without.capabilities->bits = job::bitstring({1, 12});
    pool.on_info(slots[0], without, now());
    EXPECT_FALSE(pool.pick(demand(), now(), random_));
    pool.on_info(slots[0], info(), now());
    EXPECT_TRUE(pool.pick(demand(), now(), random_));
}

TEST_F(PoolTest, RemovedNodesAreForgotten) {
    Pool pool({});
    make(pool, 5);
    pool.set_list({"https://node3"});
    EXPECT_EQ(pool.size(), 1u);
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(pool.uri(*pool.pick(demand(), now(), random_)), "https://node3");
    }
}

TEST_F(PoolTest, FindsTheOneUsableNodeAmongThousands) {
    Pool pool({});
    const auto slots = make(pool, 3000);
    for (const Slot slot : slots) {
        if (slot != slots[1234]) {
            pool.on_started(slot);
            pool.on_failed(slot, std::nullopt, now(), random_);
        }
    }
    EXPECT_EQ(pool.pick(demand(), now(), random_), slots[1234]);
}

TEST_F(PoolTest, SameSeedSamePicks) {
    std::vector<Slot> runs[2];
    for (auto& run : runs) {
        Pool pool({});
        make(pool, 500);
        SeededRandom random(99);
        for (int i = 0; i < 100; ++i) {
            run.push_back(*pool.pick(demand(), now(), random));
            pool.on_started(run.back());
        }
    }
    EXPECT_EQ(runs[0], runs[1]);
    EXPECT_GT(std::set<Slot>(runs[0].begin(), runs[0].end()).size(), 50u);
}

}  // namespace
}  // namespace framegrid::market
