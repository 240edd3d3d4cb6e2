#include <framegrid/rest/object_sweep.hpp>

#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <framegrid/api/memory_artifacts.hpp>
#include <framegrid/api/stored_files.hpp>
#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/run_for_test.hpp>
#include <framegrid/runtime/seeded_random.hpp>

#include <gtest/gtest.h>

namespace framegrid::rest {
namespace {

using namespace std::chrono_literals;

class ObjectSweepTest : public testing::Test {
  protected:
    ObjectSweepTest() {
        settings_.owner = "here";
        settings_.page = 3;
        sweep_.emplace(objects_, index_, clock_, Logger{}, settings_);
    }
    template <class T>
    T run(Task<T> task) {
        return run_to_end(loop_, std::move(task));
    }
    void pass(Duration duration) {
        for (const TimePoint end = clock_.now() + duration; clock_.now() < end;) {
            clock_.advance(1s);
            work(*sweep_);
        }
    }
    void work(ObjectSweep& sweep) {
        boost::asio::co_spawn(loop_, sweep.work(), [](std::exception_ptr) {});
        loop_.restart();
        loop_.run();
    }
    std::string put(std::string_view bytes) {
        return run(api::put_object(objects_, Blob::copy_of(bytes), {}))->digest;
    }
    void add_record(const std::string& digest) {
        job::ArtifactRecord record;
        record.id = "art_" + digest;
        record.digest = digest;
        EXPECT_TRUE(run(index_.add(record)));
    }
    bool has(const std::string& digest) { return run(objects_.stat(digest, {})).has_value(); }

    boost::asio::io_context loop_;
    ManualClock clock_;
    api::MemoryObjects objects_{&clock_};
    api::MemoryArtifacts index_;
    ObjectSweepSettings settings_;
    std::optional<ObjectSweep> sweep_;
};

TEST_F(ObjectSweepTest, OrphansGoAndWhatHasARecordStays) {
    std::vector<std::string> orphans;
    std::vector<std::string> files;
    for (int i = 0; i < 10; ++i) {
        orphans.push_back(put("orphan " + std::to_string(i)));
        files.push_back(put("file " + std::to_string(i)));
        add_record(files.back());
    }
    pass(9min);
    EXPECT_EQ(objects_.size(), 20U);
    pass(3h);
    for (int i = 0; i < 10; ++i) {
        EXPECT_FALSE(has(orphans.at(static_cast<std::size_t>(i))));
        EXPECT_TRUE(has(files.at(static_cast<std::size_t>(i))));
    }
    EXPECT_EQ(objects_.size(), 10U);
}

// The bytes of an orphan are stored again, by a writer that finds it there, at the moment it is set aside.
TEST_F(ObjectSweepTest, ARecordThatComesLateBringsTheObjectBack) {
    const auto digest = put("orphan");
    while (run(objects_.aside_before(std::int64_t{1} << 60, 9, {}))->empty()) {
        ASSERT_LT(clock_.now().time_since_epoch(), 3h);
        pass(1s);
    }
    EXPECT_TRUE(has(digest));
    add_record(digest);
    pass(12min);
    EXPECT_TRUE(run(objects_.aside_before(std::int64_t{1} << 60, 9, {}))->empty());
    EXPECT_TRUE(has(digest));
    pass(5h);
    EXPECT_TRUE(has(digest));
}

TEST_F(ObjectSweepTest, BytesThatLostTheirLastRecordGoTenMinutesLater) {
    const auto digest = put("file");
    add_record(digest);
    pass(2h);
    ASSERT_TRUE(run(index_.remove("art_" + digest)).value());
    sweep_->unused(digest);
    pass(9min);
    EXPECT_TRUE(has(digest));
    pass(2min);
    EXPECT_FALSE(has(digest));
}

TEST_F(ObjectSweepTest, NothingIsAnOrphanWhereAnotherDatabaseHasRecords) {
    const auto digest = put("theirs");
    ObjectSweepSettings other = settings_;
    other.owner = "there";
    ObjectSweep theirs(objects_, index_, clock_, Logger{}, other);
    clock_.advance(1min);
    work(theirs);
    pass(5h);
    EXPECT_TRUE(has(digest));
}

TEST_F(ObjectSweepTest, TwoGatewaysWithOneDatabaseRemoveAnOrphanOnce) {
    const auto orphan = put("orphan");
    const auto file = put("file");
    add_record(file);
    ObjectSweep second(objects_, index_, clock_, Logger{}, settings_);
    for (int i = 0; i < 3 * 3600; ++i) {
        clock_.advance(1s);
        work(*sweep_);
        work(second);
    }
    EXPECT_FALSE(has(orphan));
    EXPECT_TRUE(has(file));
}

}  // namespace
}  // namespace framegrid::rest
