#include <framegrid/gateway/spending.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/seeded_random.hpp>
#include <framegrid/runtime/task_group.hpp>

#include <gtest/gtest.h>

namespace framegrid::gateway {
namespace {

using namespace std::chrono_literals;
using Records = std::vector<account::KeyRecord>;

// Remembers what was spent, and nothing else; fails while it is `broken`, does nothing for an hour while it
// is `stuck`, and does what it is told without an answer while it is `mute`.
class FakeStore final : public api::KeyStore {
  public:
    explicit FakeStore(Clock& clock) : clock_(clock) {}
    Task<Result<void>> add(account::KeyRecord) override { co_return none(); }
    Task<Result<account::KeyRecord>> find(std::string) override { co_return none(); }
    Task<Result<Records>> list(std::string) override { co_return none(); }
    Task<Result<account::KeyRecord>> revoke(std::string, std::int64_t) override { co_return none(); }
    Task<Result<void>> rotate(std::string, account::KeyRecord, std::int64_t) override { co_return none(); }
    Task<Result<Records>> top_up(std::string, Wei, std::int64_t) override { co_return none(); }
    Task<Result<Records>> changed_after(std::uint64_t, std::size_t) override { co_return none(); }
    Task<Result<account::Spent>> spent(std::string owner) override {
        ++reads;
        if (broken) {
            co_return none();
        }
        co_return spent_[owner];
    }
    Task<Result<account::Spent>> count_spent(
        std::string owner, std::string series, std::int64_t day, account::Counted counted
    ) override {
        if (stuck) {
            co_await sleep_for(clock_, 1h);
        }
        if (broken) {
            co_return none();
        }
        auto& known = series_[owner + " " + series];
        spent_[owner] = account::after(spent_[owner], day, known, counted);
        known = {std::max(known.amount, counted.amount), std::max(known.back, counted.back)};
        if (mute) {
            co_await sleep_for(clock_, 1h);
        }
        co_return spent_[owner];
    }
    Wei total(const std::string& owner) { return spent_[owner].total; }
    bool broken = false;
    bool stuck = false;
    bool mute = false;
    int reads = 0;

  private:
    static std::unexpected<Error> none() { return fail(Errc::kIo, "the disk is gone"); }
    Clock& clock_;
    std::map<std::string, account::Spent> spent_;
    std::map<std::string, account::Counted> series_;
};

class SpendingTest : public testing::Test {
  protected:
    SpendingTest() { restart(); }
    void restart() {
        book_ = std::make_unique<Spending>(clock_, random_, Logger());
        book_->limit(
            [](const std::string& owner) {
                account::Limits limits;
                if (owner != "rich") {
                    limits.wei_per_day = Wei(100);
                }
                return limits;
            },
            &store_
        );
    }
    static Task<void> pay(
        Spending& book, account::Permit permit, Wei most, Wei cost, Deadline deadline, Result<void>& out
    ) {
        auto held = co_await book.hold(std::move(permit), std::move(most), deadline);
        if (held) {
            co_await held->settle(std::move(cost));
        }
        out = held ? Result<void>{} : fail(std::move(held.error()));
    }
    static Task<void> hold(
        Spending& book, account::Permit permit, Wei most, Deadline deadline,
        std::optional<Result<Spending::Held>>& out
    ) {
        out.emplace(co_await book.hold(std::move(permit), std::move(most), deadline));
    }
    void poll() {
        loop_.restart();
        loop_.poll();
    }
    // A job that may cost `most` and does cost `cost`.
    Result<void> job(Wei most, Wei cost, const std::optional<account::Limits>& key = std::nullopt) {
        Result<void> out = fail(Errc::kInternal, "not finished");
        group_.spawn(
            pay(*book_, *book_->permit_of("acme", key), std::move(most), std::move(cost),
                Deadline::after(clock_, 1min), out)
        );
        for (int i = 0; i < 20; ++i) {
            loop_.restart();
            loop_.poll();
            clock_.advance(500ms);
        }
        return out;
    }

