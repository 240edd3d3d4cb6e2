// A recipient that is killed at any moment, again and again: what it was told is durable stays, nothing is
// paid twice, and the books agree to the wei. `ledger_sqlite_test --kills 1000` for more than a few.
#include <framegrid/ledger_sqlite/ledger.hpp>

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <map>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <framegrid/host/files.hpp>
#include <framegrid/host/loop.hpp>
#include <framegrid/pay/ledger_bench_for_test.hpp>

#include <gmock/gmock.h>

namespace framegrid::ledger_sqlite {

namespace {

int kills = 20;

constexpr std::uint32_t kNoncesPerLife = 100'000;
constexpr std::uint64_t kFaceValue = 3;

// What a child tells its parent when a change is durable. Written whole: smaller than a pipe's atomic size.
struct Told {
    enum class What : std::uint8_t { kFunded, kKept, kPaid, kDone };
    What what = What::kFunded;
    pay::Hash32 hash{};
};

// The view of one process.
class Bench final : public pay::LedgerBench {
  public:
    explicit Bench(const host::Path& file) {
        auto opened = LedgerFile::open(
            {.file = file, .round_ms = 3'600'000, .recipient = recipient, .service_uri = "https://one.example"
            },
            clock_, random_
        );
        FG_ASSERT(opened);
        file_ = std::move(*opened);
    }
    pay::Chain& chain() override { return file_->chain(); }
    pay::Ledger& ledger() override { return file_->ledger(); }
    pay::WinningTickets& tickets() override { return file_->winning_tickets(); }
    void next_round() override {}
    LedgerFile& file() { return *file_; }
    std::int64_t unix_ms() const { return clock_.unix_ms(); }

  private:
    host::SteadyClock clock_{loop().get_executor()};
    host::SystemRandom random_;
    std::unique_ptr<LedgerFile> file_;
};

void tell(int pipe, Told::What what, const pay::Hash32& hash) {
    const Told told{what, hash};
    FG_ASSERT(write(pipe, &told, sizeof(told)) == static_cast<ssize_t>(sizeof(told)));
}

// As an orchestrator's redemption loop does, whoever kept the tickets.
void redeem_waiting(Bench& bench, int pipe) {
    for (const auto& ticket : bench.run(bench.tickets().waiting(bench.sender, 100))) {
        const auto redeemed = bench.redeem(ticket);
        FG_ASSERT(redeemed.paid == kFaceValue);
        tell(pipe, Told::What::kPaid, ticket.hash);
        FG_ASSERT(bench.try_run(bench.tickets().done(ticket.hash, redeemed)));
        tell(pipe, Told::What::kDone, ticket.hash);
    }
}

[[noreturn]] void live(const host::Path& file, int pipe, std::uint32_t first_nonce) {
    Bench bench(file);
    for (std::uint32_t nonce = first_nonce;; nonce += 3) {
        bench.fund(3 * kFaceValue, 0);
        tell(pipe, Told::What::kFunded, {});
        std::vector<pay::WinningTicket> tickets;
        for (std::uint32_t i = 0; i < 3; ++i) {
            tickets.push_back(bench.ticket(nonce + i, kFaceValue, bench.recipient));
        }
        FG_ASSERT(bench.try_run(bench.tickets().keep(tickets)));
        for (const auto& ticket : tickets) {
            tell(pipe, Told::What::kKept, ticket.hash);
        }
        redeem_waiting(bench, pipe);
    }
}

// Everything that all children have told.
struct Record {
    std::uint64_t funded = 0;
    std::map<pay::Hash32, Told::What> tickets;

