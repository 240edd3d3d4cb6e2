// The program: parses the command line and runs what it says.
#include <algorithm>
#include <cstdio>

#include <framegrid/app/commands.hpp>
#include <framegrid/app/version.hpp>
#include <framegrid/host/signals.hpp>
#include <framegrid/host/small_blocks.hpp>
#include <framegrid/wire/protobuf_log.hpp>

namespace {

bool is_node(const std::string& argument) {
    return argument == "gateway" || argument == "orchestrator";
}

}  // namespace

int main(int argc, char** argv) {
    using namespace framegrid;
    app::CommonOptions common;
    common.arguments.assign(argv + std::min(argc, 1), argv + argc);
    if (std::ranges::any_of(common.arguments, is_node)) {
        host::keep_small_blocks(common.arguments);
    }
    app::Run run;
    CLI::App cli{"framegrid - an open network for video and AI-media compute"};
    cli.name("framegrid");
    cli.set_version_flag("--version", app::version_text());
    app::add_common_options(cli, common);
    cli.footer(
        "Examples:\n"
        "  framegrid up                                          a whole local network, until Ctrl-C\n"
        "  framegrid transcode in.mp4 -o out --profiles P720p30fps16x9,P360p30fps16x9\n"
        "  framegrid upscale photo.jpg -o photo-2x.png --scale 2\n"
        "  framegrid text-to-video \"a red ball rolls left over blue\" -o ball.mp4\n"
        "  framegrid COMMAND --help                              options and examples of a command"
    );
    app::add_all_commands(cli, common, run);
    try {
        cli.parse(argc, argv);
    } catch (const CLI::ConfigError& error) {
        (void)cli.exit(error);
        std::fputs("The configuration file is wrong: framegrid config check FILE says where.\n", stderr);
        return app::kExitUsage;
    } catch (const CLI::ParseError& error) {
        const int code = cli.exit(error);
        return code == 0 ? app::kExitOk : app::kExitUsage;
    }
    host::ignore_broken_pipes();
    wire::silence_protobuf();
    return run();
}
