// Text that comes from outside.
#pragma once

#include <string>
#include <string_view>

namespace framegrid {

// `text` with every byte that is not part of valid UTF-8 replaced by '?'.
std::string valid_utf8(std::string_view text);

}  // namespace framegrid
