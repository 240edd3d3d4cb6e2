#include <framegrid/signer/signer.hpp>

#include <algorithm>

#include <framegrid/base/utf8.hpp>
#include <framegrid/crypto/segment_signature.hpp>
#include <framegrid/pay/prices.hpp>
#include <framegrid/pay/purse.hpp>

namespace framegrid::signer {

namespace {

constexpr std::size_t kStateIdBytes = 16;
constexpr std::size_t kManifestIdBytes = 8;
// Params that end this soon would be refused by the time they arrive.
constexpr std::uint64_t kExpiryMarginBlocks = 1;

std::unexpected<Error> over(std::string message, std::string field) {
    return fail(Errc::kForbidden, std::move(message), std::move(field));
}

Result<void> check_ceilings(const Caller& caller, const std::optional<Price>& own, const Price& price) {
    const auto ceiling = pay::PriceCeilings::lower(caller.price_max, own);
    if (const auto good = pay::check_price(price, ceiling, std::nullopt); !good) {
        return over(good.error().message, kPriceField);
    }
    return {};
}

bool is_plain_text(std::string_view text, std::size_t bytes_max) {
    const auto control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; };
    return text.size() <= bytes_max && valid_utf8(text) == text && std::ranges::none_of(text, control);
}

}  // namespace

bool reads_as_ticket(BytesView flat, const crypto::Address& sender) {
    return flat.size() >= 2 * sender.size() &&
           std::ranges::equal(flat.subspan(sender.size(), sender.size()), sender);
}

Signer::Signer(Ports ports, Settings settings)
    : ports_(ports), settings_(std::move(settings)), address_(ports.key.address()) {}

crypto::Signature Signer::sign_info_request() const {
    return ports_.key.sign_message(crypto::info_request_message(address_));
}

Result<void> Signer::check_batch(const pay::TicketBatch& batch) const {
    if (batch.sender != address_) {
        return fail(Errc::kInvalidArgument, "the tickets are of another sender", "sender");
    }
    if (batch.count == 0 || batch.count > settings_.tickets_max) {
        return fail(
            Errc::kInvalidArgument,
            "1 to " + std::to_string(settings_.tickets_max) + " tickets are signed at once", "count"
        );
    }
    if (batch.first_nonce == 0 || batch.first_nonce > settings_.nonces_max ||
        batch.count > settings_.nonces_max - batch.first_nonce + 1) {
        return fail(
            Errc::kUnavailable, "these ticket params are used up: ask the orchestrator for new ones",
            kStaleParams
        );
    }
    const auto ev = pay::expected_value(batch.params);
    if (ev.sign() <= 0 || ev >= pay::Money::wei(batch.params.face_value)) {
        return fail(
            Errc::kInvalidArgument, "a ticket is worth something, and less than its face value", kStaleParams
        );
    }
    if (ev > pay::Money::wei(settings_.ticket_ev_max)) {
        return over("a ticket is worth more than " + settings_.ticket_ev_max.str() + " wei", "ticket_ev");
    }
    if (ev * batch.count > pay::Money::wei(settings_.payment_ev_max)) {
        return over(
            "the tickets are worth more than " + settings_.payment_ev_max.str() + " wei", "payment_ev"
        );
    }
    if (settings_.face_value_max > 0 && batch.params.face_value > settings_.face_value_max) {
        return over("a ticket's face value is over " + settings_.face_value_max.str() + " wei", "face_value");
    }
    return {};
}

Task<Result<pay::Payment>> Signer::sign_tickets(Caller caller, pay::TicketBatch batch, Price price) {
    FG_CO_CHECK(check_ceilings(caller, std::nullopt, price));
    FG_CO_CHECK(check_batch(batch));
    FG_CO_CHECK(co_await ports_.spending.spend(
        caller.id, pay::expected_value(batch.params) * batch.count, caller.wei_per_day_max
    ));
    auto sign = [this, &batch, &price] { return pay::sign(batch, price, ports_.key); };
    co_return co_await offload(ports_.pool, std::move(sign));
}

Result<LiveState> Signer::state_of(const Caller& caller, const LiveRequest& request) const {
    const auto session = pay::Sender::session_id(request.params);
    const auto orchestrator = crypto::checksum_address(request.params.recipient);
    if (request.state.empty() && request.state_signature.empty()) {
        LiveState first;
        first.id = ports_.random.hex(kStateIdBytes);
        first.session = session;
        first.orchestrator = orchestrator;
        first.app = request.app;
        first.caller = caller.id;
        first.params_since_unix_ms = ports_.clock.unix_ms();
        first.price_at_start = request.price;
        first.type = request.type;
        return first;
    }
    if (!crypto::verify_message(address_, as_bytes(request.state), request.state_signature)) {
        return fail(Errc::kInvalidArgument, "the state's signature is not this signer's", "state");
    }
    FG_TRY(state, read_live_state(request.state));
    // What began without a type may get one.
    const bool same_type = state.type == LiveType::kUnits || state.type == request.type;
    if (state.orchestrator != orchestrator || state.caller != caller.id || !same_type ||
        state.app != request.app) {
        return fail(
            Errc::kInvalidArgument, "the state is of another orchestrator, caller, type or app", "state"
        );
    }
    state.type = request.type;
    if (state.session != session) {  // new params: their nonces begin again
        state.session = session;
        state.nonce = 0;
        state.params_since_unix_ms = ports_.clock.unix_ms();
    }
    return state;
}

