#include <framegrid/app/local_network.hpp>

#include <csignal>
#include <cstdlib>

#include <fmt/format.h>

#include <framegrid/app/local_payments.hpp>
#include <framegrid/host/loop.hpp>
#include <framegrid/host/process.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::app {

namespace {

constexpr std::string_view kReady = "ready ";
constexpr Duration kStopGrace = std::chrono::seconds(5);
constexpr Duration kRestartPauseMin = std::chrono::milliseconds(250);
constexpr Duration kRestartPauseMax = std::chrono::seconds(10);

struct Child {
    std::string name;
    std::vector<std::string> args;  // of the framegrid binary
    host::Path log_file;
    std::string uri;
    std::optional<host::ChildProcess> process;
    int restarts = 0;
    std::string last_exit;
};

class Network final : public LocalNetwork {
  public:
    Network(Executor executor, Clock& clock, Random& random, Logger log, LocalNetworkSettings settings)
        : executor_(executor),
          clock_(clock),
          random_(random),
          log_(std::move(log)),
          settings_(std::move(settings)),
          secret_(random.hex(16)),
          watchers_(executor, 4096, log_) {}

    Task<Result<bool>> start_all();
    std::string gateway_url() const override { return gateway_->uri; }
    std::vector<ChildView> children() const override;
    Task<Result<std::vector<LocalBalance>>> balances() override {
        if (payments_) {
            co_return co_await payments_->balances();
        }
        co_return std::vector<LocalBalance>();
    }
    bool signal_child(const std::string& name, int number) override;
    Task<void> stop() override;

  private:
    Child& add(std::string name, std::vector<std::string> args);
    Task<Result<bool>> launch(Child& child);
    Task<Result<bool>> read_ready(Child& child);
    Task<Result<bool>> launch_workers();
    Task<Result<bool>> prepare_payments();
    host::Path data_dir() const {
        return settings_.data_dir.empty() ? settings_.log_dir / "data" : settings_.data_dir;
    }
    std::vector<std::string> orchestrator_args(const std::string& name, const std::string& listen) const;
    Task<void> watch(Child& child);
    Task<Result<bool>> ended(Child& child);
    int tasks_per_worker() const;

