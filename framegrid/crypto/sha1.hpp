// SHA-1, for protocols that ask for it; it proves nothing against somebody who means harm.
#pragma once

#include <framegrid/base/bytes.hpp>

namespace framegrid::crypto {

Bytes sha1(BytesView data);  // 20 bytes

}  // namespace framegrid::crypto