Result<void> Signer::check_fresh(const LiveRequest& request, const LiveState& state) const {
    const auto now = ports_.clock.unix_ms();
    if (now / 1000 > request.token_expires_unix_s - settings_.token_margin_s) {
        return fail(
            Errc::kUnavailable, "the auth token ends soon: ask the orchestrator for a new one", kStaleParams
        );
    }
    bool stale = false;
    const auto chain = ports_.chain == nullptr ? Result<pay::ChainState>(fail(Errc::kUnavailable, "no chain"))
                                               : ports_.chain->state();
    if (chain) {
        stale = request.params.expiration_block <= chain->l1_block + kExpiryMarginBlocks;
    } else {
        stale = std::chrono::milliseconds(now - state.params_since_unix_ms) > settings_.params_time_max;
    }
    if (stale) {
        return fail(
            Errc::kUnavailable, "the ticket params have expired: ask the orchestrator for new ones",
            kStaleParams
        );
    }
    return {};
}

Task<Result<LivePayment>> Signer::pay_live(Caller caller, LiveRequest request) {
    FG_CO_TRY(state, state_of(caller, request));
    if (request.manifest_id.empty() && state.sequence > 0) {
        co_return fail(
            Errc::kInvalidArgument, "missing manifestID: a session keeps the one that it began with",
            "ManifestID"
        );
    }
    if (request.manifest_id.empty()) {
        request.manifest_id = ports_.random.hex(kManifestIdBytes);
    }
    FG_CO_CHECK(check_fresh(request, state));
    FG_CO_CHECK(check_ceilings(caller, request.price_max, request.price));
    if (!pay::check_price(request.price, std::nullopt, state.price_at_start)) {
        co_return over("the price has more than doubled since the session began", kPriceField);
    }
    const auto now = ports_.clock.unix_ms();
    const auto units = request.type == LiveType::kUnits
                           ? request.units
                           : live_units(request.type, state.updated_unix_ms, now);
    // At the price that the session began with: that is what the orchestrator debits it at.
    const auto fee = pay::Money::of_units(units, state.price_at_start);
    const auto ev = pay::expected_value(request.params);
    // The orchestrator wants a ticket's worth to be there at any time.
    const auto needed = pay::tickets_needed(state.balance, fee, ev);
    if (needed == 0 && ev.sign() > 0) {
        co_return fail(Errc::kUnavailable, "what was paid is enough for now", kNoTicketsField);
    }
    pay::TicketBatch batch{address_, request.params, state.nonce + 1, 0};
    batch.count =
        needed > settings_.tickets_max ? settings_.tickets_max + 1 : static_cast<std::uint32_t>(needed);
    FG_CO_TRY(payment, co_await sign_tickets(std::move(caller), batch, request.price));
    state.nonce += batch.count;
    state.balance += ev * batch.count;
    state.balance -= fee;
    state.updated_unix_ms = now;
    ++state.sequence;
    LivePayment out{std::move(payment), std::move(request.manifest_id), write_live_state(state), {}};
    out.state_signature = ports_.key.sign_message(as_bytes(out.state));
    co_return out;
}

Task<Result<crypto::Signature>> Signer::sign_segment(SegmentRequest request) {
    if (!is_plain_text(request.manifest_id, settings_.text_bytes_max)) {
        co_return fail(Errc::kInvalidArgument, "a manifest id is a text, and not a long one", "manifest_id");
    }
    const bool plain = std::ranges::all_of(request.profile_names, [this](const std::string& name) {
        return is_plain_text(name, settings_.text_bytes_max);
    });
    if (!plain || request.profile_names.size() > settings_.profiles_max) {
        co_return fail(Errc::kInvalidArgument, "profiles are named by short texts, and are few", "profiles");
    }
    const auto flat =
        crypto::flatten_segment(request.manifest_id, request.seq, request.hash, request.profile_names);
    if (request.seq < 0 || reads_as_ticket(flat, address_)) {
        co_return over("this is no segment", "manifest_id");
    }
    const auto message = crypto::keccak256(flat);
    auto sign = [this, &message] { return ports_.key.sign_message(message); };
    co_return co_await offload(ports_.pool, std::move(sign));
}

}  // namespace framegrid::signer
