// framegrid-sim: plays whole networks on virtual time and says what broke.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <sim/run.hpp>

namespace framegrid::sim {
namespace {

struct Options {
    RunSettings run;
    std::string seeds;  // "A..B", both included
    bool json = false;
    bool canary = false;
    bool repeat = false;
};

// The only looks at real time in the simulator: how long a run took, and how much of that the processor
// worked on it.
struct RealTime {
    double wall = 0;  // seconds
    double cpu = 0;
    static RealTime now() {
        const auto wall = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch());
        return {wall.count(), static_cast<double>(std::clock()) / CLOCKS_PER_SEC};
    }
};

std::string reproduce(const RunSettings& run) {
    return fmt::format("framegrid-sim --seed {} --nodes {} --jobs {}", run.seed, run.nodes, run.jobs);
}

void print_text(const RunReport& report, RealTime took) {
    const ClientStats& clients = report.clients;
    fmt::print(
        "seed {:<5} {} jobs: {} done, {} rejected, {} cancelled; early {}; retries {} (clients {}), "
        "re-dispatched {}; "
        "{:.0f} s virtual in {:.2f} s ({:.2f} s CPU), {:.0f} jobs/s, {:.1f} million steps; trace {:016x}\n",
        report.settings.seed, report.settings.jobs, clients.done, clients.rejected, clients.cancelled,
        clients.early, report.totals.gateway_retries, clients.retries, report.totals.redispatched,
        report.virtual_seconds, took.wall, took.cpu, report.settings.jobs / took.wall,
        static_cast<double>(report.steps) / 1e6, report.trace_hash
    );
}

void print_details(const RunReport& report) {
    fmt::print("  {}\n", report.plan);
    std::string faults;
    for (const auto& [name, count] : report.faults) {
        faults += fmt::format("{} {}, ", name, count);
    }
    fmt::print(
        "  faults: {}messages {} of which lost {}, blocked {}, doubled {}\n", faults, report.network.sent,
        report.network.lost, report.network.blocked, report.network.duplicated
    );
    std::string errors;
    for (const auto& [code, count] : report.clients.errors) {
        errors += fmt::format(" {} {}", code, count);
    }
    fmt::print(
        "  clients saw:{}; slowest job {:.1f} s\n", errors.empty() ? " no errors" : errors,
        static_cast<double>(report.clients.slowest.count()) / 1e9
    );
    fmt::print(
        "  suspensions {}, results rejected {}, late {}, refused {}; peaks: {} jobs at a gateway, {} "
        "waiting, "
        "{} sessions, {} bytes stored, {} calls\n",
        report.totals.suspensions, report.totals.gateway_rejected_results, report.totals.late_results,
        report.totals.refused_results, report.peaks.gateway_in_flight, report.peaks.waiting,
        report.peaks.sessions, report.peaks.store_bytes, report.network.calls_max
    );
}

void print_json(const RunReport& report, RealTime took) {
    std::string findings;
    for (const Finding& finding : report.verdict.findings()) {
        findings += fmt::format("{}\"{}\"", findings.empty() ? "" : ",", finding.checker);
    }
    fmt::print(
        "{{\"seed\":{},\"nodes\":{},\"jobs\":{},\"done\":{},\"rejected\":{},\"cancelled\":{},\"early\":{},"
        "\"retries\":{},"
        "\"client_retries\":{},\"redispatched\":{},\"virtual_seconds\":{:.3f},\"wall_seconds\":{:.3f},\"cpu_"
        "seconds\":{:.3f},"
        "\"slowest_seconds\":{:.3f},\"mild\":{},"
        "\"jobs_per_second\":{:.0f},\"steps\":{},\"trace\":\"{:016x}\",\"ok\":{},\"failed\":[{}]}}\n",
        report.settings.seed, report.settings.nodes, report.settings.jobs, report.clients.done,
        report.clients.rejected, report.clients.cancelled, report.clients.early,
        report.totals.gateway_retries, report.clients.retries, report.totals.redispatched,
        report.virtual_seconds, took.wall, took.cpu,
        static_cast<double>(report.clients.slowest.count()) / 1e9, report.mild,
        report.settings.jobs / took.wall, report.steps, report.trace_hash, report.verdict.ok(), findings
    );
}

void print_findings(const RunReport& report) {
    for (const Finding& finding : report.verdict.findings()) {
        fmt::print("FAILED {}: {}\n", finding.checker, finding.text);
    }
    fmt::print("{} findings; reproduce with: {}\n", report.verdict.count(), reproduce(report.settings));
}

bool play(const Options& options, std::uint64_t seed, bool details) {
    RunSettings settings = options.run;
    settings.seed = seed;
    const RealTime began = RealTime::now();
    RunReport report = run(settings);
    const RealTime ended = RealTime::now();
    const RealTime took{ended.wall - began.wall, ended.cpu - began.cpu};
    if (options.repeat && run(settings).trace_hash != report.trace_hash) {
        report.verdict.fail("determinism", "the same seed gave another trace");
    }
    if (options.json) {
        print_json(report, took);
    } else {
        print_text(report, took);
        if (details || !report.verdict.ok()) {
            print_details(report);
        }
    }
    if (!report.verdict.ok()) {
        print_findings(report);
    }
    std::fflush(stdout);
    return report.verdict.ok();
}

// Every bug on purpose must be found by the checker that is there for it. Returns 1 as a run with a finding
// does; 2 when a bug slipped through.
int play_canaries(const Options& options) {
    struct Expected {
        Canary canary;
        const char* name;
        const char* checker;
    };
    bool all = true;
    for (const auto& [canary, name, checker] :
         {Expected{Canary::kLose, "a gateway that never answers", "answers in time"},
          Expected{Canary::kSwap, "a gateway that mixes results up", "content"},
          Expected{Canary::kEmpty, "a gateway that answers without a result", "content"},
          Expected{Canary::kTrust, "a gateway that believes a liar", "reject"}}) {
        RunSettings settings = options.run;
        settings.canary = canary;
        const RunReport report = run(settings);
        bool caught = false;
        for (const Finding& finding : report.verdict.findings()) {
            caught = caught || finding.checker == checker;
        }
        all = all && caught;
        fmt::print("canary: {}: {}\n", name, caught ? fmt::format("caught by '{}'", checker) : "NOT CAUGHT");
    }
    fmt::print("{}\n", all ? "every canary was caught" : "the checkers are blind");
    return all ? 1 : 2;
}

bool parse_range(const std::string& text, std::uint64_t& first, std::uint64_t& last) {
    const auto dots = text.find("..");
    if (dots == std::string::npos) {
        return false;
    }
    const char* const end = text.data() + text.size();
    const auto a = std::from_chars(text.data(), text.data() + dots, first);
    const auto b = std::from_chars(text.data() + dots + 2, end, last);
    return a.ec == std::errc{} && a.ptr == text.data() + dots && b.ec == std::errc{} && b.ptr == end &&
           first <= last;
}

int main_of(int argc, char** argv) {
    CLI::App app{"Plays whole Framegrid networks on virtual time, breaks them, and checks what comes out."};
    Options options;
    app.add_option("--seed", options.run.seed, "seed of one run")->capture_default_str();
    app.add_option("--seeds", options.seeds, "a range of seeds, A..B");
    app.add_option("--nodes", options.run.nodes, "gateways, orchestrators and workers together")
        ->capture_default_str();
    app.add_option("--jobs", options.run.jobs, "segments and AI requests")->capture_default_str();
    app.add_flag("--json", options.json, "one JSON object per run");
    app.add_flag(
        "--canary", options.canary, "plays bugs on purpose; every one must be caught (exit status 1)"
    );
    app.add_flag("--repeat", options.repeat, "plays each seed twice and compares the traces");
    app.add_flag("--verbose", options.run.verbose, "the roles' logs and every crash on stderr");
    CLI11_PARSE(app, argc, argv);
    if (options.canary) {
        return play_canaries(options);
    }
    std::uint64_t first = options.run.seed;
    std::uint64_t last = first;
    if (!options.seeds.empty() && !parse_range(options.seeds, first, last)) {
        fmt::print(stderr, "--seeds wants A..B\n");
        return 2;
    }
    std::uint64_t failed = 0;
    for (std::uint64_t seed = first; seed <= last; ++seed) {
        failed += play(options, seed, first == last) ? 0 : 1;
    }
    if (first != last && !options.json) {
        fmt::print("{} seeds, {} failed\n", last - first + 1, failed);
    }
    return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace framegrid::sim

int main(int argc, char** argv) {
    return framegrid::sim::main_of(argc, argv);
}
