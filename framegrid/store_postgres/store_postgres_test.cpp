#include <framegrid/store_postgres/postgres_artifacts.hpp>
#include <framegrid/store_postgres/postgres_jobs.hpp>
#include <framegrid/store_postgres/postgres_keys.hpp>
#include <framegrid/store_postgres/postgres_results.hpp>

#include <unistd.h>

#include <array>
#include <cstdio>

#include <framegrid/api/index_contract_for_test.hpp>
#include <framegrid/api/job_store_contract_for_test.hpp>
#include <framegrid/api/key_store_contract_for_test.hpp>
#include <framegrid/host/loop.hpp>

namespace framegrid::store_postgres {
namespace {

using namespace std::chrono_literals;

// A server for all tests of this process (tests/postgres.sh).
class Server : public testing::Environment {
  public:
    void SetUp() override {
        auto [status, said] = script("start " + std::to_string(::getpid()) + " 2>&1");
        constexpr int kNotInstalled = 77;
        if (status == kNotInstalled) {
            GTEST_SKIP() << said;
        }
        ASSERT_EQ(status, 0) << said;
        said.resize(said.find_last_not_of('\n') + 1);
        folder_ = said;
    }
    void TearDown() override {
        if (!folder_.empty()) {
            (void)script("stop " + folder_);
        }
    }
    void restart() const { EXPECT_EQ(script("restart " + folder_).first, 0); }
    std::string url() const { return "postgres://framegrid@/postgres?host=" + folder_; }

  private:
    static std::pair<int, std::string> script(const std::string& arguments) {
        FILE* const pipe = ::popen((FG_POSTGRES_SCRIPT " " + arguments).c_str(), "r");
        std::string out;
        std::array<char, 256> piece{};
        while (std::fgets(piece.data(), piece.size(), pipe) != nullptr) {
            out += piece.data();
        }
        const int status = ::pclose(pipe);
        return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, out};
    }
    std::string folder_;
};

const Server& server() {
    static const auto* const one = static_cast<const Server*>(testing::AddGlobalTestEnvironment(new Server));
    return *one;
}
[[maybe_unused]] const Server& kServer = server();

class ShiftedClock final : public Clock {
  public:
    ShiftedClock(Clock& clock, Duration shift) : clock_(clock), shift_(shift) {}
    TimePoint now() const override { return clock_.now(); }
    std::int64_t unix_ms() const override { return clock_.unix_ms() + milliseconds(shift_); }
    Timer call_at(TimePoint at, std::move_only_function<void()> fn) override {
        return clock_.call_at(at, std::move(fn));
    }

  private:
    Clock& clock_;
    Duration shift_;
};

class PostgresBench final : public api::KeyStoreBench {
  public:
    PostgresBench() {
        auto connection = Connection::open(server().url());
        EXPECT_TRUE(connection) << connection.error().message;
        EXPECT_TRUE((*connection)->script("DROP SCHEMA IF EXISTS framegrid CASCADE"));
        reopen();
    }
    api::JobStore& store() override { return *jobs_; }
    api::KeyStore& keys() override { return *keys_; }
    Database& database() { return *database_; }
    Clock& clock() { return clock_; }
    std::unique_ptr<Database> another(Clock& clock) {
        auto opened = Database::open({.url = server().url()}, clock);
        EXPECT_TRUE(opened) << opened.error().message;
        return *std::move(opened);
    }
    void reopen() override {
        jobs_.reset();
        keys_.reset();
        database_.reset();
        database_ = another(clock_);
        jobs_.emplace(*database_, clock_);
        keys_.emplace(*database_);
    }

  private:
    host::SteadyClock clock_{loop().get_executor()};
    std::unique_ptr<Database> database_;
    std::optional<PostgresJobs> jobs_;
    std::optional<PostgresKeys> keys_;
};

}  // namespace
}  // namespace framegrid::store_postgres

namespace framegrid::api {
INSTANTIATE_TEST_SUITE_P(Postgres, JobStoreContract, testing::Values(JobStoreFactory([] {
                             return std::make_unique<store_postgres::PostgresBench>();
                         })));
INSTANTIATE_TEST_SUITE_P(Postgres, KeyStoreContract, testing::Values(KeyStoreFactory([] {
                             return std::make_unique<store_postgres::PostgresBench>();
                         })));
}  // namespace framegrid::api

