// A gateway and orchestrators that pay each other over the api, with a ledger in memory and time by hand.
#include <deque>
#include <map>

#include <boost/asio/io_context.hpp>

#include <framegrid/gateway/gateway.hpp>
#include <framegrid/orchestrator/orchestrator.hpp>
#include <framegrid/pay/memory_ledger.hpp>
#include <framegrid/pay/ticket_for_test.hpp>
#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/task_group.hpp>

#include <gtest/gtest.h>

namespace framegrid::tests {
namespace {

using namespace std::chrono_literals;
using pay::ether;
using pay::Money;

constexpr const char* kSecret = "s3cret";
constexpr std::int64_t kPrice = 1'000'000'000;  // wei for a job of one unit
constexpr std::int64_t kTicketEv = 8'000'000'000;

class InlinePool final : public WorkPool {
  public:
    void post(std::move_only_function<void()> work) override { work(); }
};

// A ledger whose answers can get lost, and which can be away.
class Ledger final : public pay::Ledger {
  public:
    explicit Ledger(pay::MemoryLedger& inner) : inner_(inner) {}
    Task<Result<pay::SenderFunds>> funds(pay::Address sender, pay::Address recipient, Deadline by) override {
        return inner_.funds(sender, recipient, by);
    }
    Task<Result<void>> fund(pay::Address sender, Wei deposit, Wei reserve, Deadline by) override {
        return inner_.fund(sender, std::move(deposit), std::move(reserve), by);
    }
    Task<Result<std::int64_t>> unlock(pay::Address sender, Deadline by) override {
        return inner_.unlock(sender, by);
    }
    Task<Result<void>> cancel_unlock(pay::Address sender, Deadline by) override {
        return inner_.cancel_unlock(sender, by);
    }
    Task<Result<Wei>> withdraw(pay::Address sender, Deadline by) override {
        return inner_.withdraw(sender, by);
    }
    Task<Result<pay::Redemption>> redeem(pay::WinningTicket ticket, Deadline by) override {
        auto paid = co_await inner_.redeem(std::move(ticket), by);
        if (mute) {
            co_return fail(Errc::kDeadline, "no answer");
        }
        co_return paid;
    }
    Task<Result<bool>> is_used(pay::Hash32 hash, Deadline by) override {
        if (away) {
            co_return fail(Errc::kUnavailable, "nobody there");
        }
        co_return co_await inner_.is_used(hash, by);
    }
    bool mute = false;
    bool away = false;

  private:
    pay::MemoryLedger& inner_;
};

// A queue whose disk can be full.
class Queue final : public pay::WinningTickets {
  public:
    Task<Result<void>> keep(std::vector<pay::WinningTicket> tickets) override {
        if (full) {
            co_return fail(Errc::kIo, "no space left on device");
        }
        co_return co_await inner.keep(std::move(tickets));
    }
    Task<Result<std::vector<pay::WinningTicket>>> waiting(pay::Address sender, std::size_t limit) override {
        return inner.waiting(sender, limit);
    }
    Task<Result<std::vector<pay::Address>>> senders() override { return inner.senders(); }
    Task<Result<Wei>> pending(pay::Address sender) override { return inner.pending(sender); }
    Task<Result<void>> done(pay::Hash32 hash, pay::Redemption redemption) override {
        return inner.done(hash, std::move(redemption));
    }
    Task<Result<void>> failed(pay::Hash32 hash, std::string error) override {
        return inner.failed(hash, std::move(error));
    }
    pay::MemoryWinningTickets inner;
    bool full = false;
};

pay::PriceTable prices(std::int64_t wei) {
    pay::PriceSettings settings;
    settings.rules.push_back({{}, {}, {.digits = static_cast<std::uint64_t>(wei)}});
    return pay::PriceTable::make(std::move(settings), {}).value();
}

// An orchestrator, and what stands between it and the gateway.
class Node final : public api::Orchestrator {
  public:
    Task<Result<api::OrchestratorInfo>> get_info(api::InfoRequest request, Deadline deadline) override {
        ++infos;
        if (slow != nullptr) {
            co_await sleep_for(*slow, 2s);
        }
        co_return co_await role->get_info(std::move(request), deadline);
    }
    Task<Result<api::JobOutput>> run(api::Job job, Deadline deadline) override {
        ++jobs;
        last = job;
        auto result = co_await role->run(std::move(job), deadline);
        if (mute) {
            co_return fail(Errc::kUnavailable, "connection reset");
        }
        co_return result;
    }
    Task<Result<void>> end_session(api::AuthToken token, Deadline deadline) override {
        return role->end_session(std::move(token), deadline);
    }

