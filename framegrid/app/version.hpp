// The version that --version, /status and capability advertisements show.
#pragma once

#include <string>

namespace framegrid::app {
std::string version_text();
}
