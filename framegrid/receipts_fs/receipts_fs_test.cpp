#include <framegrid/receipts_fs/receipt_files.hpp>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

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
        auto opened = ReceiptFiles::open(
            {.directory = book(), .part_bytes_max = part_bytes_max_}, closer, clock_, pool_
        );
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
    pay::Receipt receipt(int number) const {
        pay::Receipt receipt;
        receipt.id = crypto::keccak256(as_bytes(std::to_string(number)));
        receipt.unix_ms = clock_.time;
        receipt.payer = {1};
        receipt.payee = {2};
        receipt.work = "transcoding";
        receipt.price = {3, 2};
        receipt.units = number;
        return receipt;
    }
    Result<void> add(int number) { return run(files_->add(receipt(number))); }
    // The ids of a book, in its order.
    std::string ids() const {
        std::string out;
        (void)check_book(book(), [&](const pay::Receipt& one) { out += std::to_string(one.units) + " "; });
        return out;
    }
    host::Path waiting() const { return book() / "waiting"; }
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
    std::uint64_t part_bytes_max_ = ReceiptFilesSettings{}.part_bytes_max;
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

TEST_F(ReceiptFilesTest, AFullFileIsClosedAndTheHourGoesOnInAnother) {
    part_bytes_max_ = 1'000;  // two receipts
    reopen();
    for (int number = 1; number < 6; ++number) {
        EXPECT_TRUE(add(number));
    }
    EXPECT_EQ(text("2025-11-27T06-0002"), pay::to_line(receipt(5)) + '\n');
    reopen();
    EXPECT_TRUE(add(6));
    EXPECT_GT(files_->note(receipt(7)), 0U);
    reopen();  // the third file is full
    EXPECT_EQ(ids(), "1 2 3 4 5 6 7 ");
    clock_.time += kHour;
    EXPECT_TRUE(add(8));
    EXPECT_TRUE(std::filesystem::exists(file("2025-11-27T07")));
    clock_.time += kHour;
    EXPECT_TRUE(run(files_->close_past()));
    const auto report = check();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->hours, 2U);
    EXPECT_EQ(report->receipts, 8U);
    EXPECT_EQ(report->open_receipts, 0U);
    std::filesystem::remove(file("2025-11-27T06-0001"));
    EXPECT_THAT(check().error().message, HasSubstr("2025-11-27T06-0002.jsonl"));
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

TEST_F(ReceiptFilesTest, NotesOfAProcessThatWasKilledBecomeReceipts) {
    EXPECT_TRUE(add(1));
    for (int number = 2; number < 30; ++number) {
        EXPECT_GT(files_->note(receipt(number)), 0U);
    }
    auto complete = receipt(5);
    complete.parameters = {3};
    complete.input = {4};
    complete.output = {5};
    files_->change_note(4, complete);
    EXPECT_TRUE(add(2));
    files_->drop_notes(1);
    EXPECT_TRUE(add(3));  // and killed before the note is dropped
    EXPECT_EQ(ids(), "1 2 3 ");
    reopen();
    EXPECT_EQ(files_->recovered().receipts, 26U);
    EXPECT_EQ(files_->recovered().without_digest, 25U);
    std::string all;
    for (int number = 1; number < 30; ++number) {
        all += std::to_string(number) + " ";
    }
    EXPECT_EQ(ids(), all);
    std::optional<pay::Receipt> fifth;
    ASSERT_TRUE(check_book(book(), [&](const auto& one) { fifth = one.units == 5 ? one : fifth; }));
    EXPECT_EQ(*fifth, complete);
    reopen();
    EXPECT_EQ(files_->recovered().receipts, 0U) << "once";
    EXPECT_EQ(ids(), all);
    clock_.time += kHour;
    EXPECT_GT(files_->note(receipt(40)), 0U);
    reopen();  // closes the hour that is over
    EXPECT_EQ(check()->receipts, 30U);
    EXPECT_GT(files_->note(receipt(41)), 0U);
    reopen();  // where no hour is open
    EXPECT_EQ(ids(), all + "40 41 ");
    files_.reset();
    EXPECT_FALSE(std::filesystem::exists(waiting())) << "after an orderly end";
}