    crypto::PrivateKey key = pay::key_of("recipient");
    Queue queue;
    orchestrator::Settings settings;
    std::unique_ptr<orchestrator::Orchestrator> role;
    api::Job last;
    int infos = 0;
    int jobs = 0;
    bool mute = false;      // its answers are lost
    Clock* slow = nullptr;  // says what it asks for after a while
};

// A signer elsewhere: its answers take a while, and it may be away or refuse.
class FarSigner final : public pay::Signer {
  public:
    FarSigner(const crypto::PrivateKey& key, Clock& clock)
        : key_(key), clock_(clock), address_(key.address()) {}
    const pay::Address& address() const override { return address_; }
    bool is_remote() const override { return true; }
    std::uint32_t tickets_max() const override { return 100; }
    Task<Result<pay::Payment>> sign(pay::TicketBatch batch, Price price, Deadline) override {
        ++tickets;
        at_once_max = std::max(at_once_max, ++at_once);
        co_await sleep_for(clock_, 100ms);
        --at_once;
        if (error) {
            co_return fail(Error(*error));
        }
        co_return pay::sign(batch, price, key_);
    }
    Task<Result<void>> sign_ahead(pay::SegmentClaim claim, Deadline) override {
        claims.push_back(std::move(claim));
        at_once_max = std::max(at_once_max, ++at_once);
        co_await sleep_for(clock_, 100ms);
        --at_once;
        if (ahead_error) {
            co_return fail(Error(*ahead_error));
        }
        co_return Result<void>{};
    }
    std::optional<Error> error;
    std::optional<Error> ahead_error;
    std::vector<pay::SegmentClaim> claims;
    int tickets = 0;
    int at_once = 0;
    int at_once_max = 0;

