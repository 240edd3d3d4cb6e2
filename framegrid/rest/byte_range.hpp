// The Range header of a request (RFC 9110 section 14).
#pragma once

#include <cstdint>
#include <string_view>

#include <framegrid/base/result.hpp>

namespace framegrid::rest {

struct ByteRange {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    bool is_part = false;  // answered with 206
    friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

// What of `size` bytes a header asks for. Headers that are no single byte range are ignored, as the RFC
// allows: everything is sent. kInvalidArgument (416): nothing of it is there.
Result<ByteRange> parse_range(std::string_view header, std::uint64_t size);

}  // namespace framegrid::rest