    boost::asio::io_context loop_{1};
    ManualClock clock_;
    SeededRandom random_{1};
    FakeStore store_{clock_};
    std::unique_ptr<Spending> book_;
    TaskGroup group_{loop_.get_executor(), 100};
};

TEST_F(SpendingTest, ARestartForgetsNothing) {
    EXPECT_FALSE(book_->permit_of("rich"));
    EXPECT_FALSE(book_->permit_of(""));
    ASSERT_TRUE(job(80, 60));
    EXPECT_EQ(store_.total("acme"), 60);
    restart();
    const auto refused = job(50, 50);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, "wei_per_day");
    EXPECT_TRUE(job(40, 40));
    EXPECT_FALSE(job(1, 1));
    EXPECT_EQ(store_.reads, 2) << "once in each process";
    restart();
    clock_.advance(24h);
    EXPECT_TRUE(job(100, 100)) << "another day";
    EXPECT_EQ(store_.total("acme"), 200);
}

TEST_F(SpendingTest, ACrashForgetsNothingOfWhatWasPaidFor) {
    std::unique_ptr<Spending> crashed;  // outlives what it holds back
    ASSERT_TRUE(job(10, 10));
    // Two jobs are under way: one is paid for, one is still to be.
    const auto begin = [this](Wei most) {
        std::optional<Result<Spending::Held>> out;
        group_.spawn(
            hold(*book_, *book_->permit_of("acme"), std::move(most), Deadline::after(clock_, 1min), out)
        );
        poll();
        return out;
    };
    auto paid = begin(40);
    auto unpaid = begin(30);
    ASSERT_TRUE(*paid && *unpaid);
    group_.spawn(paid->value().charge());
    group_.spawn(paid->value().charge());  // a second attempt of the same job
    poll();
    EXPECT_EQ(store_.total("acme"), 50) << "once, before anybody is paid";
    EXPECT_FALSE(job(21, 0)) << "what is held back does not count twice";
    ASSERT_TRUE(job(20, 0));
    crashed = std::move(book_);
    restart();
    EXPECT_FALSE(job(51, 0));
    ASSERT_TRUE(job(50, 0)) << "what was never paid for is free again";
    EXPECT_EQ(store_.total("acme"), 50);
    std::swap(crashed, book_);
    group_.spawn(paid->value().settle(15));
    poll();
    EXPECT_EQ(store_.total("acme"), 25) << "had it lived on";
}

TEST_F(SpendingTest, WhatWasChargedForNothingIsTakenBack) {
    {
        std::optional<Result<Spending::Held>> held;
        group_.spawn(hold(*book_, *book_->permit_of("acme"), 80, Deadline::after(clock_, 1min), held));
        poll();
        group_.spawn(held->value().charge());
        poll();
        EXPECT_EQ(store_.total("acme"), 80);
    }
    ASSERT_TRUE(job(90, 0)) << "cancelled: it counts no more";
    EXPECT_EQ(store_.total("acme"), 0) << "the store hears of it with the next job";
    {
        std::optional<Result<Spending::Held>> held;
        group_.spawn(hold(*book_, *book_->permit_of("acme"), 70, Deadline::after(clock_, 1min), held));
        poll();
        group_.spawn(held->value().charge());
        poll();
        clock_.advance(24h);
    }
    group_.spawn(book_->write_rest());
    poll();
    EXPECT_EQ(store_.total("acme"), 0) << "or without one";
    EXPECT_TRUE(job(100, 100));
}

TEST_F(SpendingTest, AStoreThatIsAwayCostsNoJob) {
    ASSERT_TRUE(job(1, 1));
    std::optional<Result<Spending::Held>> held;
    group_.spawn(hold(*book_, *book_->permit_of("acme"), 50, Deadline::after(clock_, 1min), held));
    poll();
    store_.broken = true;
    group_.spawn(held->value().charge());
    poll();
    EXPECT_FALSE(job(50, 0));
    group_.spawn(held->value().settle(20));
    poll();
    store_.broken = false;
    ASSERT_TRUE(job(5, 5));
    EXPECT_EQ(store_.total("acme"), 26);
}

TEST_F(SpendingTest, NobodySpendsWhileThePastIsUnknown) {
    store_.broken = true;
    EXPECT_EQ(job(1, 1).error().code, Errc::kUnavailable);
    store_.broken = false;
    EXPECT_TRUE(job(1, 1));
}

TEST_F(SpendingTest, WhatCouldNotBeWrittenCountsAndComesWithTheNext) {
    ASSERT_TRUE(job(10, 10));
    store_.broken = true;
    ASSERT_TRUE(job(20, 20)) << "the job is done: its result is not lost for that";
    store_.broken = false;
    store_.stuck = true;
    ASSERT_TRUE(job(30, 30));
    EXPECT_EQ(store_.total("acme"), 10);
    store_.stuck = false;
    EXPECT_FALSE(job(41, 0)) << "it counts";
    ASSERT_TRUE(job(40, 5));
    EXPECT_EQ(store_.total("acme"), 65);
}

TEST_F(SpendingTest, WhatWasWrittenWithoutAnAnswerIsNotWrittenTwice) {
    ASSERT_TRUE(job(10, 10));
    store_.mute = true;
    ASSERT_TRUE(job(20, 20));
    EXPECT_EQ(store_.total("acme"), 30);
    store_.mute = false;
    ASSERT_TRUE(job(5, 5));
    EXPECT_EQ(store_.total("acme"), 35);
    restart();
    EXPECT_TRUE(job(65, 65));
    EXPECT_EQ(store_.total("acme"), 100);
}

TEST_F(SpendingTest, WhatWasNotWrittenOnItsDayIsWrittenOnce) {
    store_.mute = true;
    ASSERT_TRUE(job(20, 20));
    store_.mute = false;
    store_.broken = true;
    clock_.advance(24h);
    ASSERT_TRUE(job(30, 30));
    store_.broken = false;
    clock_.advance(24h);
    ASSERT_TRUE(job(5, 5));
    EXPECT_EQ(store_.total("acme"), 55);
}

TEST_F(SpendingTest, AKeysOwnLimitHoldsWhereItIsKnown) {
    account::Limits low;
    low.wei_per_day = Wei(30);
    EXPECT_EQ(book_->permit_of("acme", low)->limits, low);
    EXPECT_EQ(book_->permit_of("acme")->limits.wei_per_day, Wei(100));
    EXPECT_FALSE(book_->permit_of("acme", account::Limits{})) << "a key without one";
    ASSERT_TRUE(job(40, 40));
    EXPECT_FALSE(job(1, 1, low)) << "its owner has spent more than this key may";
    EXPECT_TRUE(job(60, 60));
}

TEST_F(SpendingTest, WhatOthersSpendAtTheSameStoreIsHeardWithAJob) {
    ASSERT_TRUE(job(50, 10));
    auto first = std::move(book_);
    restart();
    ASSERT_TRUE(job(50, 40));  // at another gateway
    std::swap(first, book_);
    ASSERT_TRUE(job(50, 10));
    EXPECT_FALSE(job(41, 0)) << "60 are spent";
    EXPECT_TRUE(job(40, 0));
}

}  // namespace
}  // namespace framegrid::gateway
