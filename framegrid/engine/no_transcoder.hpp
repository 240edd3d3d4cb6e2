// The transcoder of programs that only run models.
#pragma once

#include <string>

#include <framegrid/api/media_ports.hpp>

namespace framegrid::engine {

// Every segment is refused with kUnsupported. Stateless: from any thread.
class NoTranscoder final : public api::Transcoder {
  public:
    // clang-format off
    Result<api::WorkOutput> transcode(
        const std::string&, const api::TranscodeWork&, const Blob&, const api::StopFlag&,
        const api::ArtifactSink&
    ) override {
        // clang-format on
        return fail(Errc::kUnsupported, "no transcoding here");
    }
    void end_session(const std::string&) override {}
};

}  // namespace framegrid::engine