  private:
    const crypto::PrivateKey& key_;
    Clock& clock_;
    pay::Address address_;
};

Error signers(Errc code, const char* field) {
    return make_error(code, "the signer says so", field);
}

class Source final : public gateway::OrchestratorSource {
  public:
    Task<Result<std::vector<std::string>>> list(Deadline) override { co_return uris; }
    std::vector<std::string> uris;
};

template <class T>
Task<void> keep(Task<Result<T>> task, std::optional<Result<T>>& out) {
    auto result = co_await std::move(task);
    out.emplace(std::move(result));
}
template <class Role>
Task<void> serve(Role& role) {
    (void)co_await role.serve();
}

class PaymentsTest : public testing::Test, public api::OrchestratorDirectory {
  protected:
    PaymentsTest() {
        auto state = pay::Market{}.chain;
        state.gas_price = 0;
        chain_.set(state);
        get<void>(ledger_.fund(key_.address(), ether(10), ether(2), later())).value();
    }
    ~PaymentsTest() override {
        group_.cancel();
        poll();
    }
    std::shared_ptr<api::Orchestrator> at(const std::string& uri) override { return nodes_.at(uri); }
    Node& node(const std::string& uri, std::int64_t price = kPrice, const char* key = "recipient") {
        auto& made = nodes_[uri];
        if (!made) {
            made = std::make_shared<Node>();
            made->key = pay::key_of(key);
            made->settings.service_uri = uri;
            made->settings.secret = kSecret;
            made->settings.cashier.till.recipient.face_value_max = kTicketEv * 2;
            restart(*made, price);
            source_.uris.push_back(uri);
        }
        return *made;
    }
    // A new process of the same node.
    void restart(Node& node, std::int64_t price = kPrice) {
        orchestrator::Ports ports{loop_.get_executor(), clock_, random_, {}, &node.key, {}};
        ports.payments.emplace(pool_, sellers_ledger_, chain_, node.queue, prices(price));
        if (node.role) {
            retired_.push_back(std::move(node.role));
        }
        node.role = orchestrator::make_orchestrator(std::move(ports), node.settings);
        group_.spawn(serve(*node.role));
    }
    gateway::Gateway& role() {
        if (!role_) {
            gateway::Ports ports{loop_.get_executor(), clock_, random_, {}, *this, source_, {}};
            pay::Signer& signer = far_ ? static_cast<pay::Signer&>(*far_) : *signer_;
            ports.payments.emplace(signer, ledger_, chain_);
            role_ = gateway::make_gateway(std::move(ports), settings_);
            group_.spawn(serve(*role_));
            advance(100ms);
        }
        return *role_;
    }
    void poll() {
        loop_.restart();
        loop_.poll();
    }
    void advance(Duration duration) {
        const TimePoint until = clock_.now() + duration;
        poll();
        while (clock_.now() < until) {
            clock_.advance(std::min<Duration>(100ms, until - clock_.now()));
            poll();
        }
    }
    Deadline later(Duration duration = 60s) { return Deadline::after(clock_, duration); }
    template <class T>
    Result<T> get(Task<Result<T>> task, Duration limit = 0s) {
        std::optional<Result<T>> out;
        group_.spawn(keep<T>(std::move(task), out));
        poll();
        for (Duration waited{}; !out && waited < limit; waited += 100ms) {
            advance(100ms);
        }
        return out ? std::move(*out) : fail(Errc::kInternal, "not finished");
    }
    static gateway::JobRequest echo() {
        gateway::JobRequest out;
        out.manifest_id = "echo";
        out.work.kind = api::AiWork{"echo", {}, {}};
        out.work.input = Blob::copy_of("hello");
        return out;
    }
    Result<gateway::JobResult> run(gateway::JobRequest request = echo()) {
        return get(role().run(std::move(request), later()), 60s);
    }
    // What the gateway believes to have at all orchestrators, and what those say.
    Money ours() {
        Money sum;
        for (const auto& entry : role().books()) {
            sum += entry.balance;
        }
        return sum;
    }
    static Money theirs(const Node& node) {
        Money sum;
        for (const auto& entry : node.role->books()) {
            sum += entry.balance;
        }
        return sum;
    }
    std::size_t won(Node& node) {
        return get(node.queue.inner.waiting(key_.address(), 1'000'000)).value().size();
    }

