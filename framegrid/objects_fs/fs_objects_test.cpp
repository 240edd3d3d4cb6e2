#include <framegrid/objects_fs/fs_objects.hpp>

#include <set>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/runtime/seeded_random.hpp>

#include <gtest/gtest.h>

namespace framegrid::objects_fs {
namespace {

// Runs what it gets at once.
class Inline final : public WorkPool {
  public:
    void post(std::move_only_function<void()> work) override { work(); }
};

constexpr std::int64_t kLater = std::int64_t{1} << 60;

std::int64_t now_ms() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

class FsObjectsTest : public testing::Test {
  protected:
    FsObjectsTest() { reopen(); }
    void reopen() {
        auto opened = FsObjects::open(directory_->path() / "objects", pool_, random_);
        ASSERT_TRUE(opened) << opened.error().message;
        objects_ = std::move(*opened);
    }
    template <class T>
    Result<T> run(Task<Result<T>> task) {
        std::optional<Result<T>> out;
        boost::asio::co_spawn(loop_, std::move(task), [&out](std::exception_ptr, Result<T> result) {
            out.emplace(std::move(result));
        });
        loop_.restart();
        loop_.run();
        return std::move(*out);
    }
    std::size_t files() const {
        std::size_t count = 0;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_->path())) {
            count += entry.is_regular_file() ? 1 : 0;
        }
        return count;
    }

    Result<host::TempDir> directory_ = host::TempDir::make("framegrid-objects-test");
    boost::asio::io_context loop_;
    Inline pool_;
    SeededRandom random_{1};
    std::unique_ptr<FsObjects> objects_;
    Deadline deadline_{};
};

