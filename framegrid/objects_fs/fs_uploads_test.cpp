#include <framegrid/objects_fs/fs_uploads.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/seeded_random.hpp>

#include <gtest/gtest.h>

namespace framegrid::objects_fs {
namespace {

class InlineWrites final : public WorkPool {
  public:
    void post(std::move_only_function<void()> work) override { work(); }
};

class FsUploadsTest : public testing::Test {
  protected:
    FsUploadsTest() { reopen(); }
    void reopen() {
        uploads_.reset();
        objects_ = *FsObjects::open(directory_->path() / "objects", pool_, random_);
        auto opened = FsUploads::open(
            directory_->path() / "uploads", *objects_, beside_ ? objects_.get() : nullptr, pool_, clock_, {3}
        );
        ASSERT_TRUE(opened) << opened.error().message;
        uploads_ = std::move(*opened);
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
    void begin(const std::string& id, std::uint64_t bytes) {
        api::UploadRecord record;
        record.id = id;
        record.owner = "acme";
        record.bytes = bytes;
        record.metadata = "filename YQ==";
        ASSERT_TRUE(run(uploads_->create(std::move(record))));
    }
    std::size_t files(const char* folder) const {
        std::size_t count = 0;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_->path() / folder)) {
            count += entry.is_regular_file() ? 1 : 0;
        }
        return count;
    }
    // The object of a whole upload of `whole`, with a restart at `restart_at`.
    Result<api::ObjectInfo> upload(const Blob& whole, std::size_t restart_at) {
        constexpr std::size_t kPiece = 700'000;
        begin("upl_1", whole.size());
        for (std::size_t at = 0; at < whole.size(); at += kPiece) {
            if (at >= restart_at) {
                restart_at = whole.size();
                reopen();
                EXPECT_EQ(uploads_->find("upl_1")->received, at);
            }
            EXPECT_TRUE(run(uploads_->append("upl_1", whole.slice(at, kPiece))));
        }
        return run(uploads_->store("upl_1"));
    }

    Result<host::TempDir> directory_ = host::TempDir::make("framegrid-uploads-test");
    boost::asio::io_context loop_;
    InlineWrites pool_;
    SeededRandom random_{1};
    ManualClock clock_;
    bool beside_ = true;
    std::unique_ptr<FsObjects> objects_;
    std::unique_ptr<FsUploads> uploads_;
};

TEST_F(FsUploadsTest, APieceAfterARestartIsHashedWithThoseBefore) {
    Bytes bytes(3'000'000);
    random_.fill(bytes);
    const Blob whole(bytes);
    const auto info = upload(whole, 1'400'000);
    ASSERT_TRUE(info) << info.error().message;
    EXPECT_EQ(info->digest, crypto::hex(crypto::sha256(whole.view())));
    EXPECT_EQ(info->bytes, whole.size());
    // The end of a process between storing and noting it.
    reopen();
    EXPECT_EQ(uploads_->find("upl_1")->received, whole.size());
    EXPECT_EQ(run(uploads_->store("upl_1"))->digest, info->digest);
    ASSERT_TRUE(run(uploads_->finish("upl_1", "art_1")));
    EXPECT_EQ(files("uploads"), 1U) << "the note alone";
    reopen();
    const auto found = uploads_->find("upl_1");
    EXPECT_EQ(found->artifact, "art_1");
    EXPECT_EQ(found->owner, "acme");
    EXPECT_EQ(found->metadata, "filename YQ==");
    EXPECT_EQ(found->received, whole.size());
    const auto back = run(api::get_object(*objects_, info->digest, 1 << 30, {}));
    EXPECT_TRUE(std::ranges::equal(back->view(), whole.view()));
    EXPECT_EQ(run(uploads_->append("upl_1", whole.slice(0, 1))).error().code, Errc::kTooLarge);
    ASSERT_TRUE(run(uploads_->remove("upl_1")));
    EXPECT_EQ(files("uploads"), 0U);
    EXPECT_EQ(files("objects"), 1U);
}

TEST_F(FsUploadsTest, AStoreThatIsElsewhereGetsACopy) {
    beside_ = false;
    reopen();
    Bytes bytes(2'100'000);
    random_.fill(bytes);
    const Blob whole(bytes);
    const auto info = upload(whole, whole.size());
    ASSERT_TRUE(info) << info.error().message;
    EXPECT_EQ(info->digest, crypto::hex(crypto::sha256(whole.view())));
    EXPECT_TRUE(run(objects_->stat(info->digest, {})));
}

TEST_F(FsUploadsTest, AnEmptyFileIsOne) {
    begin("upl_1", 0);
    ASSERT_TRUE(run(uploads_->store("upl_1")));
}

TEST_F(FsUploadsTest, KeepsItsLimits) {
    begin("upl_1", 3);
    begin("upl_2", 5);
    EXPECT_EQ(uploads_->usage("acme").bytes, 8U);
    EXPECT_EQ(uploads_->usage("other").uploads, 0U);
    EXPECT_EQ(run(uploads_->append("upl_1", Blob::copy_of("four"))).error().code, Errc::kTooLarge);
    EXPECT_TRUE(run(uploads_->append("upl_1", Blob::copy_of("fo"))));
    EXPECT_FALSE(run(uploads_->store("upl_1"))) << "not complete";
    EXPECT_EQ(run(uploads_->append("upl_9", Blob::copy_of("x"))).error().code, Errc::kNotFound);
    begin("upl_3", 1);
    api::UploadRecord more;
    more.id = "upl_4";
    EXPECT_EQ(run(uploads_->create(std::move(more))).error().code, Errc::kCapacity);
    EXPECT_EQ(uploads_->idle_since(clock_.unix_ms() + 1, 2).size(), 2U);
    EXPECT_TRUE(uploads_->idle_since(clock_.unix_ms(), 2).empty());
}

TEST_F(FsUploadsTest, LeavesAloneWhatIsNotItsOwn) {
    const auto strange = directory_->path() / "uploads" / "notes.json";
    ASSERT_TRUE(host::write_file_atomic(strange, as_bytes("{\"id\":\"../x\",\"bytes\":1}")));
    reopen();
    EXPECT_FALSE(uploads_->find("../x"));
    EXPECT_TRUE(std::filesystem::exists(strange));
}

}  // namespace
}  // namespace framegrid::objects_fs