    boost::asio::io_context loop_;
    ManualClock clock_;
    SeededRandom random_{1};
    InlinePool pool_;
    crypto::PrivateKey key_ = pay::key_of("cow");
    std::optional<pay::KeySigner> signer_{std::in_place, key_, pool_};
    std::optional<FarSigner> far_;  // in its place
    pay::MemoryChain chain_;
    pay::MemoryLedger ledger_{chain_};
    Ledger sellers_ledger_{ledger_};
    Source source_;
    gateway::Settings settings_;
    std::map<std::string, std::shared_ptr<Node>> nodes_;
    std::vector<std::unique_ptr<orchestrator::Orchestrator>> retired_;
    std::unique_ptr<gateway::Gateway> role_;
    TaskGroup group_{loop_.get_executor(), 10'000};
};

TEST_F(PaymentsTest, JobsArePaidAndBothSidesAgree) {
    Node& one = node("one");
    for (int i = 0; i < 100; ++i) {
        const auto result = run();
        ASSERT_TRUE(result) << result.error().message;
        EXPECT_EQ(result->cost, Wei(kPrice));
        EXPECT_EQ(result->units, 1);
        ASSERT_EQ(ours(), theirs(one)) << i;
    }
    const auto sold = *one.role->stats().cashier;
    const auto bought = *role().stats().payments;
    EXPECT_EQ(sold.earned, Money::wei(100 * kPrice));
    EXPECT_EQ(bought.fees, sold.earned);
    EXPECT_EQ(bought.tickets_sent_wei, sold.received);
    EXPECT_EQ(sold.received, sold.earned + sold.credit);
    EXPECT_LE(bought.tickets_sent, 15U) << "a ticket pays for eight jobs";
    EXPECT_EQ(won(one), sold.till.recipient.tickets_won);
    EXPECT_LE(one.infos, 4) << "no job asks for the price again";
}

TEST_F(PaymentsTest, ManyAtOnceBuyNoMoreThanTheyNeed) {
    node("one");
    role();
    std::deque<std::optional<Result<gateway::JobResult>>> results;
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 50; ++i) {
            group_.spawn(keep<gateway::JobResult>(role().run(echo(), later()), results.emplace_back()));
        }
        advance(1s);
    }
    for (const auto& result : results) {
        ASSERT_TRUE(result && *result) << (result ? result->error().message : "none");
    }
    EXPECT_EQ(ours(), theirs(node("one")));
    EXPECT_LE(role().stats().payments->tickets_sent, 60U);
}

TEST_F(PaymentsTest, ASignerElsewhereIsAskedForBothAtOnce) {
    far_.emplace(key_, clock_);
    Node& one = node("one");
    for (int i = 0; i < 20; ++i) {
        const auto result = run();
        ASSERT_TRUE(result) << result.error().message;
        ASSERT_EQ(ours(), theirs(one)) << i;
    }
    EXPECT_EQ(far_->at_once_max, 2) << "tickets and the job's signature";
    EXPECT_EQ(static_cast<int>(far_->claims.size()), far_->tickets) << "none for jobs on credit";
    EXPECT_LT(far_->tickets, 10);
    EXPECT_EQ(far_->claims.front().manifest_id, "echo");
}

TEST_F(PaymentsTest, ASignerThatIsAwayIsWaitedForAndNobodyIsBlamed) {
    far_.emplace(key_, clock_);
    far_->error = signers(Errc::kUnavailable, "signer");
    Node& one = node("one");
    role();
    std::optional<Result<gateway::JobResult>> result;
    group_.spawn(keep<gateway::JobResult>(role().run(echo(), later()), result));
    advance(5s);
    EXPECT_FALSE(result);
    EXPECT_GT(far_->tickets, 5);
    far_->error.reset();
    advance(1s);
    ASSERT_TRUE(result && *result) << (result ? result->error().message : "none");
    EXPECT_EQ((*result)->attempts, 1) << "that nobody signs is no attempt";

    for (auto* trouble : {&far_->error, &far_->ahead_error}) {
        far_->error.reset();
        far_->ahead_error.reset();
        *trouble = signers(Errc::kUnavailable, "signer");
        // Until the credit is used up.
        std::optional<Result<gateway::JobResult>> last;
        for (int i = 0; i < 20 && (!last || *last); ++i) {
            last.emplace(run());
        }
        ASSERT_FALSE(*last);
        EXPECT_EQ(last->error().code, Errc::kUnavailable);
        EXPECT_EQ(ours(), theirs(one)) << "what was not sent is not lost";
        EXPECT_EQ(role().stats().pool.suspensions, 0U);
        trouble->reset();
        EXPECT_TRUE(run());
    }
}

TEST_F(PaymentsTest, WhatTheSignerRefusesReachesTheClient) {
    far_.emplace(key_, clock_);
    node("one");
    far_->error = signers(Errc::kForbidden, "signer.spend_limit");
    auto refused = run();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kForbidden);
    EXPECT_EQ(refused.error().message.find("the orchestrators refused"), std::string::npos);
    EXPECT_NE(refused.error().message.find("the signer says so"), std::string::npos);
    EXPECT_EQ(far_->tickets, 1) << "no orchestrator changes that";
    node("two", kPrice, "other");
    advance(70s);
    far_->tickets = 0;
    far_->error = signers(Errc::kForbidden, "signer.price");
    refused = run();
    EXPECT_EQ(refused.error().code, Errc::kForbidden);
    EXPECT_GE(far_->tickets, 2) << "another one may be cheaper";
    far_->error = signers(Errc::kUnauthorized, "signer");
    EXPECT_EQ(run().error().code, Errc::kUnavailable) << "the client's own key is another one";
    far_->error = signers(Errc::kProtocol, "signer");
    EXPECT_EQ(run().error().code, Errc::kProtocol);
    EXPECT_EQ(role().stats().pool.suspensions, 0U);
    far_->error.reset();
    EXPECT_TRUE(run());
}

