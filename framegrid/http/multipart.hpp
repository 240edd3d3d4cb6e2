// multipart/form-data and multipart/mixed (RFC 2046, RFC 7578), parsed without copying part bodies.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/http/message.hpp>

namespace framegrid::http {

struct Part {
    Headers headers;       // names lower-case
    std::string name;      // form-data: the field's name
    std::string filename;  // empty when absent
    Blob body;             // a window on the message
};

struct MultipartLimits {
    std::size_t parts_max = 256;
    std::size_t header_bytes_max = 16 * 1024;  // of one part
};

// The boundary parameter of a multipart content type, quoted or not. kInvalidArgument when absent or over 70
// bytes.
Result<std::string> boundary_of(std::string_view content_type);

// kInvalidArgument when it is not a complete multipart message for that boundary; kTooLarge over a limit.
Result<std::vector<Part>> parse_multipart(
    const Blob& message, std::string_view boundary, MultipartLimits limits = {}
);

// The pieces of a multipart message, in order, bodies shared and not copied: write them one after the other.
// Header names are written in the usual capitals (existing clients match them case-sensitively), CRLF, no
// quotes around the boundary, header fields in the order given.
std::vector<Blob> format_multipart(const std::vector<Part>& parts, std::string_view boundary);
// The same part by part: each part with `is_first` for the first one, then the end.
std::vector<Blob> format_part(const Part& part, std::string_view boundary, bool is_first);
Blob format_multipart_end(std::string_view boundary, bool is_empty);
// Their total size in bytes.
std::size_t total_size(const std::vector<Blob>& pieces);
// One piece holding them all (copies).
Blob join(const std::vector<Blob>& pieces);

}  // namespace framegrid::http
