// The subcommands of the framegrid binary. Each adds itself to the parser and says what to run when it is
// chosen.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <framegrid/base/result.hpp>

namespace framegrid::app {

// Process exit codes.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

// Options that every command understands.
struct CommonOptions {
    std::string log_level = "warn";
    std::string log_format = "text";
    bool json = false;                     // results as JSON on standard output
    std::vector<std::string> arguments{};  // of the command line, without the program's name
};

// What the chosen command runs; set by its CLI callback.
using Run = std::function<int()>;

// --config, --log-level and so on.
void add_common_options(CLI::App& app, CommonOptions& common);
// Every subcommand.
void add_all_commands(CLI::App& app, const CommonOptions& common, Run& run);
// Parses `arguments`, and the configuration file and environment as they are now. kInvalidArgument with the
// parser's words; field kRequired: something that must be there is missing.
inline constexpr const char* kRequired = "required";
Result<void> parse_arguments(CLI::App& app, const std::vector<std::string>& arguments);

// The whole command line once more, to be asked about its options.
struct ScratchCli {
    CommonOptions common;
    Run run;
    CLI::App app;
    ScratchCli() {
        add_common_options(app, common);
        add_all_commands(app, common, run);
    }
};

void add_config_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_doctor_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_gateway_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_orchestrator_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_worker_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_executor_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_up_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_status_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_transcode_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_upscale_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_generate_commands(CLI::App& app, const CommonOptions& common, Run& run);
void add_models_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_key_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_account_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_keys_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_workflow_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_run_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_quote_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_jobs_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_demo_command(CLI::App& app, const CommonOptions& common, Run& run);

}  // namespace framegrid::app
