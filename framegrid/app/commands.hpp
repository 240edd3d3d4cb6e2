// The subcommands of the framegrid binary. Each adds itself to the parser and says what to run when it is
// chosen.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

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
    bool json = false;  // results as JSON on standard output
};

// What the chosen command runs; set by its CLI callback.
using Run = std::function<int()>;

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
void add_keys_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_workflow_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_run_command(CLI::App& app, const CommonOptions& common, Run& run);
void add_demo_command(CLI::App& app, const CommonOptions& common, Run& run);

}  // namespace framegrid::app
