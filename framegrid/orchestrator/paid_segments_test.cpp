// Segments that are paid: what the answer says of the next payment, and payments ahead of any job.
#include <framegrid/orchestrator/orchestrator.hpp>

#include <boost/asio/io_context.hpp>

#include <framegrid/pay/memory_ledger.hpp>
#include <framegrid/pay/ticket_for_test.hpp>
#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/task_group.hpp>

#include <gtest/gtest.h>

namespace framegrid::orchestrator {
namespace {

using namespace std::chrono_literals;
using pay::Money;

constexpr const char* kSecret = "s3cret";
constexpr std::int64_t kTicketEv = 8'000'000'000;
constexpr const char* kModel = "framegrid/scenes";

class PoolAtOnce final : public WorkPool {
  public:
    void post(std::move_only_function<void()> work) override { work(); }
};

// Blocks that may not be seen for a while.
class FlakyChain final : public pay::Chain {
  public:
    FlakyChain() {
        auto state = pay::Market{}.chain;
        state.gas_price = 0;
        inner.set(state);
    }
    Result<pay::ChainState> state() const override {
        if (away) {
            return fail(Errc::kUnavailable, "no block has been seen for too long");
        }
        return inner.state();
    }
    Task<Result<pay::Hash32>> block_hash_of(std::int64_t round, Deadline deadline) override {
        return inner.block_hash_of(round, deadline);
    }
    Task<Result<std::string>> service_uri(pay::Address recipient, Deadline deadline) override {
        return inner.service_uri(recipient, deadline);
    }
    pay::MemoryChain inner;
    bool away = false;
};

template <class T>
Task<void> keep(Task<Result<T>> task, std::optional<Result<T>>& out) {
    auto result = co_await std::move(task);
    out.emplace(std::move(result));
}

class PaidSegmentsTest : public testing::Test {
  protected:
    PaidSegmentsTest() {
        get<void>(ledger_.fund(key_.address(), pay::ether(10), pay::ether(2), later())).value();
        pay::PriceSettings prices;
        prices.rules.push_back({{}, {}, {.digits = 1}});  // a wei for a pixel
        prices.rules.push_back(
            {{}, pay::ModelKey{27, kModel}, pay::parse_price("0.000000000000001USD").value()}
        );
        prices.usd_fallback = {1'000, 0};
        Ports ports{loop_.get_executor(), clock_, random_, {}, &own_key_, {}};
        ports.payments.emplace(
            pool_, ledger_, chain_, winners_, pay::PriceTable::make(std::move(prices), {}).value()
        );
        Settings settings;
        settings.service_uri = "https://me";
        settings.secret = kSecret;
        settings.cashier.till.recipient.face_value_max = kTicketEv * 2;
        role_ = make_orchestrator(std::move(ports), settings);
        api::Registration wanted;
        wanted.secret = kSecret;
        wanted.capacity = 1;
        wanted.capabilities = job::default_capabilities();
        worker_ = get(role_->register_worker(std::move(wanted), later())).value();
        info_ = info({});
    }
    api::OrchestratorInfo info(job::Capabilities needs) {
        api::InfoRequest ask;
        ask.needs = std::move(needs);
        ask.sender = key_.address();
        return get(role_->get_info(std::move(ask), later())).value();
    }
    ~PaidSegmentsTest() override {
        role_->stop();
        group_.cancel();
        poll();
    }
    void poll() {
        loop_.restart();
        loop_.poll();
    }
    Deadline later() { return Deadline::after(clock_, 60s); }
    template <class T>
    Result<T> get(Task<Result<T>> task) {
        std::optional<Result<T>> out;
        group_.spawn(keep<T>(std::move(task), out));
        poll();
        return out ? std::move(*out) : fail(Errc::kInternal, "not finished");
    }
    std::shared_ptr<const pay::Payment> tickets(
        const api::OrchestratorInfo& from, std::uint32_t first, std::uint32_t count
    ) {
        return std::make_shared<const pay::Payment>(
            pay::sign({key_.address(), *from.ticket_params, first, count}, *from.price, key_)
        );
    }
    // A segment whose renditions have so many pixels; the blocks are gone while it is worked on.
    Result<api::JobOutput> segment(std::int64_t pixels, bool blocks_go = false) {
        api::Job job;
        job.manifest_id = "m";
        job.sender = key_.address();
        job.token = info_.auth_token;
        api::TranscodeWork work;
        work.profiles.resize(1);
        job.needs = job::transcode_needs(work.profiles, job::SourceCodec::kH264, false);
        job.work.kind = std::move(work);
        job.work.input = Blob::copy_of("segment");
        job.payment = tickets(info_, 1, 1);
        std::optional<Result<api::JobOutput>> out;
        group_.spawn(keep<api::JobOutput>(role_->run(std::move(job), later()), out));
        poll();
        const auto task = get(worker_->next()).value();
        chain_.away = blocks_go;
        api::TaskReport report;
        report.id = task.id;
        report.secret = kSecret;
        report.outcome.emplace();
        report.outcome->artifacts.push_back(
            {"P240", "video/mp2t", Blob::copy_of(std::string(188, 'x')), Pixels{pixels}, {}, {}}
        );
        (void)get(role_->submit(std::move(report), later()));
        poll();
        return out ? std::move(*out) : fail(Errc::kInternal, "not finished");
    }

    boost::asio::io_context loop_{1};
    ManualClock clock_;
    SeededRandom random_{1};
    PoolAtOnce pool_;
    crypto::PrivateKey key_ = pay::key_of("cow");
    crypto::PrivateKey own_key_ = pay::key_of("recipient");
    FlakyChain chain_;
    pay::MemoryWinningTickets winners_;
    pay::MemoryLedger ledger_{chain_.inner};
    std::unique_ptr<Orchestrator> role_;
    std::unique_ptr<api::TaskStream> worker_;
    api::OrchestratorInfo info_;
    TaskGroup group_{loop_.get_executor(), 1'000};
};

TEST_F(PaidSegmentsTest, AnAnswerSaysWhatToPayNextTimeWith) {
    const auto done = segment(1'000);
    ASSERT_TRUE(done) << done.error().message;
    ASSERT_TRUE(done->info);
    EXPECT_NE(done->info->ticket_params, nullptr);
    EXPECT_EQ(role_->stats().cashier->earned, Money::wei(1'000));
}

TEST_F(PaidSegmentsTest, AnAnswerSaysNothingRatherThanHalf) {
    const auto done = segment(1'000, true);
    ASSERT_TRUE(done) << "the work is done and paid";
    EXPECT_FALSE(done->info) << "an info without params ends the session";
}

TEST_F(PaidSegmentsTest, APaymentThatLeavesADebtWasTakenAllTheSame) {
    ASSERT_TRUE(segment(3 * kTicketEv)) << "three tickets' worth for one";
    api::Job head;
    head.sender = key_.address();
    head.manifest_id = info_.auth_token.session_id;  // whose debt it is
    head.token = info_.auth_token;
    head.payment = tickets(info_, 2, 1);
    const auto taken = get(role_->prepay(head, later()));
    ASSERT_TRUE(taken) << taken.error().message;
    ASSERT_NE(taken->ticket_params, nullptr);
    ASSERT_EQ(role_->books().size(), 1U);
    EXPECT_LT(role_->books().front().balance, Money()) << "two of three";
    const auto twice = get(role_->prepay(head, later()));
    EXPECT_FALSE(twice) << "nothing was credited";
    head.payment = nullptr;
    EXPECT_FALSE(get(role_->prepay(head, later())));
}

TEST_F(PaidSegmentsTest, AiPricesFollowTheFeedOfABusyGateway) {
    const auto needs = job::ai_needs(job::Capability::kTextToImage, kModel);
    api::Job head;
    head.sender = key_.address();
    head.manifest_id = "27_" + std::string(kModel);
    head.needs = needs;
    head.work.kind = api::AiWork{"text-to-image", kModel, R"({"prompt":"a hill"})"};
    const auto before = info(needs);
    EXPECT_EQ(before.price, (Price{1, 1}));
    head.payment = tickets(before, 1, 1);
    ASSERT_TRUE(get(role_->take_payment(head, later())));
    EXPECT_EQ(head.agreed, (Price{1, 1}));
    ASSERT_TRUE(role_->set_usd_rate({500, 0}));
    EXPECT_EQ(info(needs).price, (Price{2, 1})) << "of the table, though that gateway has credit";
}

}  // namespace
}  // namespace framegrid::orchestrator
