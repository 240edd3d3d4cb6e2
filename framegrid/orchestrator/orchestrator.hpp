// The orchestrator role: answers discovery, admits jobs, and runs each on one of its registered workers.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <framegrid/api/orchestrator_service.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/crypto/keys.hpp>
#include <framegrid/job/capabilities.hpp>
#include <framegrid/orchestrator/cashier.hpp>
#include <framegrid/orchestrator/loss_book.hpp>
#include <framegrid/orchestrator/sessions.hpp>
#include <framegrid/pay/receipt_desk.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/histogram.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/runtime/random.hpp>
#include <framegrid/runtime/task.hpp>
#include <framegrid/runtime/tracing.hpp>

namespace framegrid::orchestrator {

// Text constants that peers classify by (protocol sections 2.3 and 3.3).
inline constexpr const char* kTextCapped = "OrchestratorCapped";
inline constexpr const char* kTextBusy = "OrchestratorBusy";
inline constexpr const char* kTextInvalidSecret = "invalid secret";
inline constexpr const char* kTextZeroCapacity = "zero capacity";
inline constexpr const char* kTextIncompatible = "incompatible capabilities";
inline constexpr const char* kTextNoTranscoders = "no transcoders available";
inline constexpr const char* kTextMismatched = "MismatchedSegments";
inline constexpr const char* kTextZero = "ZeroSegments";
inline constexpr const char* kTextNoCapacity = "insufficient capacity";

struct Settings {
    std::string service_uri;  // as gateways and workers reach this node
    std::string secret;       // shared with workers; never empty
    Price price{0, 1};        // off-chain: only said
    CashierSettings cashier{};
    std::string version = job::kProtocolVersion;
    SessionSettings sessions;
    std::size_t workers_max = 1'000;
    std::size_t waiting_max = 1'000;  // jobs waiting for a worker with room
    std::size_t store_bytes_max = 512u << 20;
    int attempts_max = 3;                                   // workers tried for one job
    Duration fetch_time = std::chrono::seconds(1);          // for gateways to begin to fetch, when draining
    Duration transcode_time_min = std::chrono::seconds(8);  // max(this, 4 x duration), protocol section 7
    Duration ai_time_max = std::chrono::minutes(15);
};

// What a node needs that is paid. References outlive the role.
struct PaymentPorts {
    WorkPool& pool;
    pay::Ledger& ledger;
    pay::Chain& chain;
    pay::WinningTickets& winners;
    pay::PriceTable prices;
    pay::ReceiptDesk* receipts = nullptr;  // null: none are written
};

struct Ports {
    Executor executor;
    Clock& clock;
    Random& random;
    Logger log;
    const crypto::PrivateKey* key = nullptr;  // signs results; null off-chain
    std::optional<PaymentPorts> payments{};   // to the key's address; absent: nothing is paid
    Tracer tracer{};
};

struct Stats {
    std::uint64_t jobs_done = 0;
    std::uint64_t jobs_failed = 0;
    std::uint64_t jobs_refused = 0;      // before any worker saw them
    std::uint64_t redispatched = 0;      // given to another worker after one vanished or failed
    std::uint64_t renditions_early = 0;  // that workers sent before their tasks' ends
    std::uint64_t results_late = 0;      // for tasks that nobody waits for any more
    std::uint64_t results_refused = 0;   // wrong secret
    std::uint64_t registrations_refused = 0;
    std::size_t workers = 0;
    std::size_t in_flight = 0;  // at workers
    std::size_t running = 0;    // jobs: those, and those that wait for a worker
    std::size_t waiting = 0;
    std::size_t sessions = 0;
    std::size_t store_bytes = 0;
    std::optional<CashierStats> cashier{};
    api::LostJobs lost{};  // as gateways say
    Timings jobs;          // by pipeline
};
void dump(MetricsWriter& out, const Stats& stats);

// Runs on one executor; every method is called there.
class Orchestrator : public api::OrchestratorService {
  public:
    // Looks after what was paid until cancelled.
    virtual Task<Result<bool>> serve() = 0;
    // For an orderly stop: offers nothing and refuses new jobs and workers; returns when what runs is done
    // and gateways have had a moment to fetch it, at the latest at `until`. For good.
    virtual Task<void> drain(TimePoint until) = 0;
    // Ends registrations (their streams end) and fails waiting jobs with kCapacity; running ones finish.
    virtual void stop() = 0;
    virtual Stats stats() const = 0;
    // What each sender has left, exactly.
    virtual std::vector<pay::BalanceEntry> books() const = 0;
    // For prices in dollars, from now on; see PriceTable. kUnsupported: nothing is paid here.
    virtual Result<void> set_usd_rate(const pay::UsdRate& rate) = 0;
};

std::unique_ptr<Orchestrator> make_orchestrator(Ports ports, Settings settings);

}  // namespace framegrid::orchestrator
