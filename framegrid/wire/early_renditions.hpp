// Renditions that an orchestrator tells its gateway of before the segment's result: an extension of the
// protocol.
//
// The body of /segment's answer is one TranscodeResult. Between nodes that both know the extension it comes
// in pieces, each a TranscodeResult with only its field `early` set; by the rules of protobuf's encoding
// their concatenation with the result is one message, which readers that look at it as a whole find valid.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/ids.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::wire {

struct EarlyRendition {
    std::size_t index = 0;  // its place in the result
    std::string url;
    Pixels pixels;
    friend bool operator==(const EarlyRendition&, const EarlyRendition&) = default;
};

// A piece of the answer.
std::string write_early_rendition(const EarlyRendition& rendition);

// Finds the pieces at the beginning of an answer that is still arriving.
class EarlyRenditionReader {
  public:
    // `answer` is what has arrived so far, each time from its first byte. Returns what is new in it.
    // Malformed pieces end the search: the whole message is checked once it is there.
    std::vector<EarlyRendition> read(std::string_view answer);

  private:
    std::size_t used_ = 0;
    bool ended_ = false;
};

}  // namespace framegrid::wire
