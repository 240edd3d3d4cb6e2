// What a hub says about a repository (GET /api/models/{id}/revision/{revision}?blobs=true).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/result.hpp>

namespace framegrid::hub {

struct ListedFile {
    std::string path;
    std::int64_t bytes = 0;
    std::string sha256;  // hex, of files in large file storage; else empty
    std::string git_id;  // hex SHA-1 of the blob as git stores it; empty: not told
};

struct Listing {
    std::string revision;  // the commit, hex
    std::vector<ListedFile> files;
};

inline constexpr std::size_t kListingBytesMax = 8u << 20;

// kProtocol: not such an answer. Files whose path is absolute, hidden or leaves the directory are dropped.
Result<Listing> parse_listing(std::string_view json);

// What a pipeline needs of a repository: the networks and configurations of a diffusers export, or one ONNX
// file (engine::choose_network) with the weights and configurations beside it. kUnsupported with what was
// looked for when there is nothing.
Result<std::vector<ListedFile>> choose_files(const Listing& listing);

}  // namespace framegrid::hub