TEST_F(PaymentsTest, NobodyWorksForFree) {
    Node& one = node("one");
    api::Job job;
    job.manifest_id = "echo";
    job.work.kind = api::AiWork{"echo", {}, {}};
    job.token = get(one.role->get_info({}, later())).value().auth_token;
    // No payment at all, one without tickets, and one at price 0.
    auto refused = get(one.role->run(job, later()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kForbidden);
    job.sender = key_.address();
    for (const std::int64_t wei : {std::int64_t{0}, kPrice}) {
        job.payment = std::make_shared<const pay::Payment>(pay::Payment{job.sender, {}, {}, Price{wei, 1}});
        refused = get(one.role->run(job, later()));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, Errc::kForbidden) << refused.error().message;
    }
    EXPECT_EQ(one.role->stats().jobs_done, 0U);
}

TEST_F(PaymentsTest, ReplayedAndForgedTicketsAreRefused) {
    Node& one = node("one");
    ASSERT_TRUE(run());
    api::Job replay = one.last;
    ASSERT_TRUE(replay.payment && !replay.payment->tickets.empty());
    const Money before = theirs(one);
    auto refused = get(one.role->run(replay, later()));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("already seen"), std::string::npos) << refused.error().message;

    pay::Payment forged = *replay.payment;
    forged.tickets = {
        {7, pay::key_of("thief").sign_message(pay::ticket_hash(*forged.params, forged.sender, 7))}
    };
    replay.payment = std::make_shared<const pay::Payment>(forged);
    refused = get(one.role->run(replay, later()));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("signature"), std::string::npos) << refused.error().message;

    auto state = *chain_.state();
    state.l1_block += 100;
    chain_.set(state);
    pay::TicketBatch late{key_.address(), *forged.params, 100, 1};
    replay.payment = std::make_shared<const pay::Payment>(pay::sign(late, *forged.expected_price, key_));
    refused = get(one.role->run(replay, later()));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("expired"), std::string::npos) << refused.error().message;
    EXPECT_EQ(theirs(one), before);
}

TEST_F(PaymentsTest, TooDearIsRefusedAndACheaperOneFound) {
    settings_.pool.price_max = Price{kPrice, 1};
    Node& dear = node("dear", kPrice * 2);
    auto result = run();
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message.find("asks"), std::string::npos) << result.error().message;
    EXPECT_EQ(dear.jobs, 0);

    auto mine = echo();
    mine.price_max = Price{kPrice / 2, 1};
    node("one");
    EXPECT_FALSE(run(std::move(mine)));
    advance(70s);
    EXPECT_TRUE(run());
}

TEST_F(PaymentsTest, WithoutADepositNothingIsBought) {
    key_ = pay::key_of("poor");
    signer_.emplace(key_, pool_);
    node("one");
    const auto result = run();
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message.find("insufficient sender reserve"), std::string::npos)
        << result.error().message;
}

