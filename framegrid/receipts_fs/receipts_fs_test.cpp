#include <framegrid/receipts_fs/receipt_files.hpp>

#include <csignal>
#include <fstream>
#include <optional>
#include <string>

#include <sys/resource.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <framegrid/pay/ticket_for_test.hpp>

namespace framegrid::receipts_fs {

namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kHour = 3'600'000;

class TestClock final : public Clock {
  public:
    TimePoint now() const override { return {}; }
    std::int64_t unix_ms() const override { return time; }
    Timer call_at(TimePoint /*at*/, std::move_only_function<void()> /*fn*/) override { return {}; }
    std::int64_t time = 1'764'223'200'000;  // 2025-11-27T06
};

struct AtOnce final : WorkPool {
    void post(std::move_only_function<void()> work) override { work(); }
};

class ReceiptFilesTest : public ::testing::Test {
  protected:
    ReceiptFilesTest() { reopen(); }
    void reopen() { reopen_with(key_); }
    template <typename Closer>
    void reopen_with(Closer& closer) {
        files_.reset();
        auto opened = ReceiptFiles::open({.directory = book()}, closer, clock_, pool_);
        ASSERT_TRUE(opened) << opened.error().message;
        files_ = std::move(*opened);
    }
    host::Path book() const { return directory_->path() / "book"; }
    host::Path file(const std::string& hour) const { return book() / (hour + ".jsonl"); }
    Result<void> run(Task<Result<void>> task) {
        std::optional<Result<void>> out;
        loop_.restart();
        boost::asio::co_spawn(loop_, std::move(task), [&](std::exception_ptr, Result<void> result) {
            out = std::move(result);
        });
        loop_.run();
        return out.value();
    }
    Result<void> add(int number) {
        pay::Receipt receipt;
        receipt.id = crypto::keccak256(as_bytes(std::to_string(number)));
        receipt.unix_ms = clock_.time;
        receipt.payer = {1};
        receipt.payee = {2};
        receipt.work = "transcoding";
        receipt.price = {3, 2};
        receipt.units = number;
        return run(files_->add(receipt));
    }
    Result<BookReport> check() {
        return check_book(book(), [](const pay::Receipt&) {});
    }
    std::string text(const std::string& hour) const {
        return std::string(as_text(host::read_file(file(hour), 1'000'000).value()));
    }
    void put(const std::string& hour, const std::string& content) {
        std::ofstream(file(hour), std::ios::trunc) << content;
    }

    Result<host::TempDir> directory_ = host::TempDir::make("framegrid-receipts-test");
    crypto::PrivateKey key_ = pay::key_of("party");
    TestClock clock_;
    AtOnce pool_;
    boost::asio::io_context loop_;
    std::unique_ptr<ReceiptFiles> files_;
};

TEST_F(ReceiptFilesTest, HoursAreClosedAndCheckedByAnybody) {
    EXPECT_EQ(check().error().code, Errc::kNotFound);
    EXPECT_TRUE(add(1));
    EXPECT_TRUE(add(2));
    EXPECT_EQ(check()->open_receipts, 2U);
    clock_.time += kHour;
    EXPECT_TRUE(add(3));
    clock_.time += 5 * kHour;
    EXPECT_TRUE(run(files_->close_past()));
    EXPECT_TRUE(run(files_->close_past()));
    const auto report = check();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->party, key_.address());
    EXPECT_EQ(report->hours, 2U);
    EXPECT_EQ(report->receipts, 3U);
    EXPECT_EQ(report->amount.text(), "9");
    EXPECT_EQ(report->open_receipts, 0U);
    EXPECT_TRUE(std::filesystem::exists(file("2025-11-27T07")));
}

TEST_F(ReceiptFilesTest, ARestartGoesOnWhereItWas) {
    EXPECT_TRUE(add(1));
    reopen();
    EXPECT_TRUE(add(2));
    clock_.time += kHour;
    reopen();  // closes what is over
    EXPECT_EQ(check()->receipts, 2U);
    EXPECT_TRUE(add(3));
    reopen();
    clock_.time += kHour;
    EXPECT_TRUE(run(files_->close_past()));
    EXPECT_EQ(check()->hours, 2U);
    reopen();
    EXPECT_TRUE(add(4));
    EXPECT_EQ(check()->open_receipts, 1U);
}

TEST_F(ReceiptFilesTest, ATornLineIsCutOff) {
    EXPECT_TRUE(add(1));
    EXPECT_TRUE(add(2));
    const std::string whole = text("2025-11-27T06");
    const std::size_t first = whole.find('\n') + 1;
    for (const std::size_t size : {whole.size() - 1, first + 10, first}) {
        files_.reset();
        put("2025-11-27T06", whole.substr(0, size));
        reopen();
        EXPECT_TRUE(add(2));
        EXPECT_EQ(text("2025-11-27T06"), whole);
    }
    clock_.time += kHour;
    EXPECT_TRUE(run(files_->close_past()));
    const std::string closed = text("2025-11-27T06");
    files_.reset();
    put("2025-11-27T06", closed.substr(0, closed.size() - 5));
    reopen();  // closes it once more
    EXPECT_EQ(text("2025-11-27T06"), closed);
}

