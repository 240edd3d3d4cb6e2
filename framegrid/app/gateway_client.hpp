// The gateway's public HTTP API from a client's side, with patience: a gateway that restarts is waited for.
#pragma once

#include <string>
#include <vector>

#include <framegrid/app/session.hpp>
#include <framegrid/media/profile.hpp>

namespace framegrid::app {

struct Rendition {
    std::string name;
    std::string content_type;
    Blob bytes;
};

struct SegmentPush {
    std::string stream;
    std::uint64_t seq = 0;
    Blob bytes;
    media::Container container = media::Container::kMpegTs;
    std::int64_t duration_ms = 0;
    media::Size source;
    std::string configuration;  // Livepeer-Transcode-Configuration
};

struct UpscaleRequest {
    Blob bytes;
    std::string file_name;
    bool video = false;
    std::string model_id;
};

class GatewayClient {
  public:
    GatewayClient(Session& session, std::string url) : session_(session), url_(std::move(url)) {}

    // Renditions in profile order. Retries with back-off while the gateway is unreachable or says 503/500, up
    // to `deadline`; a 4xx is final and carries the gateway's own words.
    Task<Result<std::vector<Rendition>>> push(SegmentPush segment, Deadline deadline);
    // The enlarged image or segment.
    Task<Result<Rendition>> upscale(UpscaleRequest request, Deadline deadline);
    // The sum of what orchestrators offer at once now; 0 when unknown.
    Task<int> capacity();
    std::uint64_t retries() const { return retries_; }

  private:
    Task<Result<http::Fetched>> send(http::Request request, std::size_t limit, Deadline deadline);
    Session& session_;
    std::string url_;
    std::uint64_t retries_ = 0;
};

}  // namespace framegrid::app
