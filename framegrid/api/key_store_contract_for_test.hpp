// What every KeyStore must do, as tests that each implementation runs: INSTANTIATE_TEST_SUITE_P with a
// factory.
#pragma once

#include <functional>
#include <memory>

#include <framegrid/api/job_store_contract_for_test.hpp>
#include <framegrid/api/key_store.hpp>

#include <gtest/gtest.h>

namespace framegrid::api {

// Keys lie beside jobs.
class KeyStoreBench : public JobStoreBench {
  public:
    virtual KeyStore& keys() = 0;
};

using KeyStoreFactory = std::function<std::unique_ptr<KeyStoreBench>()>;

class KeyStoreContract : public testing::TestWithParam<KeyStoreFactory> {
  protected:
    static account::KeyRecord record(int number, const std::string& owner = "acme") {
        account::KeyRecord out;
        out.id = "000000000000" + std::to_string(1'000 + number);
        out.secret_sha256.fill(static_cast<std::uint8_t>(number));
        out.name = "key \"" + std::to_string(number) + "\"";
        out.owner = owner;
        out.scopes = {account::Scope::kJobsRead, account::Scope::kLiveWrite};
        out.limits.running_max = 3;
        out.limits.wei_total = account::Wei("100000000000000000000000");
        out.created_unix_ms = 1'000 + number;
        out.expires_unix_ms = 9'000;
        return out;
    }
    void add(const account::KeyRecord& one) { ASSERT_TRUE(bench_->try_run(bench_->keys().add(one))); }
    std::string ids(const std::vector<account::KeyRecord>& records) {
        std::string out;
        for (const auto& one : records) {
            out += one.id.back();
        }
        return out;
    }
    std::unique_ptr<KeyStoreBench> bench_ = GetParam()();
};

TEST_P(KeyStoreContract, KeepsWholeRecords) {
    add(record(1));
    bench_->reopen();
    auto kept = bench_->run(bench_->keys().find(record(1).id));
    EXPECT_GT(kept.change, 0U);
    kept.change = 0;
    EXPECT_EQ(kept, record(1));
    const auto none = bench_->try_run(bench_->keys().find("none"));
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Errc::kNotFound);
    const auto twice = bench_->try_run(bench_->keys().add(record(1)));
    ASSERT_FALSE(twice);
    EXPECT_EQ(twice.error().code, Errc::kInvalidArgument);
    EXPECT_EQ(twice.error().field, "id");
}

TEST_P(KeyStoreContract, KeepsWhatOwnersSpend) {
    const account::Wei large("100000000000000000000000000000000000000000");
    const auto count =
        [this](
            const char* owner, const char* series, std::int64_t day, const Wei& amount, const Wei& back = 0
        ) { return bench_->run(bench_->keys().count_spent(owner, series, day, {amount, back})); };
    EXPECT_EQ(bench_->run(bench_->keys().spent("acme")), account::Spent{});
    EXPECT_EQ(count("acme", "a", 20'000, large), (account::Spent{large, large, 20'000}));
    EXPECT_EQ(count("acme", "a", 20'001, large + 7), (account::Spent{large + 7, 7, 20'001}));
    EXPECT_EQ(count("acme", "b", 20'001, 8).today, 15);
    EXPECT_EQ(count("other", "a", 20'001, 1), (account::Spent{1, 1, 20'001}));
    bench_->reopen();
    EXPECT_EQ(bench_->run(bench_->keys().spent("acme")), (account::Spent{large + 15, 15, 20'001}));
    EXPECT_EQ(count("acme", "b", 20'001, 10, 10), (account::Spent{large + 7, 7, 20'001}));
    EXPECT_EQ(count("acme", "b", 20'001, 10, 10), (account::Spent{large + 7, 7, 20'001})) << "once";
    // Taken back from another day: only the total is less.
    EXPECT_EQ(count("acme", "c", 20'000, 0, large), (account::Spent{7, 7, 20'001}));
}

