// The gateway's public HTTP API from a client's side, with patience: a gateway that restarts is waited for.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <framegrid/api/work.hpp>
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
    std::int64_t clip_to_ms = 0;  // pictures from here on are not wanted; 0: all are
    media::Size source;
    std::string configuration;  // Livepeer-Transcode-Configuration
};

// A request of an AI pipeline.
struct AiCall {
    std::string pipeline;
    std::vector<std::pair<std::string, std::string>> parameters;
    std::string file_field;  // "image" or "video"; empty: no file
    Blob file;
    Blob mask;  // empty: none
    // Told of the job's steps where the pipeline has any; empty: nobody wants to know.
    std::function<void(const api::Progress& progress)> progress{};
    int preview_steps = 0;   // a preview every so many of them; 0: none
    std::string priority{};  // "low" or "high"; empty: normal
};

struct AiResult {
    std::vector<Rendition> files;
    std::string run;  // what the gateway says of it: a JSON object, or empty
};

class GatewayClient {
  public:
    // Shows the API key in $FRAMEGRID_API_KEY, if there is one, to the gateway at `url`.
    GatewayClient(Session& session, std::string url);

    // Renditions in profile order. Retries with back-off while the gateway is unreachable or says 503/500, up
    // to `deadline`; a 4xx is final and carries the gateway's own words.
    Task<Result<std::vector<Rendition>>> push(SegmentPush segment, Deadline deadline);
    // The results, fetched. One is asked for directly; several (num_images_per_prompt) come by URL.
    Task<Result<AiResult>> run_ai(AiCall call, Deadline deadline);
    // The sum of what orchestrators offer at once now; 0 when unknown.
    Task<int> capacity();
    std::uint64_t retries() const { return retries_; }

  private:
    Task<Result<AiResult>> fetch_listed(std::string json, Deadline deadline);
    using Exchange = std::function<Task<Result<http::Fetched>>(const http::Request& request)>;
    Task<Result<http::Fetched>> send(http::Request request, std::size_t limit, Deadline deadline);
    Task<Result<http::Fetched>> send_patiently(http::Request request, Exchange exchange, Deadline deadline);
    Task<Result<http::Fetched>> read_events(http::Request request, const AiCall& call, Deadline deadline);
    Session& session_;
    std::string url_;
    std::string api_key_;
    std::uint64_t retries_ = 0;
};

}  // namespace framegrid::app
