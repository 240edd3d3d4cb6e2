// File name endings and content types of what jobs produce.
#pragma once

#include <string_view>

namespace framegrid::media {

// ".png" for "image/png"; ".bin" for what is not known.
std::string_view extension_of(std::string_view content_type);
// "image/png" for "a/b.png"; "application/octet-stream" for what is not known.
std::string_view content_type_of(std::string_view path);

}  // namespace framegrid::media
