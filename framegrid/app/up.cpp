// `framegrid up`: a whole local network as child processes, with a status that a person can read.
#include <framegrid/app/commands.hpp>

#include <cstdio>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/app/gateway_jobs.hpp>
#include <framegrid/app/session.hpp>
#include <framegrid/app/stores.hpp>
#include <framegrid/host/terminal.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::app {

namespace {

struct UpOptions {
    LocalNetworkSettings network;
    bool no_restart = false;
    std::string log_dir;
    std::string data;
    std::vector<std::string> default_models;
};

// Draws the table in place on a terminal; elsewhere prints a line only when something has changed.
class StatusView {
  public:
    StatusView() : terminal_(host::is_terminal(1)), colours_{host::has_colours(1)} {}

    void show(const std::string& gateway, const std::vector<ChildView>& children, const std::string& jobs) {
        std::string table;
        int lines = 0;
        const auto line = [&](const std::string& text) {
            table += text + (terminal_ ? "\033[K\n" : "\n");
            ++lines;
        };
        line(fmt::format("{}  {}", colours_.bold("framegrid"), gateway));
        for (const auto& child : children) {
            const std::string state = child.running ? colours_.green("up  ") : colours_.red("down");
            std::string note = child.restarts > 0 ? fmt::format("  restarts {}", child.restarts) : "";
            note += child.last_exit.empty() ? "" : " (" + child.last_exit + ")";
            line(fmt::format("  {}  {:<16} pid {:<8} {}{}", state, child.name, child.pid, child.uri, note));
        }
        line("  " + jobs);
        if (!terminal_) {
            if (table != last_) {
                std::fputs(table.c_str(), stdout);
                std::fflush(stdout);
            }
            last_ = table;
            return;
        }
        if (drawn_ > 0) {
            std::printf("\033[%dA", drawn_);
        }
        std::fputs(table.c_str(), stdout);
        std::fflush(stdout);
        drawn_ = lines;
    }

  private:
    bool terminal_;
    host::Colours colours_;
    int drawn_ = 0;
    std::string last_;
};

// One line about jobs from the gateway's /status, or what is wrong with it.
Task<std::string> jobs_line(Session& session, std::string gateway) {
    http::Request request;
    auto url = http::parse_url(gateway + "/status");
    if (!url) {
        co_return "jobs  unknown";
    }
    request.url = std::move(*url);
    const Deadline deadline = Deadline::after(session.clock, std::chrono::seconds(1));
    auto fetched = co_await session.client.fetch(std::move(request), 4u << 20, deadline);
    if (!fetched || fetched->status != 200) {
        co_return "jobs  the gateway does not answer";
    }
    boost::system::error_code bad;
    const auto status = boost::json::parse(fetched->body.text(), bad);
    if (bad || !status.is_object()) {
        co_return "jobs  unreadable status";
    }
    const auto number = [&](const char* name) -> std::int64_t {
        const auto* jobs = status.as_object().if_contains("jobs");
        const auto* value =
            jobs != nullptr && jobs->is_object() ? jobs->as_object().if_contains(name) : nullptr;
        return value != nullptr && value->is_number() ? value->to_number<std::int64_t>() : 0;
    };
    co_return fmt::format(
        "jobs  {} running, {} done, {} failed, {} retried", number("in_flight"), number("done"),
        number("failed"), number("retries")
    );
}

Task<Result<int>> up(Session& session, UpOptions options) {
    options.network.data_dir =
        options.data.empty() ? host::data_dir() / "up" : host::expand_home(options.data);
    if (options.log_dir.empty()) {
        options.network.log_dir = host::state_dir() / "logs";
    } else {
        options.network.log_dir = options.log_dir;
    }
    options.network.restart = !options.no_restart;
    for (const auto& text : options.default_models) {
        options.network.gateway_args.insert(options.network.gateway_args.end(), {"--default-model", text});
    }
    options.network.log_format = session.common.log_format;
    if (session.common.log_level == "debug") {
        options.network.child_log_level = "debug";
    }
    auto network = co_await LocalNetwork::start(
        session.loop.executor(), session.clock, session.random, session.log, options.network
    );
    if (!network) {
        co_return fail(std::move(network.error()));
    }
    const std::string gateway = (*network)->gateway_url();
    if (session.common.json) {
        boost::json::array children;
        for (const auto& child : (*network)->children()) {
            children.push_back(
                boost::json::object{{"name", child.name}, {"uri", child.uri}, {"pid", child.pid}}
            );
        }
        const boost::json::object ready{{"gateway", gateway}, {"children", std::move(children)}};
        std::printf("%s\n", boost::json::serialize(ready).c_str());
        std::fflush(stdout);
    } else {
        std::printf(
            "Ready. Try:  framegrid transcode FILE -o out   (logs: %s, Ctrl-C stops)\n",
            options.network.log_dir.c_str()
        );
    }
    // The signal cancels this task in its sleep; the network then stops its children in an orderly way.
    StatusView view;
    struct Loop {
        static Task<Result<bool>> show(Session& session, LocalNetwork& network, StatusView& view) {
            for (;;) {
                const std::string jobs = co_await jobs_line(session, network.gateway_url());
                if (!session.common.json) {
                    view.show(network.gateway_url(), network.children(), jobs);
                }
                co_await sleep_for(session.clock, std::chrono::seconds(1));
            }
        }
    };
    (void)co_await with_cleanup<bool>(Loop::show(session, **network, view), (*network)->stop());
    if (!session.common.json) {
        std::printf("\nstopped\n");
    }
    co_return kExitOk;
}

}  // namespace

