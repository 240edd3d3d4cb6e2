// Payment headers and amounts as strangers write them: never a crash, nothing is credited that was not signed
// for this orchestrator, and what was read can be written and read again.
#include <cstddef>
#include <cstdint>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/pay/money.hpp>
#include <framegrid/pay/prices.hpp>
#include <framegrid/pay/ticket_for_test.hpp>
#include <framegrid/pay/till.hpp>
#include <framegrid/wire/payment_header.hpp>

namespace {

using namespace framegrid;  // a program of one file

pay::PriceTable table() {
    return pay::PriceTable::make({.rules = {{.tag = {.digits = 1000}}}}, {}).value();
}

void read_payment(std::string_view text) {
    const auto payment = wire::decode_payment(text);
    if (!payment) {
        return;
    }
    const auto again = wire::decode_payment(wire::encode_payment(*payment));
    FG_ASSERT(again.has_value());
    FG_ASSERT(again->params == payment->params && again->tickets == payment->tickets);
    pay::Market market;
    pay::Till till(market.recipient_address, {}, table(), market.random);
    const pay::Order order{{payment->sender, "session"}, {}};
    FG_ASSERT(!till.check(*payment));
    (void)till.agree(order, &*payment, {});
    FG_ASSERT(!till.begin(order, 0, {}));
    if (payment->params) {
        // As if the recipient were the one that is named: still not one that it issued.
        pay::Recipient recipient(payment->params->recipient, {}, market.random);
        FG_ASSERT(!recipient.check(*payment));
        pay::Sender sender(market.sender);
        (void)sender.take(*payment->params, 3, market.funds, market.chain);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const framegrid::BytesView bytes{data, size};
    const auto text = framegrid::as_text(bytes);
    read_payment(text);
    read_payment(framegrid::crypto::base64(bytes));
    if (const auto money = framegrid::pay::Money::parse(text)) {
        FG_ASSERT(framegrid::pay::Money::parse(money->text()).value() == *money);
        FG_ASSERT(money->floor_wei() <= money->ceil_wei());
    }
    (void)framegrid::pay::parse_price(text);
    return 0;
}
