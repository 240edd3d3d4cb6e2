#include <framegrid/pay/memory_ledger.hpp>

#include <algorithm>
#include <utility>

#include <framegrid/pay/redemption.hpp>

namespace framegrid::pay {

namespace {

constexpr std::int64_t kUnlockRounds = 2;

}  // namespace

void MemoryChain::set(const ChainState& state) {
    state_ = state;
    hashes_[state.round] = state.round_block_hash;
}

Hash32 MemoryChain::hash_of(std::int64_t round) const {
    const auto found = hashes_.find(round);
    return found == hashes_.end() ? Hash32{} : found->second;
}

Task<Result<Hash32>> MemoryChain::block_hash_of(std::int64_t round, Deadline) {
    co_return hash_of(round);
}

Task<Result<std::string>> MemoryChain::service_uri(Address recipient, Deadline) {
    const auto found = uris_.find(recipient);
    co_return found == uris_.end() ? std::string() : found->second;
}

SenderFunds MemoryLedger::funds_of(const Address& sender, const Address& recipient) const {
    SenderFunds funds;
    funds.pending = tickets_ == nullptr ? Wei(0) : tickets_->pending_of(sender, recipient);
    const auto found = accounts_.find(sender);
    if (found == accounts_.end()) {
        return funds;
    }
    const Account& account = found->second;
    funds.deposit = account.deposit;
    funds.reserve = account.reserve;
    funds.withdraw_round = account.withdraw_round;
    if (account.claims_round == chain_.state()->round) {
        for (const auto& [who, amount] : account.claims) {
            funds.reserve_claimed += amount;
            funds.claimed_by_us += who == recipient ? amount : Wei(0);
        }
    }
    return funds;
}

Task<Result<SenderFunds>> MemoryLedger::funds(Address sender, Address recipient, Deadline) {
    co_return funds_of(sender, recipient);
}

Task<Result<void>> MemoryLedger::fund(Address sender, Wei deposit, Wei reserve, Deadline) {
    const Wei limit = Wei(1) << 128;  // sums of these have room
    if (deposit >= limit || reserve >= limit) {
        co_return fail(Errc::kInvalidArgument, "at most 2^128 wei at once", "amount");
    }
    Account& account = accounts_[sender];
    account.deposit += deposit;
    account.reserve += reserve;
    account.withdraw_round = 0;
    co_return Result<void>();
}

Task<Result<std::int64_t>> MemoryLedger::unlock(Address sender, Deadline) {
    Account& account = accounts_[sender];
    if (account.deposit.is_zero() && account.reserve.is_zero()) {
        co_return fail(Errc::kForbidden, "sender deposit and reserve are zero");
    }
    if (account.withdraw_round != 0) {
        co_return fail(Errc::kForbidden, "unlock already initiated");
    }
    account.withdraw_round = chain_.state()->round + kUnlockRounds;
    co_return account.withdraw_round;
}

Task<Result<void>> MemoryLedger::cancel_unlock(Address sender, Deadline) {
    if (std::exchange(accounts_[sender].withdraw_round, 0) == 0) {
        co_return fail(Errc::kForbidden, "no unlock request in progress");
    }
    co_return Result<void>();
}

Task<Result<Wei>> MemoryLedger::withdraw(Address sender, Deadline) {
    Account& account = accounts_[sender];
    if (account.deposit.is_zero() && account.reserve.is_zero()) {
        co_return fail(Errc::kForbidden, "sender deposit and reserve are zero");
    }
    if (account.withdraw_round == 0) {
        co_return fail(Errc::kForbidden, "no unlock request in progress");
    }
    if (chain_.state()->round < account.withdraw_round) {
        co_return fail(Errc::kForbidden, "account is locked");
    }
    co_return std::exchange(account.deposit, 0) + std::exchange(account.reserve, 0);
}

Task<Result<Redemption>> MemoryLedger::redeem(WinningTicket ticket, Deadline) {
    const ChainState chain = *chain_.state();
    const TicketParams& params = ticket.params;
    const Hash32 hash = ticket_hash(params, ticket.sender, ticket.ticket.nonce);
    if (const auto used = used_.find(hash); used != used_.end()) {
        co_return Redemption{.paid = used->second, .used_before = true, .reference = crypto::hex(hash)};
    }
    FG_CO_CHECK(check_redeemable(ticket, chain_.hash_of(params.creation.round), chain.round));
    Account& account = accounts_[ticket.sender];
    if (account.withdraw_round != 0 && chain.round >= account.withdraw_round) {
        co_return fail(Errc::kUnavailable, "sender is unlocked");
    }
    if (account.deposit.is_zero() && account.reserve.is_zero()) {
        co_return fail(Errc::kUnavailable, "sender deposit and reserve are zero");
    }
    const Payout pay = payout(params.face_value, funds_of(ticket.sender, params.recipient), chain);
    if (account.claims_round != chain.round) {
        account.claims.clear();
        account.claims_round = chain.round;
    }
    account.deposit -= pay.from_deposit;
    account.reserve -= pay.from_reserve;
    account.claims[params.recipient] += pay.from_reserve;
    used_[hash] = pay.total();
    paid_[params.recipient] += pay.total();
    co_return Redemption{.paid = pay.total(), .used_before = false, .reference = crypto::hex(hash)};
}

Task<Result<bool>> MemoryLedger::is_used(Hash32 ticket_hash, Deadline) {
    co_return used_.contains(ticket_hash);
}

Wei MemoryLedger::paid_to(const Address& recipient) const {
    const auto found = paid_.find(recipient);
    return found == paid_.end() ? Wei(0) : found->second;
}

Task<Result<void>> MemoryWinningTickets::keep(std::vector<WinningTicket> tickets) {
    for (WinningTicket& ticket : tickets) {
        if (!std::ranges::contains(kept_, ticket.hash, [](const KeptTicket& kept) {
                return kept.ticket.hash;
            })) {
            kept_.push_back({std::move(ticket), {}, {}});
        }
    }
    co_return Result<void>();
}

Task<Result<std::vector<WinningTicket>>> MemoryWinningTickets::waiting(Address sender, std::size_t limit) {
    std::vector<WinningTicket> out;
    for (const KeptTicket& kept : kept_) {
        if (out.size() < limit && is_waiting(kept) && kept.ticket.sender == sender) {
            out.push_back(kept.ticket);
        }
    }
    co_return out;
}

Task<Result<std::vector<Address>>> MemoryWinningTickets::senders() {
    std::vector<Address> out;
    for (const KeptTicket& kept : kept_) {
        if (is_waiting(kept) && !std::ranges::contains(out, kept.ticket.sender)) {
            out.push_back(kept.ticket.sender);
        }
    }
    co_return out;
}

Task<Result<Wei>> MemoryWinningTickets::pending(Address sender) {
    Wei sum = 0;
    for (const KeptTicket& kept : kept_) {
        if (is_waiting(kept) && kept.ticket.sender == sender) {
            sum += kept.ticket.params.face_value;
        }
    }
    co_return sum;
}

Wei MemoryWinningTickets::pending_of(const Address& sender, const Address& recipient) const {
    Wei sum = 0;
    for (const KeptTicket& kept : kept_) {
        const bool theirs = kept.ticket.sender == sender && kept.ticket.params.recipient == recipient;
        if (is_waiting(kept) && theirs) {
            sum += kept.ticket.params.face_value;
        }
    }
    return sum;
}

Result<void> MemoryWinningTickets::change(const Hash32& hash, Redemption redemption, std::string error) {
    for (KeptTicket& kept : kept_) {
        if (kept.ticket.hash != hash) {
            continue;
        }
        if (!is_waiting(kept)) {
            return {};
        }
        kept.final_error = std::move(error);
        if (kept.final_error.empty()) {
            kept.redemption = std::move(redemption);
        }
        return {};
    }
    return fail(Errc::kNotFound, "no such winning ticket");
}

Task<Result<void>> MemoryWinningTickets::done(Hash32 ticket_hash, Redemption redemption) {
    co_return change(ticket_hash, std::move(redemption), {});
}

Task<Result<void>> MemoryWinningTickets::failed(Hash32 ticket_hash, std::string error) {
    co_return change(ticket_hash, {}, error.empty() ? "failed" : std::move(error));
}

}  // namespace framegrid::pay
