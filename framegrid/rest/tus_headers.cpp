#include <framegrid/rest/tus_headers.hpp>

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/http/text.hpp>

namespace framegrid::rest {

namespace {

constexpr std::size_t kMetadataBytesMax = 4'096;
constexpr std::size_t kSha1Bytes = 20;
constexpr std::size_t kSha256Bytes = 32;

std::unexpected<Error> wrong_metadata() {
    return fail(
        Errc::kInvalidArgument,
        "Upload-Metadata is a list of names with base64: 'filename Y2F0LnBuZw==,draft'", "upload-metadata"
    );
}

bool is_name(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

Result<std::uint64_t> parse_tus_number(std::string_view text, std::string_view field) {
    std::uint64_t out = 0;
    const auto* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, out);
    // Below 2^63: a file's size everywhere else.
    if (text.empty() || error != std::errc() || at != end || out > std::uint64_t{INT64_MAX}) {
        return fail(
            Errc::kInvalidArgument, fmt::format("{} must be a number of bytes", field), std::string(field)
        );
    }
    return out;
}

Result<std::vector<TusMetadata>> parse_tus_metadata(std::string_view header) {
    if (header.size() > kMetadataBytesMax) {
        return fail(
            Errc::kTooLarge, fmt::format("Upload-Metadata has at most {} bytes", kMetadataBytesMax),
            "upload-metadata"
        );
    }
    std::vector<TusMetadata> out;
    while (!header.empty()) {
        const auto comma = std::min(header.find(','), header.size());
        const auto pair = http::trim(header.substr(0, comma));
        header.remove_prefix(std::min(comma + 1, header.size()));
        const auto space = std::min(pair.find(' '), pair.size());
        const auto name = pair.substr(0, space);
        const auto value = crypto::parse_base64(http::trim(pair.substr(space)));
        const bool known =
            std::ranges::any_of(out, [name](const TusMetadata& one) { return one.name == name; });
        if (!is_name(name) || !value || known) {
            return wrong_metadata();
        }
        out.push_back({std::string(name), std::string(as_text(*value))});
    }
    return out;
}

Result<TusChecksum> parse_tus_checksum(std::string_view header) {
    const auto space = std::min(header.find(' '), header.size());
    const auto name = header.substr(0, space);
    TusChecksum out;
    if (name == "sha256") {
        out.hash = TusHash::kSha256;
    } else if (name != "sha1") {
        return fail(
            Errc::kInvalidArgument, "Upload-Checksum can be of " + std::string(kTusChecksums),
            "upload-checksum"
        );
    }
    const auto digest = crypto::parse_base64(http::trim(header.substr(space)));
    if (!digest || digest->size() != (out.hash == TusHash::kSha1 ? kSha1Bytes : kSha256Bytes)) {
        return fail(
            Errc::kInvalidArgument, "Upload-Checksum is an algorithm and a base64 digest", "upload-checksum"
        );
    }
    out.digest = as_text(*digest);
    return out;
}

}  // namespace framegrid::rest