TEST_F(ReceiptFilesTest, ChangesAreFound) {
    for (int hour = 0; hour < 3; ++hour) {
        EXPECT_TRUE(add(hour));
        EXPECT_TRUE(add(hour + 10));
        clock_.time += kHour;
    }
    EXPECT_TRUE(run(files_->close_past()));
    ASSERT_TRUE(check());
    const std::string middle = text("2025-11-27T07");
    std::string changed = middle;
    changed[40] = changed[40] == '0' ? '1' : '0';
    put("2025-11-27T07", changed);
    EXPECT_THAT(check().error().message, HasSubstr("2025-11-27T07.jsonl"));
    put("2025-11-27T07", middle.substr(middle.find('\n') + 1));
    EXPECT_FALSE(check());
    std::filesystem::remove(file("2025-11-27T07"));
    EXPECT_THAT(check().error().message, HasSubstr("2025-11-27T08.jsonl"));
    put("2025-11-27T07", "");
    EXPECT_THAT(check().error().message, HasSubstr("the hour is not closed"));
    put("2025-11-27T07", middle);
    EXPECT_TRUE(check());
}

TEST_F(ReceiptFilesTest, AClockThatIsSetBackOpensNothingThatIsClosed) {
    EXPECT_TRUE(add(1));
    clock_.time += kHour;
    EXPECT_TRUE(add(2));
    clock_.time -= 2 * kHour;
    EXPECT_TRUE(add(3));  // in the hour that is open
    clock_.time += 3 * kHour;
    EXPECT_TRUE(run(files_->close_past()));
    clock_.time -= 3 * kHour;
    EXPECT_TRUE(add(4));  // in the next one
    clock_.time += 4 * kHour;
    EXPECT_TRUE(run(files_->close_past()));
    EXPECT_EQ(check()->hours, 3U);
    EXPECT_EQ(check()->receipts, 4U);
}

// Has the key, and may be away, or sign something else.
class FarSigner final : public pay::ClosingSigner {
  public:
    explicit FarSigner(const crypto::PrivateKey& key) : key_(key), party_(key.address()) {}
    const crypto::Address& party() const override { return party_; }
    Task<Result<crypto::Signature>> sign_closing(pay::Closing closing, NextLines lines) override {
        if (away) {
            co_return fail(Errc::kUnavailable, "the signer cannot be asked");
        }
        read.clear();
        for (;;) {
            FG_CO_TRY(piece, co_await lines());
            if (piece.empty()) {
                break;
            }
            read += piece.text();
        }
        closing.receipts += wrong ? 1 : 0;
        co_return key_.sign_message(as_bytes(pay::closing_text(closing)));
    }
    bool away = false;
    bool wrong = false;
    std::string read;

  private:
    const crypto::PrivateKey& key_;
    crypto::Address party_;
};

class FarReceiptFilesTest : public ReceiptFilesTest {
  protected:
    FarReceiptFilesTest() { reopen_far(); }
    void reopen_far() { reopen_with(signer_); }
    FarSigner signer_{key_};
};

TEST_F(FarReceiptFilesTest, HoursAreClosedByWhoHasTheKey) {
    EXPECT_TRUE(add(1));
    EXPECT_TRUE(add(2));
    EXPECT_TRUE(run(files_->close_past()));
    EXPECT_EQ(signer_.read, "") << "the hour is not over";
    const auto lines = text("2025-11-27T06");
    clock_.time += kHour;
    EXPECT_TRUE(add(3)) << "closes the hour before";
    EXPECT_EQ(signer_.read, lines);
    clock_.time += kHour;
    EXPECT_TRUE(run(files_->close_past()));
    EXPECT_TRUE(run(files_->close_past()));
    const auto report = check();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->party, key_.address());
    EXPECT_EQ(report->hours, 2U);
    EXPECT_EQ(report->receipts, 3U);
    EXPECT_EQ(report->open_receipts, 0U);
}

TEST_F(FarReceiptFilesTest, WithoutTheSignerNoOtherHourBegins) {
    EXPECT_TRUE(add(1));
    clock_.time += kHour;
    signer_.away = true;
    EXPECT_EQ(add(2).error().code, Errc::kUnavailable);
    EXPECT_EQ(run(files_->close_past()).error().code, Errc::kUnavailable);
    reopen_far();
    EXPECT_EQ(add(2).error().code, Errc::kUnavailable);
    EXPECT_EQ(check()->open_receipts, 1U) << "what was written is there";
    signer_.away = false;
    signer_.wrong = true;
    EXPECT_EQ(add(2).error().code, Errc::kProtocol);
    EXPECT_EQ(check()->hours, 0U);
    signer_.wrong = false;
    EXPECT_TRUE(add(2));
    EXPECT_EQ(check()->hours, 1U);
    EXPECT_EQ(check()->receipts, 1U);
    EXPECT_EQ(check()->open_receipts, 1U);
}

TEST_F(ReceiptFilesTest, ADirectoryHasOneWriter) {
    const auto second = ReceiptFiles::open({.directory = book()}, key_, clock_, pool_);
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message, HasSubstr("another process"));
}

TEST_F(ReceiptFilesTest, AFullDiskRefusesReceiptsAndSpoilsNone) {
    EXPECT_TRUE(add(1));
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit full = before;
    full.rlim_cur = text("2025-11-27T06").size() + 100;
    const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
    const auto refused = add(2);
    clock_.time += kHour;
    const auto not_closed = run(files_->close_past());
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    std::signal(SIGXFSZ, ignored);
    EXPECT_EQ(refused.error().code, Errc::kIo);
    EXPECT_EQ(not_closed.error().code, Errc::kIo);
    EXPECT_TRUE(add(3));
    EXPECT_EQ(check()->receipts, 1U);
    EXPECT_EQ(check()->open_receipts, 1U);
}

TEST_F(ReceiptFilesTest, OnlyReceiptsAreKept) {
    pay::Receipt receipt;
    receipt.work = "a\nb";
    EXPECT_EQ(run(files_->add(receipt)).error().code, Errc::kInvalidArgument);
    receipt.work = "transcoding";
    receipt.units = -1;
    EXPECT_EQ(run(files_->add(receipt)).error().code, Errc::kInvalidArgument);
}

}  // namespace

}  // namespace framegrid::receipts_fs
