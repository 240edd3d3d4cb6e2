// Whether an address is of this machine alone.
#pragma once

#include <string_view>

namespace framegrid::app {

inline bool is_loopback(std::string_view address) {
    return address.starts_with("127.") || address == "::1" || address == "localhost";
}

}  // namespace framegrid::app
