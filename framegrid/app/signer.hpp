// `framegrid signer`.
#pragma once

#include <framegrid/app/commands.hpp>

namespace framegrid::app {

void add_signer_command(CLI::App& app, const CommonOptions& common, Run& run);

}  // namespace framegrid::app
