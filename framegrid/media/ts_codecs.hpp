// The codecs of an MPEG-TS segment, as playlists name them (RFC 6381).
#pragma once

#include <string>

#include <framegrid/base/bytes.hpp>

namespace framegrid::media {

// "avc1.64001f,mp4a.40.2": video first. Read from the tables and the first headers of each stream (ISO/IEC
// 13818-1), nothing is decoded. Empty when any stream cannot be named: a playlist must name all or none (RFC
// 8216, 4.3.4.2).
std::string ts_codecs(BytesView segment);

}  // namespace framegrid::media
