#include <framegrid/wire/payment_header.hpp>

#include <algorithm>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/wire/convert.hpp>

namespace framegrid::wire {

namespace {

// 600 tickets, the most that one set of params is good for, take 45 KiB and a third more as base64.
constexpr std::size_t kPaymentBytesMax = 64 * 1024;
constexpr int kTicketsMax = 600;

void put(std::string& field, BytesView bytes) {
    field.assign(as_text(bytes));
}

// Fixed size, or empty where that may be.
template <std::size_t Size>
Result<std::array<std::uint8_t, Size>> fixed(const std::string& bytes, const char* name, bool may_be_empty) {
    std::array<std::uint8_t, Size> out{};
    if (bytes.size() != Size && !(may_be_empty && bytes.empty())) {
        return fail(
            Errc::kInvalidArgument,
            std::string(name) + " has " + std::to_string(bytes.size()) + " bytes, it must have " +
                std::to_string(Size),
            name
        );
    }
    std::ranges::copy(as_bytes(bytes), out.begin());
    return out;
}

Result<Uint256> number(const std::string& bytes, const char* name) {
    const auto value = pay::from_bytes(as_bytes(bytes));
    if (!value) {
        return fail(Errc::kInvalidArgument, std::string(name) + " is longer than 32 bytes", name);
    }
    return *value;
}

net::TicketExpirationParams round_to_proto(const pay::CreationRound& creation) {
    net::TicketExpirationParams message;
    message.set_creation_round(creation.round);
    put(*message.mutable_creation_round_block_hash(), creation.block_hash);
    return message;
}

Result<pay::CreationRound> round_from_proto(const net::TicketExpirationParams& message) {
    pay::CreationRound creation;
    if (message.creation_round() < 0) {
        return fail(Errc::kInvalidArgument, "creation_round is negative", "creation_round");
    }
    creation.round = message.creation_round();
    FG_TRY(hash, fixed<32>(message.creation_round_block_hash(), "creation_round_block_hash", true));
    creation.block_hash = hash;
    return creation;
}

Result<Price> price_from_proto(const net::PriceInfo& message) {
    if (message.pixelsperunit() <= 0 || message.priceperunit() < 0) {
        return fail(
            Errc::kInvalidArgument, "expected_price is no price: wei are not negative, units are positive",
            "expected_price"
        );
    }
    return Price{message.priceperunit(), message.pixelsperunit()};
}

Result<std::vector<pay::SignedNonce>> tickets_from_proto(const net::Payment& message) {
    if (message.ticket_sender_params_size() > kTicketsMax) {
        return fail(
            Errc::kTooLarge,
            std::to_string(message.ticket_sender_params_size()) + " tickets in a payment, at most " +
                std::to_string(kTicketsMax) + " are taken: send fewer",
            "ticket_sender_params"
        );
    }
    std::vector<pay::SignedNonce> tickets;
    tickets.reserve(static_cast<std::size_t>(message.ticket_sender_params_size()));
    for (const auto& one : message.ticket_sender_params()) {
        FG_TRY(signature, fixed<65>(one.sig(), "ticket_sender_params.sig", false));
        tickets.push_back({one.sender_nonce(), signature});
    }
    return tickets;
}

Result<void> check_complete(const net::Payment& message) {
    const auto missing = [](const char* field) {
        return fail(
            Errc::kInvalidArgument, std::string("the payment has tickets and no ") + field + ": send it",
            field
        );
    };
    if (!message.has_ticket_params()) {
        return message.ticket_sender_params().empty() ? Result<void>() : missing("ticket_params");
    }
    if (message.sender().empty()) {
        return missing("sender");
    }
    if (!message.has_expiration_params()) {
        return missing("expiration_params");
    }
    return message.has_expected_price() ? Result<void>() : missing("expected_price");
}

}  // namespace

net::TicketParams to_proto(const pay::TicketParams& params) {
    net::TicketParams message;
    put(*message.mutable_recipient(), params.recipient);
    put(*message.mutable_face_value(), pay::minimal_bytes(params.face_value));
    put(*message.mutable_win_prob(), pay::minimal_bytes(params.win_prob));
    put(*message.mutable_recipient_rand_hash(), params.recipient_rand_hash);
    put(*message.mutable_seed(), pay::minimal_bytes(params.seed));
    put(*message.mutable_expiration_block(), crypto::big_endian(params.expiration_block));
    *message.mutable_expiration_params() = round_to_proto(params.creation);
    return message;
}

Result<pay::TicketParams> from_proto(const net::TicketParams& message) {
    FG_TRY(recipient, fixed<20>(message.recipient(), "recipient", false));
    FG_TRY(face_value, number(message.face_value(), "face_value"));
    FG_TRY(win_prob, number(message.win_prob(), "win_prob"));
    FG_TRY(rand_hash, fixed<32>(message.recipient_rand_hash(), "recipient_rand_hash", false));
    FG_TRY(seed, number(message.seed(), "seed"));
    FG_TRY(block, number(message.expiration_block(), "expiration_block"));
    FG_TRY(creation, round_from_proto(message.expiration_params()));
    if (block > std::numeric_limits<std::uint64_t>::max()) {
        return fail(Errc::kInvalidArgument, "expiration_block is over 2^64", "expiration_block");
    }
    return pay::TicketParams{
        recipient, face_value, win_prob, rand_hash, seed, static_cast<std::uint64_t>(block), creation
    };
}

std::string encode_payment(const pay::Payment& payment) {
    net::Payment message;
    if (payment.sender != crypto::Address{}) {
        put(*message.mutable_sender(), payment.sender);
    }
    if (payment.params) {
        *message.mutable_ticket_params() = to_proto(*payment.params);
        message.mutable_ticket_params()->clear_expiration_params();
        *message.mutable_expiration_params() = round_to_proto(payment.params->creation);
    }
    for (const auto& ticket : payment.tickets) {
        auto& out = *message.add_ticket_sender_params();
        out.set_sender_nonce(ticket.nonce);
        put(*out.mutable_sig(), ticket.signature);
    }
    const Price price = payment.expected_price.value_or(Price{0, 1});
    message.mutable_expected_price()->set_priceperunit(price.wei);
    message.mutable_expected_price()->set_pixelsperunit(price.units);
    return crypto::base64(as_bytes(message.SerializeAsString()));
}

Result<pay::Payment> decode_payment(std::string_view text) {
    if (text.size() > kPaymentBytesMax) {
        return fail(Errc::kTooLarge, "Livepeer-Payment is too long: send fewer tickets", "Livepeer-Payment");
    }
    const auto bytes = crypto::parse_base64(text);
    if (!bytes) {
        return fail(Errc::kInvalidArgument, "Livepeer-Payment: " + bytes.error().message, "Livepeer-Payment");
    }
    FG_TRY(message, parse_message<net::Payment>(as_text(*bytes)));
    pay::Payment payment;
    FG_TRY(sender, fixed<20>(message.sender(), "sender", true));
    payment.sender = sender;
    FG_CHECK(check_complete(message));
    if (message.has_expected_price()) {
        FG_TRY(price, price_from_proto(message.expected_price()));
        payment.expected_price = price;
    }
    if (message.has_ticket_params()) {
        FG_TRY(params, from_proto(message.ticket_params()));
        FG_TRY(creation, round_from_proto(message.expiration_params()));
        params.creation = creation;
        payment.params = std::move(params);
        FG_TRY(tickets, tickets_from_proto(message));
        payment.tickets = std::move(tickets);
    }
    return payment;
}

}  // namespace framegrid::wire