TEST_F(ReceiptFilesTest, EqualReceiptsAreCounted) {
    for (int i = 0; i < 3; ++i) {
        EXPECT_GT(files_->note(receipt(7)), 0U);
    }
    auto digested = receipt(7);
    digested.output = {1};
    EXPECT_TRUE(run(files_->add(digested)));
    reopen();
    EXPECT_EQ(files_->recovered().receipts, 2U);
    EXPECT_EQ(ids(), "7 7 7 ");
}

TEST_F(ReceiptFilesTest, PlacesOfNotesAreUsedAgainAndAgain) {
    std::uint64_t note = 0;
    for (int number = 0; number < 30'000; ++number) {
        const auto last = files_->note(receipt(number));
        ASSERT_GT(last, note);
        note = last;
        if (number % 7 == 6) {
            files_->drop_notes(note - 3);  // it is never empty
        }
    }
    reopen();
    std::string expected;
    for (int number = 29'992; number < 30'000; ++number) {
        expected += std::to_string(number) + " ";
    }
    EXPECT_EQ(ids(), expected);
    std::uint64_t taken = 0;
    while (files_->note(receipt(1)) != 0) {
        ++taken;
    }
    EXPECT_EQ(taken, ReceiptFilesSettings{}.notes_max);
    files_->drop_notes(30'000 + 100);
    EXPECT_GT(files_->note(receipt(1)), 0U);
}

bool is_mapped(const host::Path& file) {
    std::ifstream maps("/proc/self/maps");
    const std::string text{std::istreambuf_iterator<char>(maps), {}};
    return text.find(file.string()) != std::string::npos;
}

TEST_F(ReceiptFilesTest, AnEntryCostsNoSystemCallAndSurvivesAKill) {
    struct statfs about{};
    ASSERT_EQ(statfs(book().c_str(), &about), 0);
    constexpr auto kExt4 = 0xEF53;
    EXPECT_TRUE(about.f_type != kExt4 || is_mapped(waiting()));
    EXPECT_GT(files_->note(receipt(1)), 0U);
    const pid_t child = fork();
    if (child == 0) {
        (void)files_->note(receipt(2));
        auto complete = receipt(1);
        complete.input = {4};
        files_->change_note(1, complete);
        (void)files_->note(receipt(3));
        std::raise(SIGKILL);
    }
    ASSERT_GT(child, 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    reopen();
    EXPECT_EQ(files_->recovered().receipts, 3U);
    EXPECT_EQ(ids(), "1 2 3 ");
    std::optional<pay::Receipt> first;
    ASSERT_TRUE(check_book(book(), [&](const auto& one) { first = one.units == 1 ? one : first; }));
    EXPECT_EQ(first->input[0], 4);
}

TEST_F(ReceiptFilesTest, WhereTheDiskPromisesNothingEntriesAreWritten) {
    files_.reset();
    std::filesystem::remove(waiting());
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit small = before;
    small.rlim_cur = 100'000;  // room cannot be kept
    const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    reopen();
    EXPECT_FALSE(is_mapped(waiting()));
    std::uint64_t taken = 0;
    while (files_->note(receipt(static_cast<int>(taken))) != 0) {
        ++taken;
    }
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    std::signal(SIGXFSZ, ignored);
    EXPECT_EQ(taken, 234U) << "10 in each page but the first, and 4 in a part of one";
    EXPECT_GT(files_->note(receipt(234)), 0U) << "there is room again";
    reopen();
    EXPECT_EQ(files_->recovered().receipts, 235U);
}

TEST_F(ReceiptFilesTest, FewPlacesAreUsedAgainAndAgain) {
    for (int number = 0; number < 5'000; ++number) {
        const auto note = files_->note(receipt(number));
        files_->drop_notes(note > 20 ? note - 20 : 0);
    }
    const auto bytes = host::read_file(waiting(), std::size_t{1} << 30U).value();
    const auto end = std::find_if(bytes.rbegin(), bytes.rend(), [](std::uint8_t byte) { return byte != 0; });
    EXPECT_LT(bytes.rend() - end, 4 * 4'096) << "they stay in the processor's cache";
}

TEST_F(ReceiptFilesTest, DamagedNotesAreLeftOut) {
    for (int number = 1; number < 5; ++number) {
        EXPECT_GT(files_->note(receipt(number)), 0U);
    }
    files_.reset();
    auto bytes = host::read_file(waiting(), std::size_t{1} << 30U).value();
    bytes.at(4'096 + 384 + 200) ^= 1U;  // the second
    bytes.at(4'096 + 2 * 384 + 60) ^= 1U;
    bytes.at(8) ^= 1U;  // the head: none are dropped
    std::ofstream(waiting(), std::ios::binary | std::ios::trunc)
        << std::string_view(as_text(bytes)).substr(0, 4'096 + 4 * 384 + 100);
    reopen();
    EXPECT_EQ(ids(), "1 4 ");
    for (const char* junk : {"", "x", "\0\0\0\0\0\0\0\0"}) {
        files_.reset();
        std::ofstream(waiting(), std::ios::trunc) << junk;
        reopen();
        EXPECT_GT(files_->note(receipt(6)), 0U);
        files_->drop_notes(1);
    }
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
    EXPECT_TRUE(add(4));  // in a further part of the last one
    clock_.time += 4 * kHour;
    EXPECT_TRUE(run(files_->close_past()));
    EXPECT_TRUE(std::filesystem::exists(file("2025-11-27T07-0001")));
    EXPECT_EQ(check()->hours, 2U);
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

TEST_F(FarReceiptFilesTest, AFullFileIsClosedByWhoHasTheKey) {
    part_bytes_max_ = 1'000;  // two receipts
    reopen_far();
    EXPECT_TRUE(add(1));
    EXPECT_TRUE(add(2));
    const auto lines = text("2025-11-27T06");
    signer_.away = true;
    EXPECT_EQ(add(3).error().code, Errc::kUnavailable);
    signer_.away = false;
    EXPECT_TRUE(add(3));
    EXPECT_EQ(signer_.read, lines);
    EXPECT_TRUE(add(4));
    EXPECT_TRUE(run(files_->close_past())) << "the hour is not over, but its second file is full";
    EXPECT_EQ(check()->receipts, 4U);
    EXPECT_EQ(check()->hours, 1U);
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

TEST_F(ReceiptFilesTest, NotesWaitForRoomOnTheDisk) {
    EXPECT_TRUE(add(1));
    EXPECT_GT(files_->note(receipt(2)), 0U);
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit full = before;
    full.rlim_cur = text("2025-11-27T06").size() + 100;
    const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
    reopen();
    const auto noted = files_->note(receipt(3));
    const auto refused = add(3);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    std::signal(SIGXFSZ, ignored);
    EXPECT_EQ(noted, 0U);
    EXPECT_EQ(refused.error().code, Errc::kIo);
    EXPECT_EQ(ids(), "1 ");
    reopen();
    EXPECT_EQ(ids(), "1 2 ") << "kept by the journal";
    EXPECT_TRUE(add(3));
    EXPECT_GT(files_->note(receipt(4)), 0U);
    reopen();
    EXPECT_EQ(ids(), "1 2 3 4 ");
}

TEST_F(ReceiptFilesTest, NotesOfAFullDiskAreWrittenLater) {
    EXPECT_GT(files_->note(receipt(2)), 0U);
    files_.reset();
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit full = before;
    full.rlim_cur = 100;
    const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
    reopen();
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    std::signal(SIGXFSZ, ignored);
    EXPECT_EQ(files_->note(receipt(3)), 0U) << "no room before the old ones are written";
    EXPECT_TRUE(add(3));
    EXPECT_EQ(ids(), "2 3 ");
    EXPECT_GT(files_->note(receipt(4)), 0U);
    reopen();
    EXPECT_EQ(ids(), "2 3 4 ");
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
