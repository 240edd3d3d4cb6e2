// A whole video through the network's transcoders: cut, worked on in parallel, joined again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/gateway/step_runner.hpp>

namespace framegrid::gateway {

struct TranscodedVideo {
    std::vector<api::Artifact> renditions;  // in profile order
    std::int64_t wei = 0;
    std::string orchestrator;   // that did the last segment
    VerificationStats checked;  // segments that were done twice
};

// Of one video; on one executor. Ports and settings outlive it.
class VideoTranscode {
  public:
    VideoTranscode(const WorkPorts& ports, const WorkSettings& settings, StepEvents events)
        : ports_(ports), settings_(settings), events_(std::move(events)) {}

    // `profiles`: preset names or a JSON array, checked before. Progress is told in segments.
    Task<Result<TranscodedVideo>> run(
        StepOwner owner, Blob video, std::string profiles, Price price_max, Deadline deadline
    );

  private:
    Task<Result<bool>> work();
    Task<Result<bool>> one(std::size_t index);
    Task<Result<bool>> transcode_all();
    Task<Result<TranscodedVideo>> join();

    const WorkPorts& ports_;
    const WorkSettings& settings_;
    StepEvents events_;
    Deadline deadline_{};
    Price price_max_{};
    StepOwner owner_;
    std::string manifest_id_;
    std::vector<media::VideoProfile> profiles_;
    struct Segment {
        Blob bytes;
        std::optional<api::Clip> clip{};
    };
    std::vector<Segment> segments_;
    std::vector<std::vector<Blob>> renditions_;  // by profile, then by segment
    std::size_t next_ = 0;
    std::size_t done_ = 0;
    TranscodedVideo out_;
};

}  // namespace framegrid::gateway
