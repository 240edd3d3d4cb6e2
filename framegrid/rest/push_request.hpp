// What a pushed segment's path and headers say (transcoding reference, section 1.1). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/api/work.hpp>
#include <framegrid/http/message.hpp>
#include <framegrid/media/profile.hpp>

namespace framegrid::rest {

struct PushTarget {
    std::string stream;
    std::int64_t seq = 0;
    media::Container container = media::Container::kMpegTs;
};

// `path`: what follows "/live/", still percent-encoded. kInvalidArgument with the field extension or stream.
Result<PushTarget> parse_push_path(std::string_view path);

// The header Livepeer-Transcode-Configuration, or the webhook's answer.
struct PushConfig {
    std::optional<std::vector<media::VideoProfile>> profiles;  // presets first; absent: the default ladder
    int timeout_multiplier = 1;
    bool force_reinit = false;
};

// Unknown keys are ignored, null means absent. kInvalidArgument names the key at fault.
Result<PushConfig> parse_push_config(std::string_view json);

struct PushHeaders {
    std::int64_t duration_ms = media::kSegmentMsDefault;
    std::optional<media::Size> resolution;
    std::optional<api::Clip> clip;
    bool wants_renditions = false;     // Accept names multipart/mixed
    bool background = false;           // Priority: nobody waits for the first rendition
    std::optional<PushConfig> config;  // absent: no header
};

Result<PushHeaders> parse_push_headers(const http::Headers& headers);

}  // namespace framegrid::rest
