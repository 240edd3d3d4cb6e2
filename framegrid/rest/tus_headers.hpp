// Headers of the tus protocol 1.0 (https://tus.io/protocols/resumable-upload). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/http/message.hpp>

namespace framegrid::rest {

inline constexpr std::string_view kTusVersion = "1.0.0";
inline constexpr std::string_view kTusExtensions =
    "creation,creation-with-upload,termination,expiration,checksum";
inline constexpr std::string_view kTusChecksums = "sha1,sha256";
inline constexpr std::string_view kTusBody = "application/offset+octet-stream";

// Upload-Length and Upload-Offset: digits. kInvalidArgument names `field`.
Result<std::uint64_t> parse_tus_number(std::string_view text, std::string_view field);

struct TusMetadata {
    std::string name;
    std::string value;  // decoded: any bytes
};
// Upload-Metadata: "name dmFsdWU=,flag". kInvalidArgument: not that form, a name twice; kTooLarge.
Result<std::vector<TusMetadata>> parse_tus_metadata(std::string_view header);

enum class TusHash : std::uint8_t { kSha1, kSha256 };
struct TusChecksum {
    TusHash hash = TusHash::kSha1;
    std::string digest;  // raw bytes
};
// Upload-Checksum: "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=". kInvalidArgument.
Result<TusChecksum> parse_tus_checksum(std::string_view header);

}  // namespace framegrid::rest