void add_up_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<UpOptions>();
    options->network.gateway_port = 9935;
    options->network.ledger = "sqlite";
    auto* command = app.add_subcommand("up", "Start a whole local network and show its status until Ctrl-C");
    command->add_option("--orchestrators", options->network.orchestrators, "how many orchestrators")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    command
        ->add_option("--workers", options->network.workers, "how many workers, spread over the orchestrators")
        ->check(CLI::Range(1, 256))
        ->capture_default_str();
    command
        ->add_option(
            "--tasks-per-worker", options->network.tasks_per_worker, "tasks at once; 0: (cores + 1) / workers"
        )
        ->check(CLI::Range(0, 256))
        ->capture_default_str();
    command
        ->add_option(
            "--gateway-port", options->network.gateway_port, "the gateway's HTTP port; 0: any free one"
        )
        ->envname("FRAMEGRID_GATEWAY_PORT")
        ->capture_default_str();
    command->add_option(
        "--data", options->data, "directory of jobs and files; default: $XDG_DATA_HOME/framegrid/up"
    );
    add_store_option(*command, options->network.store);
    command
        ->add_option(
            "--ledger", options->network.ledger,
            "sqlite: jobs are paid with play money, in a file of the data directory; sqlite:FILE; none"
        )
        ->envname("FRAMEGRID_UP_LEDGER")
        ->capture_default_str();
    command->add_option("--price-per-unit", options->network.price_wei, "of the orchestrators, wei")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    command->add_option("--log-dir", options->log_dir, "where each process's log goes");
    command->add_flag("--no-restart", options->no_restart, "leave a process that ends by itself down");
    command->add_option(
        "--worker-arg", options->network.worker_args, "an argument for every worker (repeatable)"
    );
    add_default_model_option(*command, options->default_models);
    command->footer(
        "Examples:\n"
        "  framegrid up\n"
        "  framegrid up --orchestrators 2 --workers 4\n"
        "  framegrid up --json --gateway-port 0      one line of JSON with the addresses when ready"
    );
    command->callback([options, &common, &run] {
        run = [options, &common] {
            Session session(common, "up");
            return session.run([&] { return up(session, *options); });
        };
    });
}

}  // namespace framegrid::app
