#include <framegrid/gateway/object_transfer.hpp>

#include <map>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/run_for_test.hpp>

#include <gtest/gtest.h>

namespace framegrid::gateway {
namespace {

// Objects in memory that count what is being written, and fail when told.
class MemoryObjects final : public api::Objects {
  public:
    std::map<std::string, Bytes> kept;
    std::size_t unfinished = 0;
    bool broken = false;

    class Writer final : public api::ObjectWriter {
      public:
        explicit Writer(MemoryObjects& all) : all_(all) { ++all_.unfinished; }
        ~Writer() override { --all_.unfinished; }
        Task<Result<void>> append(Blob piece, Deadline) override {
            if (all_.broken) {
                co_return fail(Errc::kIo, "the disk is full");
            }
            bytes_.insert(bytes_.end(), piece.view().begin(), piece.view().end());
            co_return Result<void>{};
        }
        Task<Result<api::ObjectInfo>> finish(Deadline) override {
            const auto digest = crypto::hex(crypto::sha256(bytes_));
            const auto size = bytes_.size();
            all_.kept[digest] = std::move(bytes_);
            co_return api::ObjectInfo{digest, size};
        }

      private:
        MemoryObjects& all_;
        Bytes bytes_;
    };

    Task<Result<std::unique_ptr<api::ObjectWriter>>> create(Deadline) override {
        co_return std::make_unique<Writer>(*this);
    }
    Task<Result<api::ObjectInfo>> stat(std::string digest, Deadline) override {
        co_return api::ObjectInfo{digest, kept.at(digest).size()};
    }
    Task<Result<Blob>> read(std::string digest, std::uint64_t offset, std::uint64_t bytes, Deadline)
        override {
        const auto found = kept.find(digest);
        if (found == kept.end()) {
            co_return fail(Errc::kNotFound, "there is no such stored file");
        }
        co_return Blob(found->second).slice(offset, std::min<std::uint64_t>(bytes, 1 << 20));
    }
};

class ObjectTransferTest : public testing::Test {
  protected:
    ObjectTransferTest() {
        Bytes bytes(2'500'000);
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
        }
        digest_ = crypto::hex(crypto::sha256(bytes));
        objects_.kept[digest_] = std::move(bytes);
    }
    template <class T>
    T run(Task<T> task) {
        return run_to_end(loop_, std::move(task));
    }
    std::shared_ptr<ObjectTransfer> make() {
        return std::make_shared<ObjectTransfer>(
            objects_, clock_, std::chrono::seconds(5), api::ObjectInfo{digest_, objects_.kept[digest_].size()}
        );
    }
    Deadline soon() const { return Deadline::after(clock_, std::chrono::seconds(60)); }

    boost::asio::io_context loop_;
    ManualClock clock_;
    MemoryObjects objects_;
    std::string digest_;
};

TEST_F(ObjectTransferTest, TheInputComesInPiecesFromItsBeginningEachTime) {
    const auto transfer = make();
    EXPECT_EQ(crypto::hex(transfer->input().sha256), digest_);
    const auto first = transfer->open_input();
    EXPECT_EQ(run(first->read())->size(), 1U << 20);
    const auto second = transfer->open_input();
    Bytes whole;
    for (;;) {
        const auto piece = run(second->read());
        ASSERT_TRUE(piece);
        if (piece->empty()) {
            break;
        }
        EXPECT_LE(piece->size(), 1U << 20);
        whole.insert(whole.end(), piece->view().begin(), piece->view().end());
    }
    EXPECT_EQ(whole, objects_.kept[digest_]);
}

TEST_F(ObjectTransferTest, AResultThatBeginsAgainDropsWhatCameBefore) {
    const auto transfer = make();
    ASSERT_TRUE(run(transfer->begin_output(soon())));
    ASSERT_TRUE(run(transfer->append(Blob::copy_of("half of the first"), soon())));
    EXPECT_EQ(objects_.unfinished, 1U);
    ASSERT_TRUE(run(transfer->begin_output(soon())));
    EXPECT_EQ(objects_.unfinished, 1U);
    ASSERT_TRUE(run(transfer->append(Blob::copy_of("the "), soon())));
    ASSERT_TRUE(run(transfer->append(Blob::copy_of("second"), soon())));
    EXPECT_FALSE(transfer->result());
    const auto facts = run(transfer->end_output(soon()));
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->bytes, 10U);
    EXPECT_EQ(facts->sha256, crypto::sha256(as_bytes("the second")));
    EXPECT_EQ(transfer->result()->bytes, 10U);
    EXPECT_EQ(transfer->result_head().text(), "the second");
    EXPECT_EQ(objects_.unfinished, 0U);
    EXPECT_FALSE(transfer->failure());
}

TEST_F(ObjectTransferTest, AResultThatDoesNotEndGoesWithTheTransfer) {
    auto transfer = make();
    ASSERT_TRUE(run(transfer->begin_output(soon())));
    ASSERT_TRUE(run(transfer->append(Blob::copy_of("half"), soon())));
    const auto reader = transfer->open_input();  // of a request that still unwinds
    transfer.reset();
    EXPECT_EQ(objects_.unfinished, 0U);
    EXPECT_EQ(run(reader->read())->size(), 1U << 20);
    EXPECT_EQ(objects_.kept.size(), 1U);
}

TEST_F(ObjectTransferTest, FailuresOfTheStoreAreItsOwn) {
    const auto transfer = make();
    ASSERT_TRUE(run(transfer->begin_output(soon())));
    objects_.broken = true;
    EXPECT_FALSE(run(transfer->append(Blob::copy_of("x"), soon())));
    EXPECT_EQ(transfer->failure()->code, Errc::kIo);
    const auto other = make();
    const auto reader = other->open_input();
    objects_.kept[digest_].resize(1'000);
    EXPECT_TRUE(run(reader->read()));
    EXPECT_FALSE(other->failure());
    EXPECT_EQ(run(reader->read()).error().code, Errc::kIo) << "shorter than it was";
    EXPECT_EQ(other->failure()->code, Errc::kIo);
}

}  // namespace
}  // namespace framegrid::gateway
