// How often those who wait for something else look at their stop flag.
#pragma once

#include <chrono>

namespace framegrid::engine {

inline constexpr auto kStopPeriod = std::chrono::milliseconds(20);  // a flag cannot wake anybody

}  // namespace framegrid::engine
