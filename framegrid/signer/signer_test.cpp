#include <framegrid/signer/signer.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <framegrid/crypto/segment_signature.hpp>
#include <framegrid/pay/memory_ledger.hpp>
#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/seeded_random.hpp>
#include <framegrid/signer/hour_to_sign.hpp>

#include <gtest/gtest.h>

namespace framegrid::signer {
namespace {

using namespace std::chrono_literals;

class SignAtOnce final : public WorkPool {
  public:
    void post(std::move_only_function<void()> work) override { work(); }
};

class KeptText final : public SpendJournal {
  public:
    Task<Result<void>> keep(std::string next) override {
        if (broken) {
            co_return fail(Errc::kIo, "the disk is full");
        }
        text = std::move(next);
        ++writes;
        co_return Result<void>{};
    }
    std::string text;
    int writes = 0;
    bool broken = false;
};

class SignerTest : public testing::Test {
  protected:
    SignerTest() { restart(); }
    void restart() {
        signer_.reset();
        book_.emplace(*SpendBook::make(clock_, journal_, journal_.text));
        signer_.emplace(Signer::Ports{key_, pool_, clock_, random_, *book_, chain_}, settings_);
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
    // Tickets of 1,000 wei that are worth about 10 each.
    static pay::TicketParams params(std::uint8_t session = 1) {
        pay::TicketParams out;
        out.recipient.fill(7);
        out.face_value = 1'000;
        out.win_prob = pay::win_prob_for(10, 1'000);
        out.recipient_rand_hash.fill(session);
        out.expiration_block = 100;
        return out;
    }
    pay::TicketBatch batch(std::uint32_t first, std::uint32_t count) const {
        return {key_.address(), params(), first, count};
    }
    Result<pay::Payment> sign(std::uint32_t first, std::uint32_t count, Price price = {1, 1}) {
        return run(signer_->sign_tickets(caller_, batch(first, count), price));
    }

    // A wei for a second.
    LiveRequest live() {
        LiveRequest out;
        out.params = params();
        out.price = {1, 1};
        out.type = LiveType::kLive;
        out.manifest_id = "m";
        out.token_expires_unix_s = clock_.unix_ms() / 1000 + 1'800;
        return out;
    }

    boost::asio::io_context loop_;
    ManualClock clock_;
    SeededRandom random_{1};
    SignAtOnce pool_;
    const pay::Chain* chain_ = nullptr;
    KeptText journal_;
    crypto::PrivateKey key_ = crypto::PrivateKey::generate(random_);
    Settings settings_;
    Caller caller_{"gateway-1", Price{5, 1}, Wei(1'000)};
    std::optional<SpendBook> book_;
    std::optional<Signer> signer_;
};

TEST_F(SignerTest, EveryTicketIsSigned) {
    const auto payment = sign(3, 2);
    ASSERT_TRUE(payment) << payment.error().message;
    ASSERT_EQ(payment->tickets.size(), 2U);
    for (const auto& ticket : payment->tickets) {
        const auto hash = pay::ticket_hash(params(), key_.address(), ticket.nonce);
        EXPECT_TRUE(crypto::verify_message(key_.address(), hash, ticket.signature));
    }
    EXPECT_EQ(payment->tickets[0].nonce, 3U);
    EXPECT_EQ(payment->expected_price, (Price{1, 1}));
    EXPECT_TRUE(crypto::verify_message(
        key_.address(), crypto::info_request_message(key_.address()), signer_->sign_info_request()
    ));
}

SegmentRequest segment() {
    SegmentRequest out;
    out.manifest_id = "stream \xc3\xa9";
    out.seq = 7;
    out.hash = crypto::keccak256(as_bytes("media"));
    out.profile_names = {"720p", "240p"};
    return out;
}

TEST_F(SignerTest, SegmentsAreSigned) {
    const auto request = segment();
    const auto signature = run(signer_->sign_segment(request));
    ASSERT_TRUE(signature) << signature.error().message;
    const auto message =
        crypto::segment_message(request.manifest_id, request.seq, request.hash, request.profile_names);
    EXPECT_TRUE(crypto::verify_message(key_.address(), message, *signature));
    SegmentRequest ai;
    ai.manifest_id = "27_framegrid/scenes";
    ai.hash = crypto::keccak256({});
    EXPECT_TRUE(run(signer_->sign_segment(ai)));
}

TEST_F(SignerTest, ATicketIsNotSignedAsASegment) {
    // A ticket's bytes, cut where a segment's number and hash would be: both have one and the same hash.
    auto dear = params();
    dear.creation.round = 3;
    dear.creation.block_hash = crypto::keccak256(as_bytes("block"));
    std::string manifest(as_text(dear.recipient));
    manifest += as_text(key_.address());
    for (const auto& number : {pay::pad32(dear.face_value), pay::pad32(dear.win_prob), crypto::pad32(1)}) {
        manifest += as_text(number);
    }
    manifest += as_text(dear.recipient_rand_hash);
    SegmentRequest disguised{manifest, 3, dear.creation.block_hash, {}};
    const auto flat = crypto::flatten_segment(disguised.manifest_id, 3, disguised.hash, {});
    ASSERT_EQ(crypto::keccak256(flat), pay::ticket_hash(dear, key_.address(), 1));
    EXPECT_TRUE(reads_as_ticket(flat, key_.address()));
    EXPECT_FALSE(run(signer_->sign_segment(disguised)));
    EXPECT_FALSE(reads_as_ticket(Bytes(39), crypto::Address{}));
    EXPECT_TRUE(reads_as_ticket(Bytes(40), crypto::Address{}));
}

TEST_F(SignerTest, SegmentsOfStrangeFormAreRefused) {
    auto request = segment();
    request.manifest_id = std::string("a\0b", 3);
    EXPECT_EQ(run(signer_->sign_segment(request)).error().field, "manifest_id");
    request.manifest_id = "\xff\xfe";
    EXPECT_EQ(run(signer_->sign_segment(request)).error().field, "manifest_id");
    request.manifest_id.assign(settings_.text_bytes_max + 1, 'm');
    EXPECT_EQ(run(signer_->sign_segment(request)).error().field, "manifest_id");
    request = segment();
    request.seq = -1;
    EXPECT_FALSE(run(signer_->sign_segment(request)));
    request = segment();
    request.profile_names.assign(settings_.profiles_max + 1, "p");
    EXPECT_EQ(run(signer_->sign_segment(request)).error().field, "profiles");
    request.profile_names = {"\x01"};
    EXPECT_EQ(run(signer_->sign_segment(request)).error().field, "profiles");
}

TEST_F(SignerTest, LimitsOfWhatIsSigned) {
    EXPECT_EQ(sign(1, 1, {6, 1}).error().field, kPriceField);
    EXPECT_EQ(sign(1, 0).error().field, "count");
    EXPECT_EQ(sign(1, 101).error().field, "count");
    EXPECT_EQ(sign(1, 101).error().code, Errc::kInvalidArgument) << "400, as the network's signers say it";
    EXPECT_EQ(sign(0, 1).error().field, kStaleParams);
    EXPECT_EQ(sign(600, 2).error().field, kStaleParams);
    EXPECT_EQ(sign(UINT32_MAX, 1).error().field, kStaleParams);
    auto other = batch(1, 1);
    other.sender.fill(1);
    EXPECT_EQ(run(signer_->sign_tickets(caller_, other, {1, 1})).error().field, "sender");
    settings_.face_value_max = 999;
    restart();
    EXPECT_EQ(sign(1, 1).error().field, "face_value");
    settings_.face_value_max = 0;
    settings_.payment_ev_max = 25;
    restart();
    EXPECT_EQ(sign(1, 3).error().field, "payment_ev");
    settings_.ticket_ev_max = 9;
    restart();
    EXPECT_EQ(sign(1, 1).error().field, "ticket_ev");
    EXPECT_EQ(book_->spent_today("gateway-1"), 0);
}

TEST_F(SignerTest, ADaysMoneyOutlivesARestart) {
    for (std::uint32_t i = 0; i < 5; ++i) {
        ASSERT_TRUE(sign(1 + 10 * i, 10)) << i;
    }
    const auto spent = book_->spent_today("gateway-1");
    EXPECT_GE(spent, 500);
    EXPECT_LE(spent, 505);
    restart();
    EXPECT_GE(book_->spent_today("gateway-1"), spent) << "never less than before";
    EXPECT_LE(book_->spent_today("gateway-1"), spent + 10);
    EXPECT_EQ(sign(1, 60).error().field, "spend_limit");
    ASSERT_TRUE(sign(1, 40));
    EXPECT_FALSE(sign(1, 40));
    Caller other = caller_;
    other.id = "gateway-2";
    EXPECT_TRUE(run(signer_->sign_tickets(other, batch(1, 40), {1, 1})));
    clock_.advance(24h);
    EXPECT_TRUE(sign(1, 90)) << "a new day";
}

TEST_F(SignerTest, FewSignaturesWaitForTheDisk) {
    caller_.wei_per_day_max = Wei(100'000);
    for (std::uint32_t i = 0; i < 90; ++i) {
        ASSERT_TRUE(sign(1 + i, 1));  // 990 wei at most; a hundredth of 100,000 is kept ahead
    }
    EXPECT_EQ(journal_.writes, 1);
    caller_.wei_per_day_max = std::nullopt;
    EXPECT_TRUE(sign(1, 1));
}

TEST_F(SignerTest, NothingIsSignedThatIsNotOnTheDisk) {
    journal_.broken = true;
    EXPECT_EQ(sign(1, 1).error().code, Errc::kIo);
    EXPECT_EQ(book_->spent_today("gateway-1"), 0);
    journal_.broken = false;
    EXPECT_TRUE(sign(1, 1));
}

TEST_F(SignerTest, DamagedBooksAreNotGuessed) {
    for (const auto* bad :
         {"x", "{}", R"({"day":99999999,"wei":{"a":1}})", R"({"day":99999999,"wei":{"a":"-1"}})"}) {
        EXPECT_FALSE(SpendBook::make(clock_, journal_, bad)) << bad;
    }
    // A clock that was set back: the later day goes on.
    auto book = *SpendBook::make(clock_, journal_, R"({"day":99999999,"wei":{"gateway-1":"990"}})");
    EXPECT_FALSE(run(book.spend("gateway-1", pay::Money::wei(20), Wei(1'000))));
}

TEST_F(SignerTest, LiveSessionsArePaidByTime) {
    caller_.wei_per_day_max = std::nullopt;
    clock_.advance(1s);
    auto request = live();
    request.price = {2, 1};
    request.manifest_id.clear();
    const auto first = run(signer_->pay_live(caller_, request));
    ASSERT_TRUE(first) << first.error().message;
    const auto tickets = static_cast<std::uint32_t>(first->payment.tickets.size());
    EXPECT_GE(tickets, 2U) << "10 s in advance at 2 wei";
    EXPECT_LE(tickets, 3U);
    request.state = first->state;
    request.state_signature = Bytes(first->state_signature.begin(), first->state_signature.end());
    EXPECT_EQ(first->manifest_id.size(), 16U) << "drawn";
    request.manifest_id.clear();
    const auto nameless = run(signer_->pay_live(caller_, request));
    EXPECT_EQ(nameless.error().code, Errc::kInvalidArgument);
    EXPECT_EQ(nameless.error().field, "ManifestID");
    request.manifest_id = first->manifest_id;
    clock_.advance(30s);
    const auto second = run(signer_->pay_live(caller_, request));
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_EQ(second->payment.tickets.front().nonce, tickets + 1);
    EXPECT_EQ(second->manifest_id, first->manifest_id);
    const auto state = *read_live_state(second->state);
    EXPECT_EQ(state.sequence, 2U);
    EXPECT_EQ(state.orchestrator, crypto::checksum_address(params().recipient));

    auto dearer = request;
    dearer.price = {5, 1};
    EXPECT_EQ(run(signer_->pay_live(caller_, dearer)).error().field, kPriceField) << "more than doubled";
    auto forged = request;
    forged.state.back() = ' ';
    EXPECT_EQ(run(signer_->pay_live(caller_, forged)).error().field, "state");
    auto stolen = caller_;
    stolen.id = "gateway-2";
    EXPECT_EQ(run(signer_->pay_live(stolen, request)).error().field, "state");
    request.params = params(2);
    const auto renewed = run(signer_->pay_live(caller_, request));
    ASSERT_TRUE(renewed);
    EXPECT_EQ(renewed->payment.tickets.front().nonce, 1U) << "new params, new nonces";
}

TEST_F(SignerTest, AnInfoThatEndsSoonIsToBeAskedForAnew) {
    caller_.wei_per_day_max = std::nullopt;
    clock_.advance(1s);
    auto request = live();
    request.token_expires_unix_s = clock_.unix_ms() / 1000 + 180;
    const auto first = run(signer_->pay_live(caller_, request));
    ASSERT_TRUE(first) << first.error().message;
    request.state = first->state;
    request.state_signature = Bytes(first->state_signature.begin(), first->state_signature.end());
    clock_.advance(1s);
    EXPECT_EQ(run(signer_->pay_live(caller_, request)).error().field, kStaleParams)
        << "the token's last tenth";
    request.token_expires_unix_s += 3'600;
    clock_.advance(359s);
    const auto second = run(signer_->pay_live(caller_, request));
    ASSERT_TRUE(second) << second.error().message;
    clock_.advance(1s);
    EXPECT_EQ(run(signer_->pay_live(caller_, request)).error().field, kStaleParams)
        << "six minutes of params";
    request.params = params(2);
    EXPECT_TRUE(run(signer_->pay_live(caller_, request)));
}

TEST_F(SignerTest, ASignerThatSeesBlocksGoesByThem) {
    caller_.wei_per_day_max = std::nullopt;
    clock_.advance(1s);
    pay::MemoryChain chain;
    chain_ = &chain;
    restart();
    pay::ChainState state;
    state.l1_block = 98;  // of 100
    chain.set(state);
    auto request = live();
    const auto first = run(signer_->pay_live(caller_, request));
    ASSERT_TRUE(first) << first.error().message;
    request.state = first->state;
    request.state_signature = Bytes(first->state_signature.begin(), first->state_signature.end());
    clock_.advance(10min);
    EXPECT_TRUE(run(signer_->pay_live(caller_, request))) << "however long that block lasts";
    state.l1_block = 99;
    chain.set(state);
    EXPECT_EQ(run(signer_->pay_live(caller_, request)).error().field, kStaleParams);
}

// A request that goes on where `paid` has ended.
LiveRequest after(LiveRequest request, const LivePayment& paid) {
    request.state = paid.state;
    request.state_signature = Bytes(paid.state_signature.begin(), paid.state_signature.end());
    return request;
}

TEST_F(SignerTest, NothingIsDueWhileTheCreditLasts) {
    caller_.wei_per_day_max = std::nullopt;
    clock_.advance(1s);
    auto request = live();
    for (int i = 0; i < 2; ++i) {
        // 10 wei in advance use up the first ticket; a ticket's worth is to be there all the same.
        const auto paid = run(signer_->pay_live(caller_, request));
        ASSERT_TRUE(paid) << paid.error().message;
        EXPECT_EQ(paid->payment.tickets.size(), 1U) << i;
        request = after(request, *paid);
    }
    EXPECT_EQ(run(signer_->pay_live(caller_, request)).error().field, kNoTicketsField);
    clock_.advance(25s);
    const auto paid = run(signer_->pay_live(caller_, request));
    ASSERT_TRUE(paid) << paid.error().message;
    EXPECT_EQ(paid->payment.tickets.size(), 2U) << "25 wei are due, and some 10 are there";
}

TEST_F(SignerTest, ALiveSessionIsChargedThePriceThatItBeganWith) {
    caller_.wei_per_day_max = std::nullopt;
    clock_.advance(1s);
    auto request = live();
    request.price = {2, 1};
    const auto first = run(signer_->pay_live(caller_, request));
    ASSERT_TRUE(first) << first.error().message;
    const auto before = read_live_state(first->state)->balance;
    request = after(request, *first);
    request.price = {3, 1};
    clock_.advance(20s);
    const auto second = run(signer_->pay_live(caller_, request));
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_EQ(second->payment.expected_price, (Price{3, 1})) << "what the orchestrator asks for now";
    const auto bought = pay::expected_value(params()) * second->payment.tickets.size();
    EXPECT_EQ(before + bought - read_live_state(second->state)->balance, pay::Money::wei(40));
}

TEST_F(SignerTest, UnitsAreThoseOfTheCallerOnlyWithoutAType) {
    caller_.wei_per_day_max = std::nullopt;
    clock_.advance(1s);
    auto request = live();
    request.type = LiveType::kUnits;
    request.units = 95;
    const auto first = run(signer_->pay_live(caller_, request));
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(first->payment.tickets.size(), 10U);
    request = after(request, *first);
    request.type = LiveType::kLive;
    clock_.advance(20s);
    const auto typed = run(signer_->pay_live(caller_, request));
    ASSERT_TRUE(typed) << typed.error().message;
    EXPECT_EQ(typed->payment.tickets.size(), 2U) << "20 seconds, not 95 units";
    request = after(request, *typed);
    request.type = LiveType::kFixed;
    EXPECT_EQ(run(signer_->pay_live(caller_, request)).error().field, "state");
}

pay::Receipt receipt_of(const crypto::Address& payer, std::int64_t units) {
    pay::Receipt out;
    out.id = crypto::keccak256(as_bytes(std::to_string(units)));
    out.payer = payer;
    out.payee.fill(9);
    out.work = "transcoding";
    out.price = {3, 2};
    out.units = units;
    return out;
}

class HourToSignTest : public testing::Test {
  protected:
    SeededRandom random_{1};
    crypto::PrivateKey key_ = crypto::PrivateKey::generate(random_);
    crypto::Hash32 previous_ = crypto::keccak256(as_bytes("before"));
    HourToSign hour() { return HourToSign::begin(key_, "2026-11-27T06", previous_).value(); }
    std::string lines(int count) {
        std::string out;
        for (int i = 1; i <= count; ++i) {
            out += pay::to_line(receipt_of(key_.address(), i)) + '\n';
        }
        return out;
    }
};

TEST_F(HourToSignTest, SignsWhatItHasReadHoweverItWasCut) {
    const auto text = lines(3);
    pay::HourSum sum;
    for (int i = 1; i <= 3; ++i) {
        const auto receipt = receipt_of(key_.address(), i);
        sum.add(receipt, pay::to_line(receipt));
    }
    const auto expected = pay::to_line(sum.close("2026-11-27T06", previous_, key_));
    for (const std::size_t size : {std::size_t{1}, std::size_t{100}, text.size()}) {
        auto one = hour();
        for (std::size_t at = 0; at < text.size(); at += size) {
            ASSERT_TRUE(one.add(std::string_view(text).substr(at, size)));
        }
        const auto closing = one.close();
        ASSERT_TRUE(closing);
        EXPECT_EQ(pay::to_line(*closing), expected) << size;
    }
    auto paid = hour();
    auto earned = receipt_of(crypto::Address{1}, 5);
    earned.payee = key_.address();
    EXPECT_TRUE(paid.add(pay::to_line(earned) + '\n')) << "an orchestrator's book is signed as well";
}

TEST_F(HourToSignTest, RefusesWhatIsNoHourOfItsOwn) {
    for (const auto* bad : {"", "2026-11-27", "2026-11-27T0x", "2026-11-27T06\"", "2026-11-27 06"}) {
        EXPECT_EQ(HourToSign::begin(key_, bad, {}).error().field, "hour") << bad;
    }
    auto others = hour();
    EXPECT_TRUE(others.add(lines(1)));
    const auto refused = others.add(pay::to_line(receipt_of(crypto::Address{1}, 1)) + '\n');
    EXPECT_EQ(refused.error().code, Errc::kForbidden);
    EXPECT_NE(refused.error().message.find("line 2"), std::string::npos);
    auto changed = lines(1);
    changed[changed.find("\"amount\":\"3/2") + 10] = '4';
    EXPECT_EQ(hour().add(changed).error().field, "receipts");
    auto closed = hour();
    ASSERT_TRUE(closed.add(lines(1)));
    const auto closing = pay::to_line(closed.close().value());
    EXPECT_FALSE(hour().add(closing + '\n')) << "a closing line is no receipt";
    EXPECT_FALSE(hour().add(std::string(9'000, '{'))) << "no line is that long";
    EXPECT_FALSE(hour().close());
    auto cut = hour();
    ASSERT_TRUE(cut.add(lines(1) + "{"));
    EXPECT_FALSE(cut.close());
}

TEST(LiveState, IsReadAsItIsWritten) {
    LiveState state;
    state.session = "ab";
    state.balance = *pay::Money::parse("-3/4");
    state.price_at_start = {3, 4};
    state.type = LiveType::kLiveVideo;
    state.nonce = 600;
    const auto back = read_live_state(write_live_state(state));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->balance, state.balance);
    EXPECT_EQ(back->price_at_start, state.price_at_start);
    EXPECT_EQ(back->nonce, 600U);
    EXPECT_FALSE(read_live_state("{}"));
    EXPECT_FALSE(read_live_state("[]"));
    EXPECT_EQ(live_units(LiveType::kLiveVideo, 0, 5), std::int64_t{1280} * 720 * 30 * 60);
    EXPECT_EQ(live_units(LiveType::kLive, 1'000, 2'001), 2);
    EXPECT_EQ(live_units(LiveType::kFixed, 1'000, 999'000), 1);
    state.type = LiveType::kUnits;
    EXPECT_EQ(read_live_state(write_live_state(state))->type, LiveType::kUnits);
    EXPECT_EQ(live_units(LiveType::kLive, 5'000, 1'000), 0) << "a clock that was set back";
}

}  // namespace
}  // namespace framegrid::signer