TEST_F(PaymentsTest, WinnersAreDurableBeforeTheAnswer) {
    Node& one = node("one", kTicketEv);
    one.queue.full = true;
    // Half of all tickets win. A job whose ticket did is not done, and tried again with another ticket.
    for (int i = 0; i < 8; ++i) {
        (void)run();
        advance(5s);
    }
    const auto stats = *one.role->stats().cashier;
    EXPECT_GT(stats.unkept, 0U);
    EXPECT_EQ(stats.unkept, stats.till.recipient.tickets_won);
    EXPECT_EQ(won(one), 0U);
    EXPECT_EQ(static_cast<std::uint64_t>(one.jobs), one.role->stats().jobs_done + stats.unkept);
    one.queue.full = false;
    advance(10s);
    EXPECT_EQ(one.role->stats().cashier->unkept, 0U) << "kept as soon as there is room";
    EXPECT_EQ(won(one), stats.till.recipient.tickets_won);
}

TEST_F(PaymentsTest, ARestartedOrchestratorIsPaidAnew) {
    Node& one = node("one");
    ASSERT_TRUE(run());
    restart(one);
    advance(30s);
    const auto result = run();
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(ours(), theirs(one));
}

TEST_F(PaymentsTest, ALostAnswerCostsTheTicketAndAnotherIsPaid) {
    Node& one = node("one");
    ASSERT_TRUE(run());
    Node& two = node("two", kPrice, "other");
    one.mute = true;
    advance(70s);
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(run());
    }
    EXPECT_GT(two.jobs, 0);
    EXPECT_GT(role().stats().payments->lost.sign(), 0);
    EXPECT_GE((theirs(one) + theirs(two) - ours()).sign(), 0) << "never more than is there";
    EXPECT_EQ(one.role->stats().cashier->debt.sign(), 0);
}

TEST_F(PaymentsTest, WinningTicketsAreRedeemedOnceTheirParamsHaveExpired) {
    Node& one = node("one");
    for (int i = 0; i < 100; ++i) {
        ASSERT_TRUE(run());
    }
    const std::size_t winners = won(one);
    ASSERT_GT(winners, 0U);
    advance(20s);
    EXPECT_EQ(won(one), winners) << "redeeming reveals the recipientRand";
    auto state = *chain_.state();
    state.l1_block += 50;
    chain_.set(state);
    advance(10s);
    EXPECT_EQ(won(one), 0U);
    EXPECT_EQ(ledger_.paid_to(one.key.address()), Wei(kTicketEv) * 2 * winners);
    EXPECT_EQ(one.role->stats().cashier->redeemed, Wei(kTicketEv) * 2 * winners);
    const auto funds = get(ledger_.funds(key_.address(), {}, later())).value();
    EXPECT_EQ(funds.deposit, ether(10) - Wei(kTicketEv) * 2 * winners);
    ASSERT_TRUE(run()) << "with new params";
}

TEST_F(PaymentsTest, ATicketThatWasPaidWithoutAnAnswerIsNotLostWithItsRound) {
    Node& one = node("one");
    const std::size_t together = orchestrator::CashierSettings{}.redeem_at_once;
    while (won(one) < together + 3) {
        ASSERT_TRUE(run());
    }
    const std::size_t winners = won(one);
    auto state = *chain_.state();
    state.l1_block += 50;
    chain_.set(state);
    sellers_ledger_.mute = true;  // of those that are redeemed together: then the others wait
    advance(orchestrator::CashierSettings{}.period + 1s);
    EXPECT_EQ(won(one), winners);
    EXPECT_EQ(ledger_.paid_to(one.key.address()), Wei(kTicketEv) * 2 * together);
    sellers_ledger_.away = true;
    state.round += 10;
    chain_.set(state);
    advance(20s);
    EXPECT_EQ(won(one), winners) << "nobody says whether they were paid";
    sellers_ledger_.mute = false;
    sellers_ledger_.away = false;
    advance(20s);
    EXPECT_EQ(won(one), 0U);
    const auto& kept = one.queue.inner.kept();
    ASSERT_TRUE(kept.front().redemption);
    EXPECT_TRUE(kept.front().redemption->used_before);
    EXPECT_EQ(kept.front().redemption->paid, Wei(kTicketEv) * 2);
    EXPECT_EQ(one.role->stats().cashier->tickets_lost, winners - together) << "whose round is over";
    EXPECT_EQ(one.role->stats().cashier->redemptions, together);
}

