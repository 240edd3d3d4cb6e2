#include <framegrid/store_sqlite/sqlite_artifacts.hpp>
#include <framegrid/store_sqlite/sqlite_jobs.hpp>
#include <framegrid/store_sqlite/sqlite_keys.hpp>
#include <framegrid/store_sqlite/sqlite_results.hpp>

#include <fstream>

#include <framegrid/api/index_contract_for_test.hpp>
#include <framegrid/api/job_store_contract_for_test.hpp>
#include <framegrid/api/key_store_contract_for_test.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/runtime/manual_clock.hpp>

namespace framegrid::store_sqlite {
namespace {

class SqliteBench final : public api::KeyStoreBench {
  public:
    SqliteBench() { reopen(); }
    api::JobStore& store() override { return *jobs_; }
    api::KeyStore& keys() override { return *keys_; }
    Database& database() { return *database_; }
    host::Path file() const { return directory_->path() / "jobs.sqlite"; }
    void reopen() override {
        jobs_.reset();
        keys_.reset();
        database_.reset();
        auto opened = open_file(directory_->path() / "jobs.sqlite");
        ASSERT_TRUE(opened) << opened.error().message;
        database_ = std::move(*opened);
        jobs_.emplace(*database_, clock_);
        keys_.emplace(*database_);
    }

  private:
    Result<host::TempDir> directory_ = host::TempDir::make("framegrid-store-test");
    ManualClock clock_;
    std::unique_ptr<Database> database_;
    std::optional<SqliteJobs> jobs_;
    std::optional<SqliteKeys> keys_;
};

}  // namespace
}  // namespace framegrid::store_sqlite

namespace framegrid::api {
INSTANTIATE_TEST_SUITE_P(Sqlite, JobStoreContract, testing::Values(JobStoreFactory([] {
                             return std::make_unique<store_sqlite::SqliteBench>();
                         })));
INSTANTIATE_TEST_SUITE_P(Sqlite, KeyStoreContract, testing::Values(KeyStoreFactory([] {
                             return std::make_unique<store_sqlite::SqliteBench>();
                         })));
}  // namespace framegrid::api

namespace framegrid::store_sqlite {
namespace {

TEST(SqliteArtifacts, BytesGoWithTheirLastRecord) {
    SqliteBench bench;
    SqliteArtifacts artifacts(bench.database());
    api::bytes_go_with_their_last_record(bench, artifacts);
}

TEST(SqliteResults, TheNewestOfAKeyUntilItExpires) {
    SqliteBench bench;
    SqliteResults results(bench.database());
    api::the_newest_of_a_key_until_it_expires(bench, results);
}

TEST(SqliteKeys, AnotherProcessSeesChanges) {
    SqliteBench bench;
    auto other = open_file(bench.file());
    ASSERT_TRUE(other);
    SqliteKeys there(**other);
    account::KeyRecord key;
    key.id = "0123456789abcdef";
    key.owner = "acme";
    ASSERT_TRUE(bench.try_run(there.add(key)));
    EXPECT_EQ(bench.run(bench.keys().changed_after(0, 10)).size(), 1U);
    (void)bench.run(there.revoke(key.id, 5));
    EXPECT_EQ(bench.run(bench.keys().changed_after(1, 10)).front().revoked_unix_ms, 5);
}

TEST(SqliteDatabase, AFileOfTheFirstVersionGetsWhatCameLater) {
    SqliteBench bench;
    (void)bench.run(bench.database().write([](Connection& connection) -> Result<int> {
        connection.execute("DROP TABLE api_keys");
        connection.execute("DROP TABLE results");
        connection.execute("DROP TABLE spent");
        connection.execute("DROP TABLE spend_series");
        connection.execute("PRAGMA user_version = 1");
        return 1;
    }));
    bench.reopen();
    EXPECT_TRUE(bench.run(bench.keys().list("")).empty());
}

TEST(SqliteDatabase, OneFailureInABatchLeavesTheOthers) {
    SqliteBench bench;
    const auto insert = [&bench](const char* id, bool fails) -> Task<Result<int>> {
        return bench.database().write([id, fails](Connection& connection) -> Result<int> {
            auto& statement =
                connection.prepare("INSERT INTO deliveries VALUES (?, 'j', '', '', 0, 0, 0, 0, '')");
            statement.bind(1, id);
            statement.exec();
            if (fails) {
                return fail(Errc::kInvalidArgument, "no");
            }
            return 1;
        });
    };
    struct All {
        static Task<Result<int>> run(std::vector<Task<Result<int>>> tasks) {
            int done = 0;
            for (const auto& result : co_await all_of(std::move(tasks))) {
                done += result ? 1 : 0;
            }
            co_return done;
        }
    };
    std::vector<Task<Result<int>>> tasks;
    tasks.push_back(insert("1", false));
    tasks.push_back(insert("2", true));
    tasks.push_back(insert("1", false));  // a second row with this key: the library throws
    tasks.push_back(insert("3", false));
    EXPECT_EQ(bench.run(All::run(std::move(tasks))), 2);
    const auto rows = bench.run(bench.database().read([](Connection& connection) -> Result<int> {
        auto& query = connection.prepare("SELECT count(*) FROM deliveries");
        (void)query.executeStep();
        return query.getColumn(0).getInt();
    }));
    EXPECT_EQ(rows, 2);
}

TEST(SqliteDatabase, AFileThatIsNoneIsRefused) {
    auto directory = host::TempDir::make("framegrid-store-test");
    ASSERT_TRUE(directory);
    const auto file = directory->path() / "jobs.sqlite";
    std::ofstream(file) << std::string(5'000, 'x');
    const auto opened = open_file(file);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::kIo);
    EXPECT_NE(opened.error().message.find("damaged"), std::string::npos) << opened.error().message;
    const auto nowhere = open_file(directory->path() / "none" / "jobs.sqlite");
    ASSERT_FALSE(nowhere);
    EXPECT_NE(nowhere.error().message.find("cannot be opened"), std::string::npos) << nowhere.error().message;
}

}  // namespace
}  // namespace framegrid::store_sqlite
