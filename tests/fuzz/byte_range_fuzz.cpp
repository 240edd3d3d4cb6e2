// Range headers, compared with what they may mean: a part that is inside of the file, or all of it.
#include <framegrid/rest/byte_range.hpp>

#include <cstring>

using namespace framegrid;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::uint64_t bytes = 0;
    if (size < sizeof bytes) {
        return 0;
    }
    std::memcpy(&bytes, data, sizeof bytes);
    const std::string_view header(reinterpret_cast<const char*>(data) + sizeof bytes, size - sizeof bytes);
    const auto range = rest::parse_range(header, bytes);
    if (range) {
        FG_ASSERT(range->offset <= bytes && range->bytes <= bytes - range->offset);
        FG_ASSERT(range->is_part ? range->bytes > 0 : range->offset == 0 && range->bytes == bytes);
        FG_ASSERT(!range->is_part || header.starts_with("bytes="));
    }
    return 0;
}