TEST_F(PaymentsTest, ABacklogOfTicketsIsRedeemedInOnePeriod) {
    Node& one = node("one");
    while (won(one) <= orchestrator::CashierSettings{}.redeem_max + 10) {
        ASSERT_TRUE(run());
    }
    auto state = *chain_.state();
    state.l1_block += 50;
    chain_.set(state);
    advance(orchestrator::CashierSettings{}.period + 1s);
    EXPECT_EQ(won(one), 0U);
}

TEST_F(PaymentsTest, ADepositThatIsSpentAtFiftyPlacesCostsEachNoMoreThanItsFloat) {
    constexpr int kPlaces = 50;
    const Wei face = Wei(kTicketEv) * 2;
    const Wei deposit = face * 12;
    auto state = *chain_.state();
    state.pool_size = kPlaces;
    state.round = get(ledger_.unlock(key_.address(), later())).value();
    chain_.set(state);
    ASSERT_TRUE(get(ledger_.withdraw(key_.address(), later())));
    get<void>(ledger_.fund(key_.address(), deposit, face * kPlaces, later())).value();
    for (int i = 0; i < kPlaces; ++i) {
        node("place " + std::to_string(i), kTicketEv, ("seller " + std::to_string(i)).c_str());
    }
    int refused = 0;
    for (int i = 0; i < 3'000 && refused < 10; ++i) {
        const auto result = run();
        refused += result ? 0 : 1;
        if (!result) {
            const auto& why = result.error().message;
            const auto says = [&why](const char* text) { return why.find(text) != std::string::npos; };
            EXPECT_TRUE(says("insufficient sender reserve") || says("max float")) << why;
        }
    }
    EXPECT_EQ(refused, 10) << "the same deposit does not buy forever";
    state.l1_block += 50;
    chain_.set(state);
    advance(20s);
    Wei won_in_all = 0;
    Wei paid_in_all = 0;
    for (const auto& [uri, one] : nodes_) {
        Wei won_here = 0;
        for (const auto& kept : one->queue.inner.kept()) {
            won_here += kept.ticket.params.face_value;
        }
        const Wei paid = ledger_.paid_to(one->key.address());
        EXPECT_LE(won_here - paid, deposit / 3 + face) << uri;
        won_in_all += won_here;
        paid_in_all += paid;
    }
    EXPECT_GT(won_in_all, deposit * 3) << "it was spent many times over";
    EXPECT_GE(paid_in_all, deposit);
}

TEST_F(PaymentsTest, AnOwnerSpendsNoMoreThanItMay) {
    Node& one = node("one");
    const auto limits_of = [](const std::string&) {
        account::Limits limits;
        limits.wei_total = Wei(3 * kPrice);
        return limits;
    };
    role().limit_spending(limits_of, nullptr);
    const auto mine = [] {
        auto job = echo();
        job.owner = "ann";
        return job;
    };
    one.mute = true;
    EXPECT_FALSE(get(role().run(mine(), later(1s)), 5s)) << "what is not answered is not counted";
    one.mute = false;
    advance(70s);
    for (int i = 0; i < 3; ++i) {
        const auto result = run(mine());
        ASSERT_TRUE(result) << result.error().message;
    }
    const auto refused = run(mine());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kForbidden);
    EXPECT_EQ(refused.error().field, "wei_total");
    EXPECT_TRUE(run()) << "nobody's limit";
    auto by_a_better_key = mine();
    by_a_better_key.key_limits.emplace().wei_total = Wei(4 * kPrice);
    EXPECT_TRUE(run(by_a_better_key));
    EXPECT_FALSE(run(by_a_better_key));
}

