// Whether an orchestrator's answer has the form of what was asked for. Pure; content is `verify`'s business.
#pragma once

#include <framegrid/api/work.hpp>

namespace framegrid::gateway {

// kProtocol, to be held against the peer: a rendition is missing, misnamed in number, too small to be one (25
// bytes, protocol section 3.3) or not the container that was asked for; an AI answer without a file.
Result<void> check_result(const api::Work& work, const api::WorkOutput& output);

// The same for one rendition.
Result<void> check_rendition(const media::VideoProfile& profile, const api::Artifact& artifact);

}  // namespace framegrid::gateway
