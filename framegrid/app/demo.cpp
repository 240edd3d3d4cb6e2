#include <framegrid/app/commands.hpp>
namespace framegrid::app { void add_demo_command(CLI::App&, const CommonOptions&, Run&) {} }
