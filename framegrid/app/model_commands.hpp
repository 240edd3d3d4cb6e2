// Private: what the subcommands of `framegrid model` share.
#pragma once

#include <framegrid/app/commands.hpp>
#include <framegrid/engine/manifest.hpp>
#include <framegrid/host/files.hpp>

namespace framegrid::app {

// Where new models go: the first directory of the option, else this user's own.
host::Path install_root(const std::string& option);
void print_installed(
    const CommonOptions& common, const engine::ModelManifest& manifest, const host::Path& root
);

// Stores the networks of a model that was just installed as they are once optimised; says on standard error
// why not. The last thing that a process does: it gives up sockets and other programs for it.
void optimize_installed(const host::Path& root, const std::string& id);

void add_optimize_command(CLI::App& model, const CommonOptions& common, Run& run);
void add_pull_command(CLI::App& model, const CommonOptions& common, Run& run);
void add_bench_command(CLI::App& model, const CommonOptions& common, Run& run);

}  // namespace framegrid::app
