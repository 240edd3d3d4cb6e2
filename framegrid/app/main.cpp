
#include <framegrid/app/commands.hpp>
#include <framegrid/app/version.hpp>
#include <framegrid/host/signals.hpp>

int main(int argc, char** argv) {
    using namespace framegrid;
    app::CommonOptions common;
    app::Run run;
    CLI::App cli{"framegrid - an open network for video and AI-media compute"};
    cli.name("framegrid");
    cli.set_version_flag("--version", app::version_text());
    cli.set_config("--config", "", "TOML file with options; sections are named after the subcommands")
        ->envname("FRAMEGRID_CONFIG");
    cli.add_option("--log-level", common.log_level, "debug, info, warn, error or off")
        ->envname("FRAMEGRID_LOG_LEVEL")
        ->capture_default_str();
    cli.add_option("--log-format", common.log_format, "text or json")
        ->envname("FRAMEGRID_LOG_FORMAT")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    cli.add_flag("--json", common.json, "print results as JSON");
    cli.require_subcommand(1);
    cli.fallthrough();
    cli.footer(
        "Examples:\n"
        "  framegrid up                                          a whole local network, until Ctrl-C\n"
        "  framegrid transcode in.mp4 -o out --profiles P720p30fps16x9,P360p30fps16x9\n"
        "  framegrid upscale photo.jpg -o photo-2x.png --scale 2\n"
        "  framegrid text-to-video \"a red ball rolls left over blue\" -o ball.mp4\n"
        "  framegrid COMMAND --help                              options and examples of a command"
    );
    app::add_up_command(cli, common, run);
    app::add_transcode_command(cli, common, run);
    app::add_upscale_command(cli, common, run);
    app::add_generate_commands(cli, common, run);
    app::add_gateway_command(cli, common, run);
    app::add_orchestrator_command(cli, common, run);
    app::add_worker_command(cli, common, run);
    app::add_status_command(cli, common, run);
    app::add_models_command(cli, common, run);
    app::add_key_command(cli, common, run);
    app::add_run_command(cli, common, run);
    app::add_keys_command(cli, common, run);
    app::add_workflow_command(cli, common, run);
    app::add_demo_command(cli, common, run);
    app::add_executor_command(cli, common, run);
    try {
        cli.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const int code = cli.exit(error);
        return code == 0 ? app::kExitOk : app::kExitUsage;
    }
    host::ignore_broken_pipes();
    return run();
}
