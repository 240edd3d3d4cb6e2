// The port behind which a pushed segment is looked into, under the names that this library uses.
#pragma once

#include <framegrid/api/media_probe.hpp>

namespace framegrid::rest {

using api::MediaProbe;
using api::ProbeResult;

}  // namespace framegrid::rest
