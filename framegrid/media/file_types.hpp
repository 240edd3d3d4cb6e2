// File name endings and content types of what jobs produce.
#pragma once

#include <optional>
#include <string_view>

#include <framegrid/base/bytes.hpp>

namespace framegrid::media {

// ".png" for "image/png"; ".bin" for what is not known.
std::string_view extension_of(std::string_view content_type);
// "image/png" for "a/b.png"; "application/octet-stream" for what is not known.
std::string_view content_type_of(std::string_view path);

// The content type of a picture or video, from its bytes: nobody's word for it is taken. Nothing for anything
// else.
std::optional<std::string_view> recognise(BytesView bytes);

}  // namespace framegrid::media
