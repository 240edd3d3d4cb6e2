// HTTP push ingest: PUT or POST /live/{stream}/{n}.ts|.mp4 (transcoding reference, section 1).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <framegrid/base/log.hpp>
#include <framegrid/gateway/gateway.hpp>
#include <framegrid/rest/media_probe.hpp>
#include <framegrid/rest/router.hpp>
#include <framegrid/rest/settings.hpp>
#include <framegrid/rest/streams.hpp>

namespace framegrid::rest {

struct IngestStats {
    std::uint64_t segments = 0;  // arrived completely
    std::uint64_t bypassed = 0;  // audio only: answered without an orchestrator
};

// One rendition of the answer.
struct RenditionPart {
    std::string name;  // the profile's
    std::int64_t seq = 0;
    media::Container container = media::Container::kMpegTs;
    Blob bytes;
};

// 200 multipart/mixed: one part per rendition, headers and line ends as existing clients parse them
// (section 1.4).
Answer renditions_answer(const std::vector<RenditionPart>& parts, const std::string& boundary);

class LiveIngest {
  public:
    LiveIngest(
        gateway::Gateway& gateway, MediaProbe& probe, StreamTable& streams, Clock& clock, Random& random,
        IngestSettings settings, Duration upload_time_max, Logger log
    );
    Task<Answer> push(Call& call);
    const IngestStats& stats() const { return stats_; }

  private:
    struct Done {
        std::vector<RenditionPart> parts;
        std::string orchestrator;
        int attempts = 0;
    };
    Task<Result<ProbeResult>> look_into(Blob segment);
    Task<Result<Done>> transcode(PushTarget target, PushHeaders headers, ProbeResult source, Blob segment);
    gateway::JobRequest job_of(
        const Push& push, const PushTarget& target, const PushHeaders& headers, const ProbeResult& source
    ) const;
    Deadline deadline_of(const Push& push, std::int64_t duration_ms) const;

    gateway::Gateway& gateway_;
    MediaProbe& probe_;
    StreamTable& streams_;
    Clock& clock_;
    Random& random_;
    const IngestSettings settings_;
    const Duration upload_time_max_;
    Logger log_;
    IngestStats stats_;
};

}  // namespace framegrid::rest
