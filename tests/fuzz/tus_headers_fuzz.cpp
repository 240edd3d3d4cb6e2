// Headers of resumable uploads and the queries of signed URLs.
#include <framegrid/rest/signed_url.hpp>
#include <framegrid/rest/tus_headers.hpp>

#include <framegrid/crypto/hash.hpp>

using namespace framegrid;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto number = rest::parse_tus_number(text, "upload-length")) {
        const auto again = rest::parse_tus_number(std::to_string(*number), "upload-length");
        FG_ASSERT(again && *again == *number);
    }
    if (const auto metadata = rest::parse_tus_metadata(text)) {
        std::string again;
        for (const auto& one : *metadata) {
            again += (again.empty() ? "" : ",") + one.name + " " + crypto::base64(as_bytes(one.value));
        }
        const auto back = rest::parse_tus_metadata(again);
        FG_ASSERT(back ? back->size() == metadata->size() : back.error().code == Errc::kTooLarge);
    }
    (void)rest::parse_tus_checksum(text);
    const Bytes secret(32, 1);
    FG_ASSERT(!rest::check_signed_url(secret, "art_1", text, 0));
    return 0;
}
