// What a file is, from its first bytes. Names and declared types are never trusted.
#pragma once

#include <optional>

#include <framegrid/base/bytes.hpp>
#include <framegrid/media/profile.hpp>

namespace framegrid::media {

enum class StillFormat : std::uint8_t { kPng, kJpeg, kWebp, kGif, kBmp };

// True when the bytes look like a video container rather than a still picture.
bool looks_like_video(BytesView bytes);
// True when the bytes look like MPEG-TS (188-byte packets).
bool looks_like_mpegts(BytesView bytes);
// The still-picture format, or nothing.
std::optional<StillFormat> still_format(BytesView bytes);
// A still picture's size as its header declares it, read without decoding; nothing when the header is
// damaged.
std::optional<Size> picture_size(BytesView bytes);

}  // namespace framegrid::media
