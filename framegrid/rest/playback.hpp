// GET /stream/...: playlists and segments of live streams, and stored results.
#pragma once

#include <framegrid/rest/results_store.hpp>
#include <framegrid/rest/router.hpp>
#include <framegrid/rest/streams.hpp>

namespace framegrid::rest {

class Playback {
  public:
    Playback(const StreamTable& streams, const ResultsStore& results)
        : streams_(streams), results_(results) {}

    Task<Answer> master(Call& call);   // /stream/{name}.m3u8
    Task<Answer> file(Call& call);     // /stream/{name}/{rendition}.m3u8, or a stored result
    Task<Answer> segment(Call& call);  // /stream/{name}/{rendition}/{index}.ts

  private:
    // nullptr also when the caller is known and the stream is somebody else's.
    const HlsWindow* window_of(const Call& call, const std::string& stream) const;
    const StreamTable& streams_;
    const ResultsStore& results_;
};

}  // namespace framegrid::rest
