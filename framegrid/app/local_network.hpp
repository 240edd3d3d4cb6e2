// A whole network on this machine: one gateway, orchestrators and workers as child processes on loopback.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/app/local_balance.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/random.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::app {

struct LocalNetworkSettings {
    int orchestrators = 1;
    int workers = 1;                 // spread over the orchestrators
    int tasks_per_worker = 0;        // at once; 0: cores + 1, divided among the workers
    std::uint16_t gateway_port = 0;  // 0: the system picks one
    bool restart = true;             // bring back children that end by themselves
    host::Path log_dir;              // <name>.log of each child
    host::Path data_dir{};           // the gateway's jobs and files; empty: beside the logs
    std::string store{};             // the gateway's --store; empty: its default
    std::string child_log_level = "info";
    std::string log_format = "text";
    std::vector<std::string> worker_args;  // passed on to every worker, for example --x264-preset
    std::vector<std::string> gateway_args;
    std::string ledger = "none";  // else as in LocalPaymentsSettings
    std::int64_t ledger_round_ms = 3'600'000;
    std::int64_t price_wei = 100;
    Duration start_time_max = std::chrono::seconds(15);
};

struct ChildView {
    std::string name;  // "gateway", "orchestrator-1", "worker-2"
    std::string uri;   // empty for workers
    int pid = 0;
    bool running = false;
    int restarts = 0;
    std::string last_exit;  // how it ended last, or empty
};

class LocalNetwork {
  public:
    // Starts everything and waits until each child has said that it is ready. On failure all children are
    // gone, and the error names the child and its log file.
    static Task<Result<std::unique_ptr<LocalNetwork>>> start(
        Executor executor, Clock& clock, Random& random, Logger log, LocalNetworkSettings settings
    );
    virtual ~LocalNetwork() = default;
    virtual std::string gateway_url() const = 0;
    virtual std::vector<ChildView> children() const = 0;
    // Empty without a ledger.
    virtual Task<Result<std::vector<LocalBalance>>> balances() = 0;
    // Sends a signal to a child by name; false when there is no such running child.
    virtual bool signal_child(const std::string& name, int number) = 0;
    // SIGTERM to all, SIGKILL to those still there after 5 s; returns when all are gone.
    virtual Task<void> stop() = 0;
};

// The line a child prints on standard output when it can be used: "ready <uri or name>".
std::string ready_line(const std::string& what);

}  // namespace framegrid::app
