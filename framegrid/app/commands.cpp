#include <framegrid/app/commands.hpp>

#include <framegrid/app/signer.hpp>

namespace framegrid::app {

void add_common_options(CLI::App& app, CommonOptions& common) {
    app.set_config("--config", "", "TOML file with options; sections are named after the subcommands")
        ->envname("FRAMEGRID_CONFIG");
    // An option that is misspelt would silently have no effect.
    app.allow_config_extras(CLI::config_extras_mode::error);
    app.add_option("--log-level", common.log_level, "debug, info, warn, error or off")
        ->envname("FRAMEGRID_LOG_LEVEL")
        ->capture_default_str();
    app.add_option("--log-format", common.log_format, "text or json")
        ->envname("FRAMEGRID_LOG_FORMAT")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    app.add_flag("--json", common.json, "print results as JSON");
    app.require_subcommand(1);
    app.fallthrough();
}

void add_all_commands(CLI::App& app, const CommonOptions& common, Run& run) {
    add_up_command(app, common, run);
    add_transcode_command(app, common, run);
    add_upscale_command(app, common, run);
    add_generate_commands(app, common, run);
    add_gateway_command(app, common, run);
    add_orchestrator_command(app, common, run);
    add_worker_command(app, common, run);
    add_status_command(app, common, run);
    add_models_command(app, common, run);
    add_key_command(app, common, run);
    add_run_command(app, common, run);
    add_quote_command(app, common, run);
    add_jobs_command(app, common, run);
    add_keys_command(app, common, run);
    add_account_command(app, common, run);
    add_workflow_command(app, common, run);
    add_config_command(app, common, run);
    add_doctor_command(app, common, run);
    add_signer_command(app, common, run);
    add_demo_command(app, common, run);
    add_executor_command(app, common, run);
}

Result<void> parse_arguments(CLI::App& app, const std::vector<std::string>& arguments) {
    try {
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::RequiredError& error) {
        return fail(Errc::kInvalidArgument, error.what(), kRequired);
    } catch (const CLI::ParseError& error) {
        return fail(Errc::kInvalidArgument, error.what());
    }
    return {};
}

}  // namespace framegrid::app
