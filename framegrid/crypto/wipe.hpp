// Overwrites secrets that are not needed any more.
#pragma once

#include <string>

#include <framegrid/base/bytes.hpp>

namespace framegrid::crypto {

// The compiler may not leave it out. Copies that were made elsewhere are not found.
void wipe(std::string& secret);
void wipe(Bytes& secret);

}  // namespace framegrid::crypto