TEST_P(KeyStoreContract, WhatIsSaidTwiceOrLateIsSpentOnce) {
    const auto count = [this](const std::string& series, const Wei& total) {
        return bench_->run(bench_->keys().count_spent("acme", series, 20'000, {total, 0})).total;
    };
    EXPECT_EQ(count("a", 10), 10);
    EXPECT_EQ(count("a", 10), 10) << "its first answer was lost";
    EXPECT_EQ(count("a", 25), 25);
    EXPECT_EQ(count("a", 10), 25) << "overtaken by a later one";
    EXPECT_EQ(count("b", 10), 35);
    bench_->reopen();
    EXPECT_EQ(count("a", 25), 35);
    EXPECT_EQ(count("b", 11), 36);
    EXPECT_EQ(count("b", 0), 36);
}

TEST_P(KeyStoreContract, OldSeriesAreForgotten) {
    const auto count = [this](const std::string& series, const Wei& total) {
        return bench_->run(bench_->keys().count_spent("acme", series, 20'000, {total, 0})).total;
    };
    EXPECT_EQ(count("old", 1), 1);
    (void)bench_->run(bench_->keys().count_spent("other", "old", 20'000, {1, 0}));
    EXPECT_EQ(count("young", 1), 2);
    for (int i = 0; i < kSpendSeriesMax - 1; ++i) {
        (void)count(std::to_string(i), 1);
    }
    EXPECT_EQ(count("young", 1), kSpendSeriesMax + 1) << "still known";
    EXPECT_EQ(count("old", 1), kSpendSeriesMax + 2) << "room for another one";
    EXPECT_EQ(bench_->run(bench_->keys().count_spent("other", "old", 20'000, {1, 0})).total, 1) << "its own";
}

TEST_P(KeyStoreContract, ListsByAgeAndOwner) {
    add(record(2, "b"));
    add(record(1, "a"));
    add(record(3, "a"));
    EXPECT_EQ(ids(bench_->run(bench_->keys().list(""))), "123");
    EXPECT_EQ(ids(bench_->run(bench_->keys().list("a"))), "13");
    EXPECT_EQ(ids(bench_->run(bench_->keys().list("c"))), "");
}

TEST_P(KeyStoreContract, RevocationsAreOnlyBroughtForward) {
    add(record(1));
    const auto id = record(1).id;
    EXPECT_EQ(bench_->run(bench_->keys().revoke(id, 5'000)).revoked_unix_ms, 5'000);
    EXPECT_EQ(bench_->run(bench_->keys().revoke(id, 6'000)).revoked_unix_ms, 5'000);
    EXPECT_EQ(bench_->run(bench_->keys().revoke(id, 4'000)).revoked_unix_ms, 4'000);
    EXPECT_EQ(bench_->run(bench_->keys().find(id)).revoked_unix_ms, 4'000);
    EXPECT_FALSE(bench_->try_run(bench_->keys().revoke("none", 1)));
}

TEST_P(KeyStoreContract, RotationIsWholeOrNot) {
    add(record(1));
    EXPECT_TRUE(bench_->try_run(bench_->keys().rotate(record(1).id, record(2), 7'000)));
    EXPECT_EQ(bench_->run(bench_->keys().find(record(1).id)).revoked_unix_ms, 7'000);
    EXPECT_EQ(bench_->run(bench_->keys().find(record(2).id)).revoked_unix_ms, 0);
    // The new id is taken: the old key stays as it was.
    EXPECT_FALSE(bench_->try_run(bench_->keys().rotate(record(2).id, record(1), 8'000)));
    EXPECT_EQ(bench_->run(bench_->keys().find(record(2).id)).revoked_unix_ms, 0);
    EXPECT_FALSE(bench_->try_run(bench_->keys().rotate("none", record(3), 8'000)));
    EXPECT_FALSE(bench_->try_run(bench_->keys().find(record(3).id)));
}

TEST_P(KeyStoreContract, ToppingUpRaisesAnOwnersBalance) {
    constexpr std::int64_t kNow = 5'000;
    auto& keys = bench_->keys();
    auto unlimited = record(2);
    unlimited.limits.wei_total.reset();
    for (const auto& one : {record(1), unlimited, record(3, "other"), record(4), record(5)}) {
        add(one);
    }
    (void)bench_->run(keys.revoke(record(4).id, kNow));
    const auto before = bench_->run(keys.changed_after(0, 10)).back().change;
    const auto raised = bench_->run(keys.top_up("acme", account::Wei("900000000000000000000000"), kNow));
    EXPECT_EQ(ids(raised), "15") << "not those without the limit, of others, or that have ended";
    bench_->reopen();
    EXPECT_EQ(ids(bench_->run(bench_->keys().changed_after(before, 10))), "15") << "gateways hear of it";
    auto wanted = record(1);
    wanted.limits.wei_total = account::Wei("1000000000000000000000000");
    auto kept = bench_->run(bench_->keys().find(record(1).id));
    EXPECT_EQ(kept, raised.front());
    kept.change = 0;
    EXPECT_EQ(kept, wanted) << "nothing else is changed";
}

TEST_P(KeyStoreContract, ToppingUpIsWholeOrNot) {
    constexpr std::int64_t kNow = 5'000;
    add(record(1));
    auto rich = record(2);
    rich.limits.wei_total = std::numeric_limits<account::Wei>::max();
    add(rich);
    const auto over = bench_->try_run(bench_->keys().top_up("acme", 1, kNow));
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().field, "amount");
    EXPECT_EQ(bench_->run(bench_->keys().find(record(1).id)).limits, record(1).limits);
    const auto none = bench_->try_run(bench_->keys().top_up("nobody", 1, kNow));
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Errc::kNotFound);
}

TEST_P(KeyStoreContract, ChangesAreFollowedByTheirNumbers) {
    auto& keys = bench_->keys();
    EXPECT_TRUE(bench_->run(keys.changed_after(0, 10)).empty());
    add(record(1));
    add(record(2));
    add(record(3));
    const auto first = bench_->run(keys.changed_after(0, 2));
    EXPECT_EQ(ids(first), "12");
    EXPECT_EQ(ids(bench_->run(keys.changed_after(first.back().change, 10))), "3");
    const auto last = bench_->run(keys.changed_after(0, 10)).back().change;
    (void)bench_->run(keys.revoke(record(1).id, 1));
    EXPECT_EQ(ids(bench_->run(keys.changed_after(last, 10))), "1");
    EXPECT_EQ(ids(bench_->run(keys.changed_after(0, 10))), "231");
    (void)bench_->try_run(keys.rotate(record(2).id, record(4), 1));
    EXPECT_EQ(ids(bench_->run(keys.changed_after(last, 10))), "124");
}

}  // namespace framegrid::api
