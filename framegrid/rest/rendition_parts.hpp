// The answer to a pushed segment: multipart/mixed with one part per rendition, whole or as they are done.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/api/work.hpp>
#include <framegrid/rest/router.hpp>

namespace framegrid::rest {

// One rendition of the answer.
struct RenditionPart {
    std::string name;  // the profile's
    std::int64_t seq = 0;
    media::Container container = media::Container::kMpegTs;
    Blob bytes;
};

// 200 with all parts in profile order; headers and line ends as existing clients parse them (transcoding
// reference, section 1.4).
Answer renditions_answer(const std::vector<RenditionPart>& parts, const std::string& boundary);

// Sends the parts of such an answer while the job runs: each as soon as it and all parts before it are there.
// Single-threaded; `call` outlives it.
class RenditionStream {
  public:
    RenditionStream(
        Call& call, std::vector<media::VideoProfile> profiles, std::int64_t seq, std::string boundary
    );

    // For the job: a rendition is there.
    void put(std::size_t index, Blob bytes);
    // The job has ended: send() stops.
    void close();
    // Until close(); the head goes out with the first part. Fails when the client is gone.
    Task<Result<bool>> send();
    // After send(): the answer's rest, with the bytes of all renditions at hand.
    Answer rest(const std::vector<RenditionPart>& parts) const;

  private:
    Call& call_;
    std::vector<media::VideoProfile> profiles_;
    std::int64_t seq_;
    std::string boundary_;
    std::vector<std::optional<Blob>> ready_;
    std::size_t sent_ = 0;
    bool closed_ = false;
    Notifier changed_;
};

}  // namespace framegrid::rest
