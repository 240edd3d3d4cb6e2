#include <framegrid/ledger_sqlite/ledger.hpp>

#include <array>
#include <thread>

#include <SQLiteCpp/SQLiteCpp.h>

#include <framegrid/host/files.hpp>
#include <framegrid/ledger_sqlite/rounds.hpp>
#include <framegrid/pay/ledger_contract_for_test.hpp>

namespace framegrid::ledger_sqlite {

namespace {

using pay::ether;
using std::chrono::milliseconds;

constexpr std::int64_t kRoundMs = 10'000;

// A clock that may be set back.
class TestClock final : public Clock {
  public:
    explicit TestClock(std::int64_t unix_ms = 1'700'000'000'000) : unix_ms_(unix_ms) {}
    TimePoint now() const override { return now_; }
    std::int64_t unix_ms() const override { return unix_ms_; }
    Timer call_at(TimePoint /*at*/, std::move_only_function<void()> /*fn*/) override { return {}; }
    void advance(milliseconds duration) {
        now_ += duration;
        unix_ms_ += duration.count();
    }
    void set_unix_ms(std::int64_t unix_ms) { unix_ms_ = unix_ms; }

  private:
    TimePoint now_{};
    std::int64_t unix_ms_;
};

// A gateway's and two orchestrators' views of one file.
class SqliteBench final : public pay::LedgerBench {
  public:
    SqliteBench() { reopen(); }
    void reopen() override {
        two_.reset();
        one_.reset();
        two_ = open({.file = file(), .recipient = other, .service_uri = "https://two.example:8935"});
        one_ = open({.file = file(), .recipient = recipient, .service_uri = "https://one.example:8935"});
    }
    std::unique_ptr<LedgerFile> open(LedgerSettings settings) {
        settings.round_ms = kRoundMs;
        settings.funds_age_ms = funds_age_ms;
        auto opened = LedgerFile::open(std::move(settings), clock, random_);
        EXPECT_TRUE(opened) << opened.error().message;
        return opened ? std::move(*opened) : nullptr;
    }
    pay::Chain& chain() override { return one_->chain(); }
    pay::Ledger& ledger() override { return one_->ledger(); }
    pay::WinningTickets& tickets() override { return one_->winning_tickets(); }
    void next_round() override { clock.advance(milliseconds(kRoundMs)); }
    LedgerFile& one() { return *one_; }
    LedgerFile& two() { return *two_; }
    host::Path file() const { return directory_->path() / "ledger.sqlite"; }

    TestClock clock;
    std::int64_t funds_age_ms = 0;

  private:
    Result<host::TempDir> directory_ = host::TempDir::make("framegrid-ledger-test");
    SeededRandom random_{5};
    std::unique_ptr<LedgerFile> one_;
    std::unique_ptr<LedgerFile> two_;
};

}  // namespace

}  // namespace framegrid::ledger_sqlite

namespace framegrid::pay {
INSTANTIATE_TEST_SUITE_P(Sqlite, LedgerContract, testing::Values(LedgerFactory([] {
                             return std::make_unique<ledger_sqlite::SqliteBench>();
                         })));
}  // namespace framegrid::pay

