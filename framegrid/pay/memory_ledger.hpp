// The ports of payments in memory, for tests and simulation: the rules of a real ledger without its file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <framegrid/pay/ledger.hpp>

namespace framegrid::pay {

// Rounds and recipients as the test sets them.
class MemoryChain final : public Chain {
  public:
    // Becomes the last initialized round; hashes of all rounds stay known.
    void set(const ChainState& state);
    void set_service_uri(const Address& recipient, std::string uri) { uris_[recipient] = std::move(uri); }

    Result<ChainState> state() const override { return state_; }
    Task<Result<Hash32>> block_hash_of(std::int64_t round, Deadline deadline) override;
    Task<Result<std::string>> service_uri(Address recipient, Deadline deadline) override;
    Hash32 hash_of(std::int64_t round) const;

  private:
    ChainState state_;
    std::map<std::int64_t, Hash32> hashes_;
    std::map<Address, std::string> uris_;
};

// A queue that forgets everything with its process; of one recipient.
class MemoryWinningTickets final : public WinningTickets {
  public:
    Task<Result<void>> keep(std::vector<WinningTicket> tickets) override;
    Task<Result<std::vector<WinningTicket>>> waiting(Address sender, std::size_t limit) override;
    Task<Result<std::vector<Address>>> senders() override;
    Task<Result<Wei>> pending(Address sender) override;
    Task<Result<void>> done(Hash32 ticket_hash, Redemption redemption) override;
    Task<Result<void>> failed(Hash32 ticket_hash, std::string error) override;

    // What waits of this sender for this recipient.
    Wei pending_of(const Address& sender, const Address& recipient) const;
    const std::vector<KeptTicket>& kept() const { return kept_; }

  private:
    Result<void> change(const Hash32& hash, Redemption redemption, std::string error);
    bool is_waiting(const KeptTicket& kept) const { return !kept.redemption && kept.final_error.empty(); }

    std::vector<KeptTicket> kept_;  // oldest first
};

// Deposits and reserves; money that is paid to recipients or withdrawn is counted, so that sums can be
// checked.
class MemoryLedger final : public Ledger {
  public:
    // `tickets`: what waits there counts as pending.
    explicit MemoryLedger(const MemoryChain& chain, const MemoryWinningTickets* tickets = nullptr)
        : chain_(chain), tickets_(tickets) {}

    Task<Result<SenderFunds>> funds(Address sender, Address recipient, Deadline deadline) override;
    Task<Result<void>> fund(Address sender, Wei deposit, Wei reserve, Deadline deadline) override;
    Task<Result<std::int64_t>> unlock(Address sender, Deadline deadline) override;
    Task<Result<void>> cancel_unlock(Address sender, Deadline deadline) override;
    Task<Result<Wei>> withdraw(Address sender, Deadline deadline) override;
    Task<Result<Redemption>> redeem(WinningTicket ticket, Deadline deadline) override;
    Task<Result<bool>> is_used(Hash32 ticket_hash, Deadline deadline) override;

    Wei paid_to(const Address& recipient) const;

  private:
    struct Account {
        Wei deposit = 0;
        Wei reserve = 0;
        std::int64_t withdraw_round = 0;
        std::int64_t claims_round = 0;
        std::map<Address, Wei> claims{};  // of the reserve, in that round
    };
    SenderFunds funds_of(const Address& sender, const Address& recipient) const;

    const MemoryChain& chain_;
    const MemoryWinningTickets* tickets_;
    std::map<Address, Account> accounts_;
    std::map<Hash32, Wei> used_;
    std::map<Address, Wei> paid_;
};

}  // namespace framegrid::pay