TEST_F(FsObjectsTest, WhatIsPutCanBeRead) {
    Bytes bytes(3'000'000);
    random_.fill(bytes);
    auto writer = run(objects_->create(deadline_));
    ASSERT_TRUE(writer);
    const Blob whole(bytes);
    for (std::size_t at = 0; at < whole.size(); at += 700'000) {
        ASSERT_TRUE(run((*writer)->append(whole.slice(at, 700'000), deadline_)));
    }
    const auto info = run((*writer)->finish(deadline_));
    ASSERT_TRUE(info);
    writer->reset();
    EXPECT_EQ(info->digest, crypto::hex(crypto::sha256(whole.view())));
    EXPECT_EQ(info->bytes, bytes.size());
    reopen();
    EXPECT_EQ(run(objects_->stat(info->digest, deadline_))->bytes, bytes.size());
    const auto back = run(api::get_object(*objects_, info->digest, 1 << 30, deadline_));
    ASSERT_TRUE(back);
    EXPECT_TRUE(std::ranges::equal(back->view(), whole.view()));
    const auto part = run(objects_->read(info->digest, 2'999'990, 100, deadline_));
    EXPECT_EQ(part->size(), 10U);
    EXPECT_EQ(run(objects_->read(info->digest, 5'000'000, 100, deadline_))->size(), 0U);
    EXPECT_FALSE(run(api::get_object(*objects_, info->digest, 100, deadline_)));
    EXPECT_EQ(files(), 1U);
}

TEST_F(FsObjectsTest, TheSameBytesAreOneObject) {
    const auto first = run(api::put_object(*objects_, Blob::copy_of("x"), deadline_));
    const auto second = run(api::put_object(*objects_, Blob::copy_of("x"), deadline_));
    EXPECT_EQ(*first, *second);
    EXPECT_EQ(files(), 1U);
    for (int i = 0; i < 2; ++i) {
        EXPECT_TRUE(run(objects_->set_aside(first->digest, deadline_)));
        EXPECT_TRUE(run(objects_->drop(first->digest, deadline_)));
    }
    EXPECT_EQ(run(objects_->stat(first->digest, deadline_)).error().code, Errc::kNotFound);
    EXPECT_EQ(run(objects_->read(first->digest, 0, 1, deadline_)).error().code, Errc::kNotFound);
}

TEST_F(FsObjectsTest, UnfinishedFilesGo) {
    auto writer = run(objects_->create(deadline_));
    ASSERT_TRUE(run((*writer)->append(Blob::copy_of("x"), deadline_)));
    EXPECT_EQ(files(), 1U);
    writer->reset();
    EXPECT_EQ(files(), 0U);
    std::filesystem::create_directories(directory_->path() / "objects" / "new");
    ASSERT_TRUE(host::write_file_atomic(directory_->path() / "objects" / "new" / "left", as_bytes("y")));
    reopen();
    EXPECT_EQ(files(), 0U);
}

TEST_F(FsObjectsTest, AProcessThatSharesTheDirectoryLeavesUnfinishedFilesAlone) {
    auto writer = run(objects_->create(deadline_));
    ASSERT_TRUE(run((*writer)->append(Blob::copy_of("x"), deadline_)));
    const auto other = FsObjects::open(directory_->path() / "objects", pool_, random_, "new-b");
    ASSERT_TRUE(other);
    const auto info = run((*writer)->finish(deadline_));
    ASSERT_TRUE(info);
    EXPECT_TRUE(run((*other)->stat(info->digest, deadline_)));
}

TEST_F(FsObjectsTest, WhatIsSetAsideCanBeReadAndComesBack) {
    const auto info = run(api::put_object(*objects_, Blob::copy_of("x"), deadline_));
    ASSERT_TRUE(info);
    ASSERT_TRUE(run(objects_->set_aside(info->digest, deadline_)));
    EXPECT_TRUE(run(objects_->stored_before(kLater, "", 100'000, deadline_))->digests.empty());
    EXPECT_EQ(run(objects_->aside_before(kLater, 9, deadline_)).value(), std::vector{info->digest});
    EXPECT_TRUE(run(objects_->aside_before(now_ms() - 60'000, 9, deadline_))->empty());
    EXPECT_EQ(run(objects_->stat(info->digest, deadline_))->bytes, 1U);
    EXPECT_EQ(run(objects_->read(info->digest, 0, 9, deadline_))->text(), "x");
    ASSERT_TRUE(run(objects_->put_back(info->digest, deadline_)));
    EXPECT_TRUE(run(objects_->aside_before(kLater, 9, deadline_))->empty());
    EXPECT_EQ(run(objects_->read(info->digest, 0, 9, deadline_))->text(), "x");
    // Stored anew meanwhile: that one stays, whatever becomes of the other.
    ASSERT_TRUE(run(objects_->set_aside(info->digest, deadline_)));
    ASSERT_TRUE(run(api::put_object(*objects_, Blob::copy_of("x"), deadline_)));
    EXPECT_EQ(files(), 2U);
    ASSERT_TRUE(run(objects_->drop(info->digest, deadline_)));
    EXPECT_EQ(run(objects_->read(info->digest, 0, 9, deadline_))->text(), "x");
    EXPECT_EQ(files(), 1U);
}

TEST_F(FsObjectsTest, PagesNameEveryObjectOnce) {
    std::set<std::string> stored;
    for (int i = 0; i < 60; ++i) {
        const auto bytes = "object " + std::to_string(i);
        stored.insert(run(api::put_object(*objects_, Blob::copy_of(bytes), deadline_))->digest);
    }
    std::set<std::string> seen;
    std::size_t pages = 0;
    std::string from;
    do {
        const auto page = run(objects_->stored_before(kLater, from, 100, deadline_));
        ASSERT_TRUE(page);
        EXPECT_LE(page->digests.size(), 100U);
        for (const auto& digest : page->digests) {
            EXPECT_TRUE(seen.insert(digest).second) << digest;
        }
        from = page->next;
        ASSERT_LT(++pages, 50U);
    } while (!from.empty());
    EXPECT_EQ(seen, stored);
    EXPECT_GT(pages, 3U);
    EXPECT_TRUE(run(objects_->stored_before(now_ms() - 60'000, "", 100'000, deadline_))->digests.empty());
}

TEST_F(FsObjectsTest, APlaceWithTwoOwnersIsNobodysAlone) {
    EXPECT_TRUE(run(objects_->claim("a", deadline_)).value());
    EXPECT_TRUE(run(objects_->claim("a", deadline_)).value());
    EXPECT_FALSE(run(objects_->claim("b", deadline_)).value());
    EXPECT_FALSE(run(objects_->claim("a", deadline_)).value());
}

TEST_F(FsObjectsTest, NamesThatAreNoDigestsReachNoFile) {
    for (const char* name : {"../../etc/passwd", "", "ABC", "new"}) {
        EXPECT_EQ(run(objects_->read(name, 0, 10, deadline_)).error().code, Errc::kNotFound);
        EXPECT_EQ(run(objects_->stat(name, deadline_)).error().code, Errc::kNotFound);
        EXPECT_TRUE(run(objects_->set_aside(name, deadline_)));
        EXPECT_TRUE(run(objects_->put_back(name, deadline_)));
        EXPECT_TRUE(run(objects_->drop(name, deadline_)));
    }
}

}  // namespace
}  // namespace framegrid::objects_fs
