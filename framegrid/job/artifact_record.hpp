// What is known of a stored file besides its bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace framegrid::job {

// The content type of a list of files with paths, as playlists with their segments are: {"files":[{"path",
// "artifact","bytes","content_type","sha256"}]}. Nothing that is uploaded is taken for one.
inline constexpr std::string_view kFolderType = "application/vnd.framegrid.folder+json";

// Several records may name the same bytes: whoever uploads or makes them again gets a record of their own.
struct ArtifactRecord {
    std::string id;      // "art_" and 26 letters and digits that sort by time
    std::string owner;   // the API key's id; empty: no authentication
    std::string digest;  // SHA-256 of the bytes, hex
    std::uint64_t bytes = 0;
    std::string content_type;  // as recognised from the content
    std::string name;          // a file name for downloads; may be empty
    std::string job_id;        // the job that made it; empty: uploaded
    std::int64_t created_unix_ms = 0;
    std::int64_t expires_unix_ms = 0;
    friend bool operator==(const ArtifactRecord&, const ArtifactRecord&) = default;
};

}  // namespace framegrid::job
