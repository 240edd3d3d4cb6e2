#include <framegrid/crypto/segment_signature.hpp>

namespace framegrid::crypto {

namespace {

void append(Bytes& to, BytesView bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}

}  // namespace

Bytes flatten_segment(
    std::string_view manifest_id, std::int64_t seq, const Hash32& media_hash,
    const std::vector<std::string>& profile_names
) {
    Bytes flat;
    flat.reserve(manifest_id.size() + 64 + 8 * profile_names.size());
    append(flat, as_bytes(manifest_id));
    append(flat, pad32(static_cast<std::uint64_t>(seq)));
    append(flat, media_hash);
    for (const auto& name : profile_names) {
        append(flat, as_bytes(hex(BytesView(keccak256(as_bytes(name))).first(4))));
    }
    return flat;
}

Hash32 segment_message(
    std::string_view manifest_id, std::int64_t seq, const Hash32& media_hash,
    const std::vector<std::string>& profile_names
) {
    return keccak256(flatten_segment(manifest_id, seq, media_hash, profile_names));
}

Hash32 info_request_message(const Address& gateway) {
    return keccak256(as_bytes(checksum_address(gateway)));
}

Hash32 transcode_message(const std::vector<Hash32>& rendition_hashes) {
    Bytes all;
    all.reserve(rendition_hashes.size() * 32);
    for (const auto& hash : rendition_hashes) {
        append(all, hash);
    }
    return keccak256(all);
}

Hash32 auth_token(BytesView secret, std::string_view session_id, std::int64_t expires_unix_s) {
    Bytes text = to_bytes(session_id);
    append(text, big_endian(static_cast<std::uint64_t>(expires_unix_s)));
    return hmac_sha256(secret, text);
}

}  // namespace framegrid::crypto
