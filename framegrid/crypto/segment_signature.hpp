// Byte strings that the network signs, and the auth token's MAC (protocol sections 3.2 and 5.8).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/crypto/keys.hpp>

namespace framegrid::crypto {

// flat(SegData) = manifest id || pad32(seq) || hash || hex(first 4 bytes of K(profile name)) for each
// profile.
Bytes flatten_segment(
    std::string_view manifest_id, std::int64_t seq, const Hash32& media_hash,
    const std::vector<std::string>& profile_names
);
// m of SegData.sig: K(flat).
Hash32 segment_message(
    std::string_view manifest_id, std::int64_t seq, const Hash32& media_hash,
    const std::vector<std::string>& profile_names
);
// m of OrchestratorRequest.sig: K(checksummed address text).
Hash32 info_request_message(const Address& gateway);
// m of TranscodeData.sig: K of the concatenated K(rendition).
Hash32 transcode_message(const std::vector<Hash32>& rendition_hashes);
// HMAC-SHA256(secret, session id || be(expiration)).
Hash32 auth_token(BytesView secret, std::string_view session_id, std::int64_t expires_unix_s);

}  // namespace framegrid::crypto
