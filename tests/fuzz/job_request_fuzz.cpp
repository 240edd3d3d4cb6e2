// What clients of /v1 write: job documents, ranges, queries, addresses. Never a crash; a document that was
// read can be written and read again; a range lies within its file.
#include <cstddef>
#include <cstdint>

#include <framegrid/http/public_address.hpp>
#include <framegrid/job/document.hpp>
#include <framegrid/rest/byte_range.hpp>
#include <framegrid/rest/request_text.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace framegrid;
    if (size == 0) {
        return 0;
    }
    const std::string_view text = as_text({data + 1, size - 1});
    switch (data[0] % 4) {
        case 0:
            if (const auto document = job::parse_document(text)) {
                const auto again = job::parse_document(job::to_json(*document));
                FG_ASSERT(again.has_value() && job::to_json(*again) == job::to_json(*document));
            }
            break;
        case 1: {
            const std::uint64_t bytes = size * 7;
            if (const auto range = rest::parse_range(text, bytes)) {
                FG_ASSERT(range->offset <= bytes && range->bytes <= bytes - range->offset);
            }
            break;
        }
        case 2:
            (void)http::is_public_address(text);
            (void)job::input_kind(text);
            break;
        default:
            for (const auto& [name, value] : rest::query_of(text)) {
                FG_ASSERT(!name.empty() && value.size() <= text.size());
            }
    }
    return 0;
}
