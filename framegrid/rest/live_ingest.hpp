// HTTP push ingest: PUT or POST /live/{stream}/{n}.ts|.mp4 (transcoding reference, section 1).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <framegrid/api/media_probe.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/gateway/gateway.hpp>
#include <framegrid/rest/rendition_parts.hpp>
#include <framegrid/rest/router.hpp>
#include <framegrid/rest/settings.hpp>
#include <framegrid/rest/streams.hpp>

namespace framegrid::rest {

struct IngestStats {
    std::uint64_t segments = 0;  // arrived completely
    std::uint64_t bypassed = 0;  // audio only: answered without an orchestrator
};

class LiveIngest {
  public:
    LiveIngest(
        gateway::Gateway& gateway, api::MediaProbe& probe, StreamTable& streams, Clock& clock, Random& random,
        IngestSettings settings, Duration upload_time_max, Logger log
    );
    Task<Answer> push(Call& call);
    const IngestStats& stats() const { return stats_; }

  private:
    struct Done {
        std::vector<RenditionPart> parts;
        std::string orchestrator;
        int attempts = 0;
        std::optional<Wei> cost{};
    };
    // One push; the references live in push().
    struct Job {
        const PushTarget& target;
        const PushHeaders& headers;
        const api::ProbeResult& source;
        Blob segment;
        Push& push;
        TraceContext trace;
        RenditionStream* stream = nullptr;  // null: renditions are not sent before all are there
        std::string owner{};
        std::optional<account::Limits> key_limits{};
    };
    Task<Result<api::ProbeResult>> look_into(Blob segment);
    Task<Result<Done>> run_and_stream(Call& call, Job job);
    Task<Result<Done>> send_early(RenditionStream& stream);
    Task<Result<Done>> transcode(Job job);
    Task<Result<Done>> renditions_of(Job& job);
    gateway::JobRequest job_of(
        const Push& push, const PushTarget& target, const PushHeaders& headers, const api::ProbeResult& source
    ) const;
    Deadline deadline_of(const Push& push, std::int64_t duration_ms) const;

    gateway::Gateway& gateway_;
    api::MediaProbe& probe_;
    StreamTable& streams_;
    Clock& clock_;
    Random& random_;
    const IngestSettings settings_;
    const Duration upload_time_max_;
    Logger log_;
    IngestStats stats_;
};

}  // namespace framegrid::rest
