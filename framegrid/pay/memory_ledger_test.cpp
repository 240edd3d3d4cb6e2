#include <framegrid/pay/memory_ledger.hpp>

#include <framegrid/pay/ledger_contract_for_test.hpp>

namespace framegrid::pay {

namespace {

class MemoryBench final : public LedgerBench {
  public:
    MemoryBench() {
        state_.pool_size = 2;
        next_round();
        chain_.set_service_uri(recipient, "https://one.example:8935");
        chain_.set_service_uri(other, "https://two.example:8935");
    }
    Chain& chain() override { return chain_; }
    Ledger& ledger() override { return ledger_; }
    WinningTickets& tickets() override { return tickets_; }
    void next_round() override {
        state_.round += 1;
        state_.l1_block += 100;
        state_.previous_block_hash = state_.round_block_hash;
        state_.round_block_hash[0] += 1;
        chain_.set(state_);
    }

  private:
    ChainState state_;
    MemoryChain chain_;
    MemoryWinningTickets tickets_;
    MemoryLedger ledger_{chain_, &tickets_};
};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Memory, LedgerContract, testing::Values(LedgerFactory([] {
                             return std::make_unique<MemoryBench>();
                         })));

}  // namespace framegrid::pay
