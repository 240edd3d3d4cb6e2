// What is wrong with a configuration file.
#pragma once

#include <string>
#include <vector>

#include <framegrid/workflow/problem.hpp>

namespace framegrid::app {

// Every unknown option and wrong value, by line; a file that cannot be read is one problem.
std::vector<workflow::Problem> config_problems(const std::string& file);

}  // namespace framegrid::app
