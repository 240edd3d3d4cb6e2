// Files from HTTP servers to disk.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include <framegrid/http/client.hpp>
#include <framegrid/hub/listing.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::hub {

struct DownloadPorts {
    http::Client& client;
    WorkPool& pool;  // writing and hashing
    Clock& clock;
};

struct Source {
    std::string url;
    std::string token;       // sent to this host only; empty: none
    std::int64_t bytes = 0;  // 0: not known
    std::string sha256;      // expected; empty: not known
    std::string git_id;      // expected, where there is no SHA-256
};

struct DownloadSettings {
    int attempts = 5;  // after a broken connection, each from where the last one ended
    Duration pause = std::chrono::milliseconds(500);  // doubling
    Duration stall_max = std::chrono::seconds(60);    // without a byte
    std::int64_t bytes_max = std::int64_t{64} << 30;
};

// Bytes of this file that are there now.
using DownloadProgress = std::function<void(std::int64_t bytes)>;

// Downloads to `path`, continuing what is there, and returns the SHA-256 of the whole in hex. kUnprocessable:
// size or digest differ (the file is removed); kNotFound, kUnauthorized, kForbidden as the server says;
// kUnavailable: every attempt failed; kTooLarge; kIo: the disk.
Task<Result<std::string>> download(
    DownloadPorts ports, Source source, std::filesystem::path path, DownloadSettings settings,
    DownloadProgress progress
);

// The answer to a GET, redirects followed, as text.
Task<Result<std::string>> get_text(DownloadPorts ports, Source source, std::size_t bytes_max);

}  // namespace framegrid::hub