    void add(const Told& told) {
        if (told.what == Told::What::kFunded) {
            funded += 3 * kFaceValue;
        } else {
            tickets[told.hash] = told.what;
        }
    }
};

// Runs a child, kills it after `life` - from its start, or from when it was `at_work` - and adds what it
// told.
void live_and_die(
    const host::Path& file, std::uint32_t first_nonce, bool at_work, std::chrono::microseconds life,
    Record& record
) {
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        close(ends[0]);
        live(file, ends[1], first_nonce);
    }
    close(ends[1]);
    std::atomic<bool> begun = false;
    std::thread reader([&] {
        Told told;
        while (read(ends[0], &told, sizeof(told)) == static_cast<ssize_t>(sizeof(told))) {
            begun = true;
            record.add(told);
        }
    });
    // Opening the file takes most of a short life: the others begin with the first change.
    for (int ms = 0; at_work && !begun && ms < 5'000; ++ms) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::this_thread::sleep_for(life);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    reader.join();
    close(ends[0]);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "it ended by itself: " << status;
}

void check(Bench& bench, const Record& record, std::uint64_t deaths) {
    const auto totals = bench.run(bench.file().check());
    std::map<pay::Hash32, pay::KeptTicket> kept;
    for (auto& ticket : bench.run(bench.file().kept())) {
        ASSERT_TRUE(ticket.final_error.empty()) << ticket.final_error;
        ASSERT_TRUE(kept.emplace(ticket.ticket.hash, ticket).second);
    }
    for (const auto& [hash, what] : record.tickets) {
        const auto found = kept.find(hash);
        ASSERT_NE(found, kept.end()) << "a ticket is lost";
        ASSERT_TRUE(what != Told::What::kPaid || bench.run(bench.ledger().is_used(hash, bench.deadline)));
        ASSERT_TRUE(what != Told::What::kDone || found->second.redemption) << "an end is lost";
    }
    // What was not told yet may have happened: one change of each life.
    EXPECT_GE(totals.funded, record.funded);
    EXPECT_LE(totals.funded, record.funded + deaths * 3 * kFaceValue);
    EXPECT_EQ(totals.held + totals.paid, totals.funded);
    EXPECT_EQ(totals.paid, totals.tickets_paid * kFaceValue);
}

TEST(LedgerKills, NothingIsLostAndNothingIsPaidTwice) {
    auto directory = host::TempDir::make("framegrid-ledger-kills");
    ASSERT_TRUE(directory);
    const host::Path file = directory->path() / "ledger.sqlite";
    SeededRandom random{static_cast<std::uint64_t>(kills)};
    Record record;
    for (int i = 0; i < kills; ++i) {
        // From before the file is there to some transactions later.
        const bool at_work = i % 4 != 0;
        const std::chrono::microseconds life(random.below(30'000));
        live_and_die(file, static_cast<std::uint32_t>(i) * kNoncesPerLife, at_work, life, record);
        ASSERT_FALSE(HasFatalFailure());
        if (i % 10 == 9) {
            Bench bench(file);
            check(bench, record, static_cast<std::uint64_t>(i) + 1);
            ASSERT_FALSE(HasFatalFailure());
        }
    }
    // The last one lives on: everything that waits is paid, and both sides agree.
    Bench bench(file);
    const int nobody = open("/dev/null", O_WRONLY | O_CLOEXEC);
    while (!bench.run(bench.tickets().senders()).empty()) {
        redeem_waiting(bench, nobody);
    }
    close(nobody);
    check(bench, record, static_cast<std::uint64_t>(kills));
    Wei booked = 0;
    for (const auto& ticket : bench.run(bench.file().kept())) {
        booked += ticket.redemption ? ticket.redemption->paid : Wei(0);
    }
    const auto totals = bench.run(bench.file().check());
    EXPECT_EQ(booked, totals.paid);
    EXPECT_EQ(booked, bench.run(bench.file().account(bench.recipient)).earned);
    EXPECT_GE(record.tickets.size(), static_cast<std::size_t>(kills));
    std::printf(
        "%d kills, %zu tickets told of, %llu paid, %s wei of %s\n", kills, record.tickets.size(),
        static_cast<unsigned long long>(totals.tickets_paid), totals.paid.str().c_str(),
        totals.funded.str().c_str()
    );
}

}  // namespace

}  // namespace framegrid::ledger_sqlite

int main(int argc, char** argv) {
    testing::InitGoogleMock(&argc, argv);
    for (int i = 1; i + 1 < argc; ++i) {
        if (std::string_view(argv[i]) == "--kills") {
            const std::string_view text = argv[i + 1];
            std::from_chars(text.data(), text.data() + text.size(), framegrid::ledger_sqlite::kills);
        }
    }
    return RUN_ALL_TESTS();
}