    Executor executor_;
    Clock& clock_;
    Random& random_;
    Logger log_;
    LocalNetworkSettings settings_;
    std::string secret_;
    std::string program_;
    std::vector<std::unique_ptr<Child>> children_;
    Child* gateway_ = nullptr;
    std::unique_ptr<LocalPayments> payments_;  // null: nothing is paid
    bool stopping_ = false;
    TaskGroup watchers_;
};

Child& Network::add(std::string name, std::vector<std::string> args) {
    auto child = std::make_unique<Child>();
    child->log_file = settings_.log_dir / (name + ".log");
    child->name = std::move(name);
    child->args = std::move(args);
    children_.push_back(std::move(child));
    return *children_.back();
}

int Network::tasks_per_worker() const {
    if (settings_.tasks_per_worker > 0) {
        return settings_.tasks_per_worker;
    }
    // One more than cores in all: while one task's data travels, another keeps its core busy.
    const int tasks = static_cast<int>(host::cpu_count()) + 1;
    const int workers = std::max(1, settings_.workers);
    return (tasks + workers - 1) / workers;
}

Task<Result<bool>> Network::start_all() {
    auto program = host::executable_path();
    if (!program) {
        co_return fail(std::move(program.error()));
    }
    program_ = program->string();
    if (auto made = host::make_dirs(settings_.log_dir); !made) {
        co_return fail(std::move(made.error()));
    }
    auto prepared = co_await prepare_payments();
    if (!prepared) {
        co_return fail(std::move(prepared.error()));
    }
    std::vector<Task<Result<bool>>> launches;
    for (int i = 1; i <= settings_.orchestrators; ++i) {
        const std::string name = fmt::format("orchestrator-{}", i);
        launches.push_back(launch(add(name, orchestrator_args(name, "127.0.0.1:0"))));
    }
    auto orchestrators = co_await all_of(std::move(launches));
    for (auto& launched : orchestrators) {
        if (!launched) {
            co_return fail(std::move(launched.error()));
        }
    }
    std::string uris;
    for (const auto& child : children_) {
        uris += (uris.empty() ? "" : ",") + child->uri;
        // A restarted orchestrator must be found where it was.
        child->args = orchestrator_args(child->name, child->uri.substr(child->uri.find("//") + 2));
    }
    std::vector<std::string> args{
        "gateway", "--listen", fmt::format("127.0.0.1:{}", settings_.gateway_port), "--orchestrators", uris
    };
    args.insert(args.end(), {"--data", data_dir().string()});
    if (payments_) {
        const auto paying = payments_->arguments("gateway");
        args.insert(args.end(), paying.begin(), paying.end());
    }
    args.insert(args.end(), settings_.gateway_args.begin(), settings_.gateway_args.end());
    gateway_ = &add("gateway", std::move(args));
    // The gateway comes last: its first look at the orchestrators then finds their workers.
    auto workers = co_await launch_workers();
    if (!workers) {
        co_return fail(std::move(workers.error()));
    }
    auto gateway = co_await launch(*gateway_);
    if (!gateway) {
        co_return fail(std::move(gateway.error()));
    }
    gateway_->args[2] = gateway_->uri.substr(gateway_->uri.find("//") + 2);
    if (settings_.restart) {
        for (const auto& child : children_) {
            watchers_.spawn(watch(*child));
        }
    }
    co_return true;
}

Task<Result<bool>> Network::prepare_payments() {
    if (settings_.ledger == kNoLedger) {
        co_return true;
    }
    LocalPaymentsSettings settings;
    settings.directory = data_dir() / "payments";
    settings.ledger = settings_.ledger;
    settings.round_ms = settings_.ledger_round_ms;
    settings.price_wei = settings_.price_wei;
    settings.orchestrators = settings_.orchestrators;
    auto payments = co_await LocalPayments::prepare(std::move(settings), clock_, random_);
    if (!payments) {
        co_return fail(std::move(payments.error()));
    }
    payments_ = std::move(*payments);
    co_return true;
}

std::vector<std::string> Network::orchestrator_args(const std::string& name, const std::string& listen)
    const {
    std::vector<std::string> out{"orchestrator", "--listen", listen};
    if (payments_) {
        for (auto& argument : payments_->arguments(name)) {
            out.push_back(std::move(argument));
        }
    }
    return out;
}

Task<Result<bool>> Network::launch_workers() {
    std::vector<std::string> uris;
    for (const auto& child : children_) {
        if (child->name.starts_with("orchestrator")) {
            uris.push_back(child->uri);
        }
    }
    std::vector<Task<Result<bool>>> launches;
    for (int i = 1; i <= settings_.workers; ++i) {
        // Each worker has its own orchestrator first and the others to fall back to.
        std::string order;
        for (std::size_t k = 0; k < uris.size(); ++k) {
            order += (k == 0 ? "" : ",") + uris[(static_cast<std::size_t>(i - 1) + k) % uris.size()];
        }
        std::vector<std::string> args{
            "worker", "--orchestrators", order, "--capacity", std::to_string(tasks_per_worker())
        };
        args.insert(args.end(), settings_.worker_args.begin(), settings_.worker_args.end());
        launches.push_back(launch(add(fmt::format("worker-{}", i), std::move(args))));
    }
    auto workers = co_await all_of(std::move(launches));
    for (auto& launched : workers) {
        if (!launched) {
            co_return fail(std::move(launched.error()));
        }
    }
    co_return true;
}

Task<Result<bool>> Network::launch(Child& child) {
    host::SpawnOptions options;
    options.argv = {program_, "--log-level", settings_.child_log_level, "--log-format", settings_.log_format};
    options.argv.insert(options.argv.end(), child.args.begin(), child.args.end());
    // All stop together: running jobs could not go on anyway.
    options.argv.insert(options.argv.end(), {"--drain-seconds", "0"});
    // Through the environment, so that it shows in no process list.
    std::vector<std::string> env{"FRAMEGRID_SECRET=" + secret_};
    for (const char* name :
         {"PATH", "HOME", "TMPDIR", "LANG", "FRAMEGRID_MODELS", "FRAMEGRID_HW", "FRAMEGRID_PROVIDER",
          "FRAMEGRID_ONNXRUNTIME", "CUDA_VISIBLE_DEVICES", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS",
          "LD_LIBRARY_PATH", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"}) {
        if (const char* value = std::getenv(name)) {
            env.push_back(std::string(name) + "=" + value);
        }
    }
    if (&child == gateway_ && !settings_.store.empty()) {
        env.push_back("FRAMEGRID_STORE=" + settings_.store);
    }
    options.env = std::move(env);
    options.out.kind = host::Output::Kind::kPipe;
    options.err.kind = host::Output::Kind::kFile;
    options.err.file = child.log_file;
    auto process = host::ChildProcess::start(executor_, std::move(options));
    if (!process) {
        co_return fail(std::move(process.error()));
    }
    child.process.emplace(std::move(*process));
    auto ready = co_await with_deadline<bool>(
        clock_, Deadline::after(clock_, settings_.start_time_max), read_ready(child)
    );
    if (!ready) {
        const auto status = child.process->poll();
        co_return fail(make_error(
            Errc::kUnavailable,
            fmt::format(
                "{} did not start ({}); its log is {}", child.name,
                status ? status->describe() : ready.error().message, child.log_file.string()
            )
        ));
    }
    co_return true;
}

Task<Result<bool>> Network::read_ready(Child& child) {
    for (;;) {
        auto line = co_await child.process->out()->next();
        if (!line) {
            co_return fail(Errc::kUnavailable, "ended before it was ready");
        }
        if (line->starts_with(kReady)) {
            child.uri = line->substr(kReady.size());
            co_return true;
        }
    }
}

Task<void> Network::watch(Child& child) {
    Duration pause = kRestartPauseMin;
    for (;;) {
        const TimePoint started = clock_.now();
        const auto status = co_await child.process->wait();
        if (stopping_) {
            co_return;
        }
        child.last_exit = status.describe();
        log_.warn("up.child_ended", {{"child", child.name}, {"how", child.last_exit}});
        pause = clock_.now() - started > kRestartPauseMax ? kRestartPauseMin
                                                          : std::min(pause * 2, kRestartPauseMax);
        co_await sleep_for(clock_, pause);
        ++child.restarts;
        const std::string uri = child.uri;
        auto launched = co_await launch(child);
        if (!launched) {
            child.uri = uri;
            log_.warn("up.restart_failed", {{"child", child.name}, {"error", launched.error().message}});
        }
    }
}

std::vector<ChildView> Network::children() const {
    std::vector<ChildView> out;
    for (const auto& child : children_) {
        const bool running = child->process && !child->process->poll();
        const bool worker = child->name.starts_with("worker");
        out.push_back(
            {child->name, worker ? "" : child->uri, child->process ? child->process->pid() : 0, running,
             child->restarts, child->last_exit}
        );
    }
    return out;
}

bool Network::signal_child(const std::string& name, int number) {
    for (const auto& child : children_) {
        if (child->name == name && child->process && !child->process->poll()) {
            child->process->signal(number);
            return true;
        }
    }
    return false;
}

Task<Result<bool>> Network::ended(Child& child) {
    (void)co_await child.process->wait();
    co_return true;
}

Task<void> Network::stop() {
    stopping_ = true;
    co_await watchers_.close();
    std::vector<Task<Result<bool>>> waits;
    for (const auto& child : children_) {
        if (child->process) {
            child->process->signal(SIGTERM);
            waits.push_back(with_deadline<bool>(clock_, Deadline::after(clock_, kStopGrace), ended(*child)));
        }
    }
    (void)co_await all_of(std::move(waits));
    children_.clear();  // kills what is left
    gateway_ = nullptr;
}

}  // namespace

Task<Result<std::unique_ptr<LocalNetwork>>> LocalNetwork::start(
    Executor executor, Clock& clock, Random& random, Logger log, LocalNetworkSettings settings
) {
    auto network = std::make_unique<Network>(executor, clock, random, std::move(log), std::move(settings));
    auto started = co_await network->start_all();
    if (!started) {
        co_await network->stop();
        co_return fail(std::move(started.error()));
    }
    co_return std::unique_ptr<LocalNetwork>(std::move(network));
}

std::string ready_line(const std::string& what) {
    return std::string(kReady) + what;
}

}  // namespace framegrid::app
