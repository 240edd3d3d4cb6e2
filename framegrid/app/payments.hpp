// Options of nodes that pay and are paid, and what is made of them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include <framegrid/app/session.hpp>
#include <framegrid/gateway/payments.hpp>
#include <framegrid/ledger_sqlite/ledger.hpp>
#include <framegrid/orchestrator/cashier.hpp>
#include <framegrid/orchestrator/orchestrator.hpp>

namespace framegrid::app {

inline constexpr const char* kNoLedger = "none";

struct LedgerOptions {
    std::string ledger = kNoLedger;  // or "sqlite:PATH"
    std::int64_t round_ms = 3'600'000;
};
void add_ledger_options(CLI::App& command, LedgerOptions& options);
// Who is paid, and where it is reached; nobody by default.
struct Recipient {
    crypto::Address address{};
    std::string service_uri{};
};
// Blocking. Null: none. kInvalidArgument (field "ledger"), kIo.
Result<std::unique_ptr<ledger_sqlite::LedgerFile>> open_ledger(
    const LedgerOptions& options, Recipient recipient, Clock& clock, Random& random
);

struct SellOptions {
    std::int64_t price_wei = 0;
    std::int64_t price_units = 1;
    std::vector<std::string> prices;  // "WHAT=PRICE"
    std::string usd_per_eth;
    std::string usd_per_eth_file;
    std::string ticket_ev = "8000000000";
    std::string face_value_max = "0";
};
void add_sell_options(CLI::App& command, SellOptions& options);
// Prices in dollars follow what another program writes into that file, until cancelled; it is read when it
// has changed.
Task<Result<bool>> follow_usd_rate(Session& session, orchestrator::Orchestrator& role, std::string file);
// kInvalidArgument names the option.
Result<pay::PriceTable> price_table(const SellOptions& options, TimePoint now);
Result<orchestrator::CashierSettings> cashier_settings(const SellOptions& options);

struct BuyOptions {
    std::vector<std::string> prices_max;  // "PIPELINE/MODEL=PRICE"
    std::string ticket_ev_max = "3000000000000";
    std::string payment_ev_max = "20000000000000";
};
void add_buy_options(CLI::App& command, BuyOptions& options);
Result<gateway::PaymentSettings> payment_settings(const BuyOptions& options);

// What each peer has left, exactly, a line each: the books of two nodes can be compared.
void log_books(const Logger& log, std::string_view event, const std::vector<pay::BalanceEntry>& books);

}  // namespace framegrid::app
