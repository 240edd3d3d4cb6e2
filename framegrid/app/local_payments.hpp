// Keys, a ledger and play money for a network on one machine.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <framegrid/app/local_balance.hpp>
#include <framegrid/app/payments.hpp>
#include <framegrid/host/files.hpp>

namespace framegrid::app {

struct LocalPaymentsSettings {
    host::Path directory{};  // of keys, and of the ledger if it has no place of its own
    std::string ledger;      // "sqlite" or "sqlite:FILE"
    std::int64_t round_ms = 3'600'000;
    std::int64_t price_wei = 100;  // of a unit, at every orchestrator
    int orchestrators = 1;
};

class LocalPayments {
  public:
    // Makes what is missing: keys (mode 0600, like the file with their password), the ledger, and the
    // gateway's deposit and reserve when it has none.
    static Task<Result<std::unique_ptr<LocalPayments>>> prepare(
        LocalPaymentsSettings settings, Clock& clock, Random& random
    );

    // Arguments for the node of this name ("gateway", "orchestrator-1").
    std::vector<std::string> arguments(const std::string& name) const;
    // Of all of them, as the ledger says now.
    Task<Result<std::vector<LocalBalance>>> balances();

  private:
    struct Node {
        std::string name;
        host::Path key_file;
        crypto::Address address{};
    };
    explicit LocalPayments(LocalPaymentsSettings settings) : settings_(std::move(settings)) {}
    host::Path password_file() const { return settings_.directory / "password"; }
    Result<void> make_keys(Random& random);
    Task<Result<void>> fund(Clock& clock);

    LocalPaymentsSettings settings_;
    LedgerOptions ledger_options_;
    std::vector<Node> nodes_;  // the gateway first
    std::unique_ptr<ledger_sqlite::LedgerFile> ledger_;
};

}  // namespace framegrid::app
