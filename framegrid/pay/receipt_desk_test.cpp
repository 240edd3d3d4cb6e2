#include <framegrid/pay/receipt_desk.hpp>

#include <functional>
#include <map>
#include <optional>

#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace framegrid::pay {

namespace {

struct AtOnce final : WorkPool {
    void post(std::move_only_function<void()> work) override { work(); }
};

class TestClock final : public Clock {
  public:
    TimePoint now() const override { return {}; }
    std::int64_t unix_ms() const override { return 0; }
    Timer call_at(TimePoint /*at*/, std::move_only_function<void()> /*fn*/) override { return {}; }
};

class KeptReceipts final : public Receipts {
  public:
    std::uint64_t note(const Receipt& receipt) override {
        if (no_notes) {
            return 0;
        }
        notes[++last_note] = receipt;
        return last_note;
    }
    void change_note(std::uint64_t number, const Receipt& receipt) override { notes.at(number) = receipt; }
    void drop_notes(std::uint64_t number) override { notes.erase(notes.begin(), notes.upper_bound(number)); }
    Task<Result<void>> add(Receipt receipt) override { co_return co_await add_all({&receipt, 1}); }
    Task<Result<void>> add_all(std::span<const Receipt> receipts) override {
        if (full) {
            co_return fail(Errc::kIo, "no space left");
        }
        ++writes;
        kept.insert(kept.end(), receipts.begin(), receipts.end());
        if (after_write) {
            after_write();
        }
        co_return Result<void>{};
    }
    Task<Result<void>> close_past() override { co_return Result<void>{}; }
    bool full = false;
    bool no_notes = false;
    std::uint64_t last_note = 0;
    std::map<std::uint64_t, Receipt> notes;
    int writes = 0;
    std::function<void()> after_write;
    std::vector<Receipt> kept;
};

class ReceiptDeskTest : public ::testing::Test {
  protected:
    Result<void> flush() {
        std::optional<Result<void>> out;
        loop_.restart();
        boost::asio::co_spawn(loop_, desk_.flush(), [&](std::exception_ptr, Result<void> result) {
            out = std::move(result);
        });
        loop_.run();
        return out.value();
    }
    static ReceiptDraft draft(std::uint8_t id) {
        ReceiptDraft out;
        out.receipt.id[0] = id;
        out.input = Blob::copy_of("in2");
        out.outputs = {Blob::copy_of("out")};
        return out;
    }

    boost::asio::io_context loop_;
    AtOnce pool_;
    TestClock clock_;
    KeptReceipts receipts_;
    ReceiptDesk desk_{
        {receipts_, clock_, pool_, Logger()},
        {.waiting_max = 4, .bytes_max = 16, .digest_at_once_max = 2, .group_max = 3}
    };
};

TEST_F(ReceiptDeskTest, WritesGroupsWithDigests) {
    auto several = draft(1);
    several.outputs.push_back(Blob::copy_of("x"));
    desk_.post(several);
    auto known = draft(2);
    known.receipt.input[0] = 7;
    desk_.post(known);
    ASSERT_TRUE(flush());
    ASSERT_EQ(receipts_.kept.size(), 2U);
    EXPECT_EQ(receipts_.writes, 1);
    EXPECT_EQ(receipts_.kept[0].input, crypto::sha256(as_bytes("in2")));
    Bytes digests;
    for (const char* text : {"out", "x"}) {
        const auto digest = crypto::sha256(as_bytes(text));
        digests.insert(digests.end(), digest.begin(), digest.end());
    }
    EXPECT_EQ(receipts_.kept[0].output, crypto::sha256(digests));
    EXPECT_EQ(receipts_.kept[1].input, known.receipt.input);
    EXPECT_EQ(receipts_.kept[1].output, crypto::sha256(as_bytes("out")));
}

TEST_F(ReceiptDeskTest, AFullDiskLosesOnlyWhatFindsNoRoom) {
    receipts_.full = true;
    for (std::uint8_t i = 0; i < 6; ++i) {
        desk_.post(draft(i));
        EXPECT_FALSE(flush());
    }
    EXPECT_EQ(desk_.stats().lost, 2U);
    EXPECT_EQ(desk_.stats().waiting, 4U);
    receipts_.full = false;
    ASSERT_TRUE(flush());
    ASSERT_EQ(receipts_.kept.size(), 4U);
    for (std::uint8_t i = 0; i < 4; ++i) {
        EXPECT_EQ(receipts_.kept[i].id[0], i);
    }
    EXPECT_EQ(desk_.stats().written, 4U);
}

TEST_F(ReceiptDeskTest, TooManyBytesAreNotKeptForTheirDigest) {
    for (std::uint8_t i = 0; i < 4; ++i) {
        desk_.post(draft(i));
    }
    EXPECT_EQ(desk_.stats().without_digest, 2U);
    ASSERT_TRUE(flush());
    EXPECT_EQ(receipts_.kept[3].input, crypto::Hash32{});
}

TEST_F(ReceiptDeskTest, EachIsNotedUntilItIsWritten) {
    auto small = draft(1);
    small.input = Blob::copy_of("i");
    small.outputs = {Blob::copy_of("o")};
    desk_.post(small);
    auto large = draft(2);
    large.parameters = R"({"a":1})";
    large.outputs.clear();
    desk_.post(large);
    ASSERT_EQ(receipts_.notes.size(), 2U) << "before anybody has waited";
    EXPECT_EQ(receipts_.notes[1].input, crypto::sha256(as_bytes("i")));
    EXPECT_EQ(receipts_.notes[1].output, crypto::sha256(as_bytes("o")));
    EXPECT_EQ(receipts_.notes[2].parameters, crypto::Hash32{}) << "too much to do at once";
    receipts_.full = true;
    EXPECT_FALSE(flush());
    EXPECT_EQ(receipts_.notes[2].parameters, parameters_digest(large.parameters));
    EXPECT_EQ(receipts_.notes[2].input, crypto::sha256(as_bytes("in2")));
    desk_.post(draft(3));
    EXPECT_EQ(receipts_.notes.size(), 3U);
    receipts_.full = false;
    ASSERT_TRUE(flush());
    EXPECT_TRUE(receipts_.notes.empty());
    EXPECT_EQ(receipts_.kept[1].parameters, parameters_digest(large.parameters));
    EXPECT_EQ(desk_.stats().not_noted, 0U);
    receipts_.no_notes = true;
    desk_.post(draft(4));
    EXPECT_EQ(desk_.stats().not_noted, 1U);
    ASSERT_TRUE(flush());
    EXPECT_EQ(desk_.stats().written, 4U);
}

TEST_F(ReceiptDeskTest, NotesOfWhatStillWaitsStay) {
    for (std::uint8_t i = 0; i < 4; ++i) {
        auto one = draft(i);
        one.input = {};
        one.outputs.clear();
        desk_.post(one);
    }
    std::optional<std::size_t> left;
    receipts_.after_write = [&] { left = left ? left : std::optional(receipts_.notes.size()); };
    ASSERT_TRUE(flush());
    EXPECT_EQ(receipts_.writes, 2);
    EXPECT_EQ(left, 4U) << "dropped only when they are written";
    EXPECT_TRUE(receipts_.notes.empty());
}

TEST(WorkName, HoldsNoQuotes) {
    EXPECT_EQ(work_name("upscale", "a/b"), "upscale/a/b");
    EXPECT_EQ(work_name("echo", ""), "echo");
    EXPECT_EQ(work_name("x", "\"\\\n"), "x/???");
    EXPECT_TRUE(check_work(work_name("x", std::string(500, 'm'))));
}

}  // namespace

}  // namespace framegrid::pay