// Just after a start nobody's price is known: what cannot be held back must not run without its limit.
TEST_F(PaymentsTest, ALimitHoldsForAJobThatCameBeforeAnyPrice) {
    const auto limits_of = [](const std::string&) {
        account::Limits limits;
        limits.wei_total = Wei(kPrice - 1);
        return limits;
    };
    Node& one = node("one");
    one.slow = &clock_;
    role().limit_spending(limits_of, nullptr);
    auto job = echo();
    job.owner = "ann";
    std::optional<Result<gateway::JobResult>> out;
    group_.spawn(keep<gateway::JobResult>(role().run(std::move(job), later()), out));
    poll();
    EXPECT_FALSE(out);
    for (int i = 0; i < 300 && !out; ++i) {
        advance(100ms);
    }
    ASSERT_TRUE(out);
    ASSERT_FALSE(*out);
    EXPECT_EQ(out->error().code, Errc::kForbidden) << out->error().message;
    EXPECT_EQ(out->error().field, "wei_total");
    EXPECT_EQ(one.jobs, 0);
}

TEST_F(PaymentsTest, ManyTicketsOutliveTheirParams) {
    Node& one = node("one", kTicketEv);
    for (int i = 0; i < 1'000; ++i) {
        const auto result = run();
        ASSERT_TRUE(result) << i << " " << result.error().message;
    }
    EXPECT_EQ(ours(), theirs(one));
    EXPECT_GE(role().stats().payments->tickets_sent, 999U);
    EXPECT_LE(one.infos, 40) << "new params are asked for once in some hundred tickets";
}

TEST_F(PaymentsTest, WhoWorksForFreeNamesParamsAndIsPaidNothing) {
    Node& free = node("free", 0);
    const auto info = get(free.get_info({{}, false, key_.address()}, later())).value();
    ASSERT_NE(info.ticket_params, nullptr) << "gateways of the network leave out who names none";
    EXPECT_EQ(pay::expected_value(*info.ticket_params), Money());
    ASSERT_TRUE(run());
    const int asked = free.infos;
    auto state = pay::Market{}.chain;
    state.l1_block += 100;  // those params have expired
    chain_.set(state);
    for (int i = 0; i < 5; ++i) {
        const auto result = run();
        ASSERT_TRUE(result) << result.error().message;
        EXPECT_EQ(result->cost, 0);
    }
    EXPECT_EQ(free.infos, asked) << "nobody asks for params that are worth nothing";
    EXPECT_EQ(role().stats().payments->tickets_sent, 0U);
}

TEST_F(PaymentsTest, ADearJobTakesAllTicketsOfASetOfParams) {
    node("dear", 599 * kTicketEv);
    const auto result = run();
    ASSERT_TRUE(result) << result.error().message;
    const auto sent = role().stats().payments->tickets_sent;
    EXPECT_GE(sent, 599U);
    EXPECT_LE(sent, 600U);
}

TEST_F(PaymentsTest, ASignerElsewhereSignsAHundredAtOnce) {
    far_.emplace(key_, clock_);
    node("dear", 99 * kTicketEv);
    EXPECT_TRUE(run());
}

TEST_F(PaymentsTest, ASignerElsewhereSignsNoMore) {
    far_.emplace(key_, clock_);
    node("dearer", 102 * kTicketEv);
    const auto refused = run();
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("at most 100 are sent at once"), std::string::npos)
        << refused.error().message;
}

}  // namespace
}  // namespace framegrid::tests
