// The machine's monotonic clock without a loop: for blocking code that only measures.
#pragma once

#include <framegrid/runtime/clock.hpp>

namespace framegrid::host {

// The same time line as SteadyClock::now(). From any thread.
TimePoint steady_now();

}  // namespace framegrid::host
