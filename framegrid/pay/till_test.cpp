#include <framegrid/pay/till.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <framegrid/pay/purse.hpp>
#include <framegrid/pay/ticket_for_test.hpp>

namespace framegrid::pay {

namespace {

using std::chrono::minutes;
using ::testing::HasSubstr;

class TillTest : public ::testing::Test {
  protected:
    static PriceTable table() {
        return PriceTable::make(
                   {.rules =
                        {{.tag = parse_price("1000").value()},
                         {.model = ModelKey{27, "turbo"}, .tag = parse_price("5000000").value()},
                         {.model = ModelKey{27, "usd"}, .tag = parse_price("0.000003USD").value()},
                         {.sender = Address{9}, .tag = parse_price("0").value()}},
                    .usd_fallback = {.usd_per_eth = 1'000, .decimals = 0}},
                   {}
        )
            .value();
    }
    Accepted accept(const Order& order, const Payment& payment) {
        if (!payment.params) {
            const auto agreed = till_.agree(order, &payment, now_);
            return {
                .credited = {}, .winners = {}, .error = agreed ? std::nullopt : std::optional(agreed.error())
            };
        }
        const auto checked = till_.check(payment);
        if (!checked) {
            return {.credited = {}, .winners = {}, .error = checked.error()};
        }
        return till_.accept(order, payment, *checked, market_.funds, market_.chain, now_);
    }
    Quote quote(const Order& order) { return till_.quote(order, market_.funds, market_.chain, now_).value(); }
    Payment pay(const Quote& quote, std::uint32_t count, std::uint32_t first = 1) {
        return sign({market_.sender, *quote.params, first, count}, quote.price, market_.key);
    }
    static std::string error(const Accepted& accepted) {
        return accepted.error ? accepted.error->message : "";
    }

    Market market_;
    TimePoint now_{};
    Till till_{market_.recipient_address, {.recipient = {.redeem_gas = 10'000}}, table(), market_.random};
    Order order_{{market_.sender, "session"}, {}};
};

TEST_F(TillTest, WorkIsPaidBeforeItBeginsAndDebitedAfterwards) {
    const Quote offer = quote(order_);
    EXPECT_EQ(offer.price, (Price{1010, 1}));  // a hundredth for redeeming
    const Accepted accepted = accept(order_, pay(offer, 3));
    EXPECT_EQ(error(accepted), "");
    const auto hold = till_.begin(order_, 20'000'000, now_).value();
    const Money fee = till_.finish(hold, 19'000'000, now_);
    EXPECT_EQ(fee, Money::wei(Wei(19'000'000) * 1010));
    EXPECT_EQ(till_.balances().balance(order_.key), accepted.credited - fee);
}

TEST_F(TillTest, BothSidesBooksAgreeToTheLastFraction) {
    Purse purse;
    const Quote offer = quote(order_);
    const BalanceKey theirs{market_.recipient_address, "session"};
    Sender sender(market_.sender);
    for (std::int64_t i = 0; i < 50; ++i) {
        const std::int64_t units = 1'000'003 * (i % 7 + 1);
        const auto bought =
            purse.plan(theirs, *offer.params, Money::of_units(units, offer.price), 100, now_).value();
        const auto batch = sender.take(*offer.params, bought.tickets, market_.funds, market_.chain).value();
        ASSERT_EQ(error(accept(order_, sign(batch, offer.price, market_.key))), "");
        const auto hold = till_.begin(order_, units, now_).value();
        purse.settle(bought, till_.finish(hold, units, now_), Outcome::kAnswered, now_);
        ASSERT_EQ(purse.balances().balance(theirs), till_.balances().balance(order_.key));
        ASSERT_GE(till_.balances().balance(order_.key), Money());
    }
}

TEST_F(TillTest, NobodyWorksForFree) {
    EXPECT_FALSE(till_.begin(order_, 0, now_));
    // Nothing, a name, a price of zero, a lower price, a price without tickets.
    Payment payment;
    EXPECT_TRUE(accept(order_, payment).error);
    payment.sender = market_.sender;
    EXPECT_THAT(error(accept(order_, payment)), HasSubstr("expects no price"));
    payment.expected_price = Price{0, 1};
    EXPECT_THAT(error(accept(order_, payment)), HasSubstr("expects 0 wei per 1 units, this costs 1000 wei"));
    payment.expected_price = Price{999, 1};
    EXPECT_TRUE(accept(order_, payment).error);
    payment.expected_price = Price{1000, 1};
    EXPECT_THAT(error(accept(order_, payment)), HasSubstr("Insufficient balance: 0 wei"));
    EXPECT_THAT(till_.begin(order_, 0, now_).error().message, HasSubstr("Insufficient balance: 0 wei"));
    EXPECT_EQ(till_.balances().size(), 0U);  // and nobody fills the table that way
    EXPECT_EQ(till_.stats().refused_price, 3U);
    EXPECT_EQ(till_.stats().refused_unpaid, 3U);
}

TEST_F(TillTest, ACheapQuoteDoesNotBuyDearWork) {
    const Quote cheap = quote(order_);
    const Order dear{{market_.sender, "27_turbo"}, {{27, "turbo"}}};
    const Accepted accepted = accept(dear, pay(cheap, 3));
    EXPECT_THAT(error(accepted), HasSubstr("this costs 5000000 wei"));
    EXPECT_FALSE(till_.begin(dear, 1, now_));
    // The tickets are money all the same: credit for whoever pays the right price.
    const Quote right = quote(dear);
    EXPECT_EQ(error(accept(dear, pay(right, 1))), "");
    EXPECT_GT(till_.balances().balance(dear.key), Money::wei(30'000'000'000));
}

TEST_F(TillTest, CreditIsSpentOnce) {
    ASSERT_EQ(error(accept(order_, pay(quote(order_), 2))), "");
    const std::int64_t units = 16'000'000'000 / 1010;
    const auto first = till_.begin(order_, units, now_);
    ASSERT_TRUE(first);
    EXPECT_THAT(till_.begin(order_, units, now_).error().message, HasSubstr("Insufficient balance"));
    till_.abandon(*first, now_);
    EXPECT_TRUE(till_.begin(order_, units, now_));
}

TEST_F(TillTest, WorkLargerThanItsPaymentIsRefusedBeforehand) {
    ASSERT_EQ(error(accept(order_, pay(quote(order_), 1))), "");
    const auto refused = till_.begin(order_, 1'000'000'000, now_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().disposition, Disposition::kRetry);
    EXPECT_THAT(
        refused.error().message, HasSubstr("8000000000 wei are there, this work needs 1010000000000")
    );
    // Work that turns out larger makes a debt, which is paid first.
    const auto hold = till_.begin(order_, 0, now_).value();
    till_.finish(hold, 1'000'000'000, now_);
    EXPECT_EQ(till_.stats().jobs_in_debt, 1U);
    EXPECT_FALSE(till_.begin(order_, 0, now_));
}

TEST_F(TillTest, TicketsOfSomebodyElseDoNotPay) {
    const Quote offer = quote(order_);
    const Order other{{Address{5}, "session"}, {}};
    EXPECT_THAT(error(accept(other, pay(offer, 1))), HasSubstr("not from who sent the order"));
    EXPECT_FALSE(till_.begin(other, 0, now_));
    EXPECT_GT(till_.balances().balance(order_.key), Money());
}

TEST_F(TillTest, ReplayedPaymentsBuyNothing) {
    const Payment payment = pay(quote(order_), 1);
    ASSERT_EQ(error(accept(order_, payment)), "");
    const Money before = till_.balances().balance(order_.key);
    EXPECT_THAT(error(accept(order_, payment)), HasSubstr("already seen"));
    EXPECT_THAT(error(accept({{market_.sender, "another"}, {}}, payment)), HasSubstr("already seen"));
    EXPECT_EQ(till_.balances().balance(order_.key), before);
    EXPECT_EQ(till_.balances().balance({market_.sender, "another"}), Money());
}

TEST_F(TillTest, ThePriceStaysForTheOrder) {
    ASSERT_EQ(error(accept(order_, pay(quote(order_), 2))), "");
    market_.chain.gas_price *= 1000;
    EXPECT_EQ(quote(order_).price, (Price{1010, 1}));
    // Until it has been idle.
    now_ += minutes(10);
    till_.sweep(market_.chain, now_);
    EXPECT_EQ(till_.balances().size(), 0U);
    EXPECT_FALSE(till_.begin(order_, 0, now_));
}

TEST_F(TillTest, AiJobsAreDebitedWhatTheirPaymentsExpect) {
    Order order{{market_.sender, model_balance_id(27, "usd")}, {{27, "usd"}}};
    const auto debit = [&](const Price& agreed) {
        order.agreed = agreed;
        return till_.finish(till_.begin(order, 1, now_).value(), 1, now_);
    };
    const Quote dear = quote(order);
    EXPECT_EQ(dear.price, (Price{3'030'000'000, 1}));
    ASSERT_EQ(error(accept(order, pay(dear, 10))), "");
    // An ether is worth twice as much: half the price, though the sender was never idle.
    ASSERT_TRUE(till_.prices().set_usd_rate({2'000, 0}, now_));
    const Quote cheap = quote(order);
    EXPECT_EQ(cheap.price, (Price{1'515'000'000, 1}));
    ASSERT_EQ(error(accept(order, pay(cheap, 1))), "");
    EXPECT_EQ(debit(cheap.price), Money::wei(1'515'000'000));
    EXPECT_EQ(debit(dear.price), Money::wei(3'030'000'000)) << "it paid for that one";
    // On credit, too; and the price from before a rise is honoured for a while.
    ASSERT_TRUE(till_.prices().set_usd_rate({1'000, 0}, now_));
    Payment on_credit{market_.sender, {}, {}, cheap.price};
    EXPECT_EQ(error(accept(order, on_credit)), "");
    now_ += minutes(9);
    EXPECT_EQ(error(accept(order, on_credit)), "");
    now_ += minutes(2);
    EXPECT_THAT(error(accept(order, on_credit)), HasSubstr("this costs 3000000000 wei per 1 units"));
    EXPECT_THAT(error(accept(order, pay(cheap, 1, 2))), HasSubstr("ask for the price of this work"));
    on_credit.expected_price = dear.price;
    EXPECT_EQ(error(accept(order, on_credit)), "");
}

TEST_F(TillTest, WhoGetsItForFreePaysNothing) {
    const Order order{{Address{9}, "session"}, {}};
    const auto params = till_.quote(order, {}, market_.chain, now_)->params;
    ASSERT_TRUE(params) << "gateways of the network leave out who names none";
    EXPECT_EQ(params->face_value, 0);
    EXPECT_EQ(params->win_prob, 0);
    EXPECT_EQ(params->expiration_block, market_.chain.l1_block + 40);
    Payment payment;
    payment.sender = Address{9};
    EXPECT_EQ(error(accept(order, payment)), "");
    const auto hold = till_.begin(order, 1'000'000, now_).value();
    EXPECT_EQ(till_.finish(hold, 1'000'000, now_), Money());
}

TEST_F(TillTest, SendersWithoutFundsGetNoQuote) {
    EXPECT_THAT(
        till_.quote(order_, {}, market_.chain, now_).error().message, HasSubstr("insufficient sender reserve")
    );
}

}  // namespace

}  // namespace framegrid::pay