namespace framegrid::ledger_sqlite {

namespace {

TEST(Rounds, FollowTheClock) {
    const Genesis genesis{.seed = {}, .start_unix_ms = 1'000, .round_ms = 3'000};
    EXPECT_EQ(round_at(genesis, 0), 1);
    EXPECT_EQ(round_at(genesis, 3'999), 1);
    EXPECT_EQ(round_at(genesis, 4'000), 2);
    EXPECT_EQ(block_at(genesis, 1'000), 1U);
    EXPECT_EQ(block_at(genesis, 1'010), 2U);
    EXPECT_EQ(block_at(genesis, 4'000), 301U);
    EXPECT_EQ(round_hash(genesis, 0), pay::Hash32{});
    EXPECT_NE(round_hash(genesis, 1), round_hash(genesis, 2));
    const Genesis other{.seed = {1}, .start_unix_ms = 1'000, .round_ms = 3'000};
    EXPECT_NE(round_hash(genesis, 1), round_hash(other, 1));
}

TEST(SqliteLedger, AnotherProcessSeesChangesAndTheSameRounds) {
    SqliteBench bench;
    bench.fund(100, 10);
    const auto funds = bench.run(bench.two().ledger().funds(bench.sender, bench.other, bench.deadline));
    EXPECT_EQ(funds.deposit, 100);
    EXPECT_EQ(bench.two().chain().state()->round_block_hash, bench.chain().state()->round_block_hash);
    // Whoever may present a ticket, its recipient is paid.
    const auto ticket = bench.ticket(1, 30, bench.recipient);
    EXPECT_EQ(bench.run(bench.two().ledger().redeem(ticket, bench.deadline)).paid, 30);
    EXPECT_TRUE(bench.redeem(ticket).used_before);
    EXPECT_EQ(bench.run(bench.one().account(bench.recipient)).earned, 30);
    // A queue shows its own recipient's tickets.
    EXPECT_TRUE(bench.try_run(bench.tickets().keep({bench.ticket(2, 1, bench.recipient)})));
    EXPECT_EQ(bench.run(bench.two().winning_tickets().pending(bench.sender)), 0);
}

TEST(SqliteLedger, AFileKeepsItsRounds) {
    SqliteBench bench;
    const auto hash = bench.chain().state()->round_block_hash;
    SeededRandom random{99};
    auto other = LedgerFile::open({.file = bench.file(), .round_ms = 500}, bench.clock, random);
    ASSERT_TRUE(other);
    EXPECT_EQ((*other)->chain().state()->round_block_hash, hash);
    bench.clock.advance(milliseconds(kRoundMs - 1));
    EXPECT_EQ((*other)->chain().state()->round, 1);
    EXPECT_FALSE(LedgerFile::open({.file = bench.file(), .round_ms = 1}, bench.clock, random));
}

TEST(SqliteLedger, FundsAreReadOnceInAWhile) {
    SqliteBench bench;
    bench.funds_age_ms = 500;
    bench.reopen();
    bench.fund(100, 10);
    EXPECT_EQ(bench.funds(bench.recipient).deposit, 100);
    EXPECT_TRUE(bench.try_run(bench.two().ledger().fund(bench.sender, 1, 0, bench.deadline)));
    EXPECT_EQ(bench.funds(bench.recipient).deposit, 100);
    bench.clock.advance(milliseconds(501));
    EXPECT_EQ(bench.funds(bench.recipient).deposit, 101);
    // Own changes are seen at once.
    EXPECT_TRUE(bench.try_run(bench.tickets().keep({bench.ticket(1, 7, bench.recipient)})));
    EXPECT_EQ(bench.funds(bench.recipient).pending, 7);
}

TEST(SqliteLedger, ATicketFromTheFutureWaits) {
    SqliteBench bench;
    bench.fund(100, 0);
    const std::int64_t before = bench.clock.unix_ms();
    bench.next_round();
    const auto ticket = bench.ticket(1, 10, bench.recipient);
    bench.clock.set_unix_ms(before);
    bench.reopen();
    EXPECT_EQ(bench.refused(ticket).code, Errc::kUnavailable);
    bench.clock.set_unix_ms(before + kRoundMs);
    bench.reopen();
    EXPECT_EQ(bench.redeem(ticket).paid, 10);
}

TEST(SqliteLedger, UsageAndBooksAreWhatHappened) {
    SqliteBench bench;
    bench.fund(100, 50);
    bench.redeem(bench.ticket(1, 30, bench.recipient));
    bench.redeem(bench.ticket(2, 200, bench.other));  // 70 of the deposit and half of the reserve
    const std::int64_t first_day = bench.clock.unix_ms();
    bench.next_round();
    bench.redeem(bench.ticket(3, 5, bench.recipient));
    const auto all = bench.run(bench.one().usage({}, 0, bench.clock.unix_ms() + 1));
    ASSERT_EQ(all.size(), 2U);
    const auto ours = bench.run(bench.one().usage(bench.recipient, 0, first_day + 1));
    ASSERT_EQ(ours.size(), 1U);
    EXPECT_EQ(ours[0].tickets, 1U);
    EXPECT_EQ(ours[0].paid, 30);
    const auto theirs = bench.run(bench.one().usage(bench.other, 0, first_day + 1));
    ASSERT_EQ(theirs.size(), 1U);
    EXPECT_EQ(theirs[0].face_value, 200);
    EXPECT_EQ(theirs[0].paid, 95);
    EXPECT_EQ(bench.run(bench.one().collect(bench.other)), 95);
    EXPECT_EQ(bench.try_run(bench.one().collect(bench.other)).error().code, Errc::kForbidden);
    const auto totals = bench.run(bench.one().check());
    EXPECT_EQ(
        totals, (LedgerTotals{
                    .accounts = 3, .tickets_paid = 3, .funded = 150, .held = 20, .paid = 130, .collected = 95
                })
    );
    const auto accounts = bench.run(bench.one().accounts());
    ASSERT_EQ(accounts.size(), 3U);
}

// Four processes in one: each has its own connections and presents the same tickets.
TEST(SqliteLedger, RivalsPayEachTicketOnce) {
    SqliteBench bench;
    bench.fund(ether(1), 0);
    constexpr std::uint32_t kTickets = 40;
    std::vector<pay::WinningTicket> tickets;
    for (std::uint32_t nonce = 1; nonce <= kTickets; ++nonce) {
        tickets.push_back(bench.ticket(nonce, nonce, bench.recipient));
    }
    std::array<std::uint64_t, 4> paid{};
    std::vector<std::thread> threads;
    const std::int64_t unix_ms = bench.clock.unix_ms();
    const auto file = bench.file();
    for (auto& sum : paid) {
        threads.emplace_back([&sum, &tickets, unix_ms, file] {
            TestClock clock(unix_ms);
            SeededRandom random{1};
            auto opened = LedgerFile::open({.file = file}, clock, random);
            if (!opened) {
                ADD_FAILURE() << opened.error().message;
                return;
            }
            boost::asio::io_context loop;
            for (const auto& ticket : tickets) {
                boost::asio::co_spawn(
                    loop, (*opened)->ledger().redeem(ticket, {TimePoint::max()}),
                    [&sum](std::exception_ptr, Result<pay::Redemption> result) {
                        EXPECT_TRUE(result) << result.error().message;
                        sum += result && !result->used_before ? result->paid.convert_to<std::uint64_t>() : 0;
                    }
                );
            }
            loop.run();
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(paid[0] + paid[1] + paid[2] + paid[3], kTickets * (kTickets + 1) / 2);
    EXPECT_EQ(bench.run(bench.one().check()).tickets_paid, kTickets);
}

TEST(SqliteLedger, DamageIsFound) {
    SqliteBench bench;
    bench.fund(100, 50);
    {
        SQLite::Database raw(bench.file().string(), SQLite::OPEN_READWRITE);
        raw.exec("UPDATE accounts SET deposit = '101'");
    }
    const auto checked = bench.try_run(bench.one().check());
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, Errc::kInternal);
    EXPECT_NE(checked.error().message.find(crypto::checksum_address(bench.sender)), std::string::npos);
    {
        SQLite::Database raw(bench.file().string(), SQLite::OPEN_READWRITE);
        raw.exec("UPDATE accounts SET deposit = 'x'");
    }
    const auto damaged = bench.try_run(bench.one().check());
    ASSERT_FALSE(damaged);
    EXPECT_EQ(damaged.error().code, Errc::kIo);
    EXPECT_NE(damaged.error().message.find("the ledger is damaged"), std::string::npos);
}

}  // namespace

}  // namespace framegrid::ledger_sqlite