namespace framegrid::store_postgres {
namespace {

TEST(PostgresArtifacts, BytesGoWithTheirLastRecord) {
    PostgresBench bench;
    PostgresArtifacts artifacts(bench.database());
    api::bytes_go_with_their_last_record(bench, artifacts);
}

TEST(PostgresResults, TheNewestOfAKeyUntilItExpires) {
    PostgresBench bench;
    PostgresResults results(bench.database());
    api::the_newest_of_a_key_until_it_expires(bench, results);
}

job::Record queued(int number) {
    job::Record out;
    out.id = "job_" + std::to_string(1'000 + number);
    out.request = "{}";
    out.kind = "echo";
    return out;
}

job::Event event(const std::string& kind, std::int64_t at) {
    return {1, at, kind, "{}"};
}

template <class T>
Task<Result<std::vector<Result<T>>>> gather(std::vector<Task<Result<T>>> tasks) {
    co_return co_await all_of(std::move(tasks));
}

TEST(PostgresJobs, AJobGoesToOneOfTwoGateways) {
    PostgresBench bench;
    const auto other = bench.another(bench.clock());
    PostgresJobs there(*other, bench.clock());
    constexpr int kJobs = 50;
    for (int i = 0; i < kJobs; ++i) {
        (void)bench.run(bench.store().submit(queued(i), event("queued", 5)));
    }
    const auto now = bench.clock().unix_ms();
    std::vector<Task<Result<std::optional<job::Record>>>> claims;
    for (int i = 0; i < kJobs; ++i) {
        claims.push_back(bench.store().claim(queued(i).id, "a", event("started", now), now + 30'000));
        claims.push_back(there.claim(queued(kJobs - 1 - i).id, "b", event("started", now), now + 30'000));
    }
    int taken = 0;
    for (const auto& claimed : bench.run(gather(std::move(claims)))) {
        taken += claimed && *claimed ? 1 : 0;
    }
    // A claim may also find its row locked by one that is undone; then nobody has it yet.
    EXPECT_EQ(taken, kJobs);
    for (int i = 0; i < kJobs; ++i) {
        EXPECT_EQ(bench.run(there.events(queued(i).id, 0, 10)).size(), 2U);
    }
}

TEST(PostgresJobs, HearsWhatOthersChangedOnly) {
    PostgresBench bench;
    const auto other = bench.another(bench.clock());
    PostgresJobs there(*other, bench.clock());
    (void)bench.run(bench.store().submit(queued(1), event("queued", 5)));
    (void)bench.run(bench.store().submit(queued(2), event("queued", 5)));
    const auto now = bench.clock().unix_ms();
    ASSERT_TRUE(bench.run(bench.store().claim(queued(1).id, "a", event("started", now), now + 30'000)));
    ASSERT_TRUE(bench.run(there.claim(queued(2).id, "b", event("started", now), now + 30'000)));
    using Ids = std::vector<std::string>;
    EXPECT_EQ(bench.run(there.foreign_changes(Deadline::after(bench.clock(), 10s))), Ids{queued(1).id});
    EXPECT_EQ(
        bench.run(bench.store().foreign_changes(Deadline::after(bench.clock(), 10s))), Ids{queued(2).id}
    );
    EXPECT_EQ(bench.run(there.foreign_changes(Deadline::after(bench.clock(), 20ms))), Ids{});
    // Who runs it hears that somebody else wants it to end.
    api::JobChange end;
    EXPECT_TRUE(bench.run(there.cancel(queued(1).id, end)).cancel_wanted);
    EXPECT_EQ(
        bench.run(bench.store().foreign_changes(Deadline::after(bench.clock(), 10s))), Ids{queued(1).id}
    );
}

TEST(PostgresJobs, LeasesEndByTheDatabasesClock) {
    PostgresBench bench;
    ShiftedClock ahead(bench.clock(), 1h);
    const auto other = bench.another(ahead);
    PostgresJobs there(*other, ahead);
    (void)bench.run(bench.store().submit(queued(1), event("queued", 5)));
    const auto now = bench.clock().unix_ms();
    ASSERT_TRUE(bench.run(bench.store().claim(queued(1).id, "a", event("started", now), now + 30'000)));
    EXPECT_TRUE(bench.run(there.waiting("", ahead.unix_ms(), 10)).empty());
    const auto seen = bench.run(there.get(queued(1).id)).lease_until_unix_ms - ahead.unix_ms();
    EXPECT_GT(seen, 20'000);
    EXPECT_LE(seen, 32'000);
    const auto late = ahead.unix_ms() + 40'000;
    ASSERT_EQ(bench.run(there.waiting("", late, 10)).size(), 1U);
    EXPECT_TRUE(bench.run(there.claim(queued(1).id, "b", event("started", late), late + 30'000)));
}

TEST(PostgresJobs, GoesOnWhenTheServerCameBack) {
    PostgresBench bench;
    (void)bench.run(bench.store().submit(queued(1), event("queued", 5)));
    server().restart();
    EXPECT_EQ(bench.run(bench.store().get(queued(1).id)).id, queued(1).id);
    EXPECT_TRUE(bench.run(bench.store().submit(queued(2), event("queued", 5))).is_new);
    const auto heard = bench.run(bench.store().foreign_changes(Deadline::after(bench.clock(), 20s)));
    EXPECT_EQ(heard, std::vector<std::string>{""}) << "something may have been missed";
    const auto other = bench.another(bench.clock());
    PostgresJobs there(*other, bench.clock());
    const auto now = bench.clock().unix_ms();
    ASSERT_TRUE(bench.run(there.claim(queued(2).id, "b", event("started", now), now + 30'000)));
    EXPECT_EQ(
        bench.run(bench.store().foreign_changes(Deadline::after(bench.clock(), 10s))),
        std::vector<std::string>{queued(2).id}
    );
}

TEST(PostgresKeys, AnotherProcessSeesChanges) {
    PostgresBench bench;
    const auto other = bench.another(bench.clock());
    PostgresKeys there(*other);
    account::KeyRecord key;
    key.id = "0123456789abcdef";
    key.owner = "acme";
    ASSERT_TRUE(bench.try_run(there.add(key)));
    EXPECT_EQ(bench.run(bench.keys().changed_after(0, 10)).size(), 1U);
    (void)bench.run(there.revoke(key.id, 5));
    EXPECT_EQ(bench.run(bench.keys().changed_after(1, 10)).front().revoked_unix_ms, 5);
}

Task<Result<int>> insert_delivery(Database& database, std::string id, std::string then) {
    co_return co_await database.write([&](Connection& connection) -> Result<int> {
        FG_CHECK(connection.query("INSERT INTO deliveries VALUES ($1, 'j', '', '', 0, 0, 0, 0, '')", {id}));
        if (!then.empty()) {
            FG_CHECK(connection.script(then));
        }
        return 1;
    });
}

std::int64_t deliveries(PostgresBench& bench) {
    return bench.run(bench.database().read([](Connection& connection) -> Result<std::int64_t> {
        FG_TRY(rows, connection.query("SELECT count(*) FROM deliveries"));
        return rows.number(0, 0);
    }));
}

TEST(PostgresDatabase, OneFailureInABatchLeavesTheOthers) {
    PostgresBench bench;
    std::vector<Task<Result<int>>> tasks;
    for (const auto& [id, then] : std::vector<std::pair<std::string, std::string>>{
             {"1", ""}, {"2", "SELECT 1 / 0"}, {"1", ""}, {"3", ""}, {std::string("4\0", 2), ""}
         }) {
        tasks.push_back(insert_delivery(bench.database(), id, then));
    }
    const auto results = bench.run(gather(std::move(tasks)));
    ASSERT_EQ(results.size(), 5U);
    EXPECT_TRUE(results[0] && results[3]);
    EXPECT_FALSE(results[1] || results[2] || results[4]);
    EXPECT_EQ(results[1].error().code, Errc::kIo);
    EXPECT_EQ(results[4].error().code, Errc::kInvalidArgument) << results[4].error().message;
    EXPECT_EQ(deliveries(bench), 2);
}

TEST(PostgresDatabase, ALostConnectionIsMadeAgain) {
    PostgresBench bench;
    const auto hang_up = [&bench](int times) -> Task<Result<int>> {
        return bench.database().write([times](Connection& connection) mutable -> Result<int> {
            if (times-- > 0) {
                FG_CHECK(connection.script("SELECT pg_terminate_backend(pg_backend_pid())"));
            }
            FG_CHECK(connection.query("INSERT INTO deliveries VALUES ('1', 'j', '', '', 0, 0, 0, 0, '')"));
            return 1;
        });
    };
    EXPECT_EQ(bench.run(hang_up(1)), 1);
    const auto twice = bench.try_run(hang_up(2));
    ASSERT_FALSE(twice);
    EXPECT_EQ(twice.error().code, Errc::kIo);
    EXPECT_EQ(deliveries(bench), 1);
    EXPECT_TRUE(bench.try_run(insert_delivery(bench.database(), "2", "")));
    EXPECT_GE(bench.database().stats().reconnects, 2U);
}

TEST(PostgresDatabase, ALostCommitIsAskedFor) {
    PostgresBench bench;
    const auto ended = bench.try_run(insert_delivery(
        bench.database(), "1",
        "CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER hang_up AFTER INSERT ON deliveries DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION hang_up();"
        "INSERT INTO deliveries VALUES ('2', 'j', '', '', 0, 0, 0, 0, '')"
    ));
    ASSERT_FALSE(ended);
    EXPECT_NE(ended.error().message.find("nothing was changed"), std::string::npos) << ended.error().message;
    EXPECT_EQ(deliveries(bench), 0);
}

TEST(PostgresDatabase, RefusesWhatItCannotUse) {
    PostgresBench bench;
    auto connection = Connection::open(server().url());
    ASSERT_TRUE(connection);
    ASSERT_TRUE((*connection)->script("UPDATE schema_version SET version = 999"));
    const auto newer = Database::open({.url = server().url()}, bench.clock());
    ASSERT_FALSE(newer);
    EXPECT_NE(newer.error().message.find("newer version"), std::string::npos) << newer.error().message;
    const auto unreadable = Connection::open("postgres://me:secret@[::1/none");
    ASSERT_FALSE(unreadable);
    EXPECT_EQ(unreadable.error().field, "store");
    EXPECT_EQ(unreadable.error().message.find("secret"), std::string::npos) << unreadable.error().message;
    const auto nowhere = Connection::open("postgres://me:secret@/none?host=/nowhere");
    ASSERT_FALSE(nowhere);
    EXPECT_EQ(nowhere.error().code, Errc::kIo);
    EXPECT_NE(nowhere.error().message.find("cannot be reached"), std::string::npos);
    EXPECT_EQ(nowhere.error().message.find("secret"), std::string::npos) << nowhere.error().message;
}

}  // namespace
}  // namespace framegrid::store_postgres
