#include <framegrid/http/multipart.hpp>

#include <algorithm>
#include <cstring>
#include <iterator>

#include <framegrid/base/log.hpp>
#include <framegrid/http/text.hpp>

namespace framegrid::http {

namespace {

constexpr std::size_t kBoundaryBytesMax = 70;  // RFC 2046 section 5.1.1

// The value of parameter `name` in a header value such as `form-data; name="x"`, unquoted; nullopt when
// absent.
std::optional<std::string> parameter_of(std::string_view value, std::string_view name) {
    std::size_t at = value.find(';');
    while (at != std::string_view::npos && at < value.size()) {
        value.remove_prefix(at + 1);
        value = trim(value);
        const auto equals = value.find_first_of("=;");
        if (equals == std::string_view::npos) {
            return std::nullopt;
        }
        if (value[equals] == ';') {
            at = equals;
            continue;
        }
        const bool wanted = equals_ignoring_case(trim(value.substr(0, equals)), name);
        value = trim(value.substr(equals + 1));
        std::string text;
        if (value.starts_with('"')) {
            std::size_t i = 1;
            for (; i < value.size() && value[i] != '"'; ++i) {
                // Only a quote or a backslash can be escaped: browsers send Windows paths with bare
                // backslashes.
                if (value[i] == '\\' && i + 1 < value.size() &&
                    (value[i + 1] == '"' || value[i + 1] == '\\')) {
                    ++i;
                }
                text += value[i];
            }
            if (i >= value.size()) {
                return std::nullopt;  // no closing quote
            }
            at = value.find(';', i);
        } else {
            at = value.find(';');
            text = trim(value.substr(0, at));
        }
        if (wanted) {
            return text;
        }
    }
    return std::nullopt;
}

bool is_boundary_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
}

std::unexpected<Error> malformed(std::string_view why) {
    return fail(Errc::kInvalidArgument, "not a multipart message: " + std::string(why), "body");
}

std::size_t find_from(std::string_view text, std::string_view needle, std::size_t from) {
    // Also keeps the null pointer of an empty message away from memmem().
    if (from > text.size() || text.size() - from < needle.size()) {
        return std::string_view::npos;
    }
    const void* at = ::memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
    return at == nullptr ? std::string_view::npos
                         : static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
}

// Parses the header lines in text[begin, end), each ended by CRLF.
Result<Headers> parse_part_headers(std::string_view text) {
    Headers headers;
    while (!text.empty()) {
        const auto end = text.find("\r\n");
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || colon == 0) {
            return malformed("a part has a header line without a name");
        }
        const std::string_view value = trim(line.substr(colon + 1));
        if (!is_token(line.substr(0, colon)) || !is_field_value(value)) {
            return malformed("a part has a header with a forbidden character");
        }
        headers.add(to_lower(line.substr(0, colon)), std::string(value));
    }
    return headers;
}

// What stands after a delimiter.
enum class After : std::uint8_t { kPart, kEnd, kNoDelimiter };

// Looks behind a delimiter that ends at `at`; on kPart, `at` moves to the first byte of the part.
After after_delimiter(std::string_view text, std::size_t& at) {
    if (text.substr(at).starts_with("--")) {
        return After::kEnd;
    }
    std::size_t i = at;
    while (i < text.size() && (text[i] == ' ' || text[i] == '\t')) {
        ++i;
    }
    if (!text.substr(i).starts_with("\r\n")) {
        return After::kNoDelimiter;  // the boundary is only a prefix of something else
    }
    at = i + 2;
    return After::kPart;
}

}  // namespace

Result<std::string> boundary_of(std::string_view content_type) {
    const auto missing = [&] {
        return fail(
            Errc::kInvalidArgument, "no usable multipart boundary in: " + printable(content_type),
            "content-type"
        );
    };
    if (content_type.size() < 10 || !equals_ignoring_case(content_type.substr(0, 10), "multipart/")) {
        return missing();
    }
    const auto boundary = parameter_of(content_type, "boundary");
    if (!boundary || boundary->empty() || boundary->size() > kBoundaryBytesMax ||
        !std::ranges::all_of(*boundary, is_boundary_char) || boundary->back() == ' ') {
        return missing();
    }
    return *boundary;
}

Result<std::vector<Part>> parse_multipart(
    const Blob& message, std::string_view boundary, MultipartLimits limits
) {
    const std::string_view text = message.text();
    const std::string delimiter = "\r\n--" + std::string(boundary);
    if (boundary.empty() || boundary.size() > kBoundaryBytesMax) {
        return malformed("no boundary");
    }
    // The first delimiter may stand at the very start; a preamble before it is skipped.
    std::size_t at = 0;
    After after = After::kNoDelimiter;
    if (text.starts_with(std::string_view(delimiter).substr(2))) {
        at = delimiter.size() - 2;
        after = after_delimiter(text, at);
    }
    for (std::size_t from = 0; after == After::kNoDelimiter;) {
        const auto found = find_from(text, delimiter, from);
        if (found == std::string_view::npos) {
            return malformed("the boundary does not occur");
        }
        at = found + delimiter.size();
        from = at;
        after = after_delimiter(text, at);
    }
    std::vector<Part> parts;
    while (after == After::kPart) {
        if (parts.size() >= limits.parts_max) {
            return fail(Errc::kTooLarge, "more than " + std::to_string(limits.parts_max) + " parts", "body");
        }
        Part part;
        if (text.substr(at).starts_with("\r\n")) {
            at += 2;  // no header at all
        } else {
            const auto window = text.substr(at, limits.header_bytes_max + 4);
            const auto end = find_from(window, "\r\n\r\n", 0);
            if (end == std::string_view::npos) {
                return window.size() > limits.header_bytes_max
                           ? fail(Errc::kTooLarge, "a part's header is too long", "body")
                           : malformed("a part's header does not end");
            }
            FG_TRY(headers, parse_part_headers(text.substr(at, end)));
            part.headers = std::move(headers);
            at += end + 4;
        }
        if (const auto disposition = part.headers.get("content-disposition")) {
            part.name = parameter_of(*disposition, "name").value_or("");
            part.filename = parameter_of(*disposition, "filename").value_or("");
        }
        // An empty body may share the CRLF that ended the header.
        const std::size_t begin = at;
        std::size_t from = at - 2;
        do {
            const auto found = find_from(text, delimiter, from);
            if (found == std::string_view::npos) {
                return malformed("the last part does not end");
            }
            const std::size_t end = std::max(found, begin);
            part.body = message.slice(begin, end - begin);
            at = found + delimiter.size();
            from = at;
            after = after_delimiter(text, at);
        } while (after == After::kNoDelimiter);
        parts.push_back(std::move(part));
    }
    return parts;
}

std::vector<Blob> format_part(const Part& part, std::string_view boundary, bool is_first) {
    std::string text = is_first ? "--" : "\r\n--";
    text += std::string(boundary) + "\r\n";
    const bool has_disposition = part.headers.get("content-disposition").has_value();
    if (!has_disposition && !part.name.empty()) {
        text += "Content-Disposition: form-data; name=\"" + escape_quoted(part.name) + "\"";
        if (!part.filename.empty()) {
            text += "; filename=\"" + escape_quoted(part.filename) + "\"";
        }
        text += "\r\n";
    }
    for (const auto& field : part.headers.fields()) {
        text += capital_name(field.name) + ": " + field.value + "\r\n";
    }
    text += "\r\n";
    std::vector<Blob> pieces{Blob::copy_of(std::string_view(text))};
    if (!part.body.empty()) {
        pieces.push_back(part.body);
    }
    return pieces;
}

Blob format_multipart_end(std::string_view boundary, bool is_empty) {
    return Blob::copy_of((is_empty ? "--" : "\r\n--") + std::string(boundary) + "--\r\n");
}

std::vector<Blob> format_multipart(const std::vector<Part>& parts, std::string_view boundary) {
    std::vector<Blob> pieces;
    pieces.reserve(2 * parts.size() + 1);
    for (std::size_t i = 0; i < parts.size(); ++i) {
        std::ranges::move(format_part(parts[i], boundary, i == 0), std::back_inserter(pieces));
    }
    pieces.push_back(format_multipart_end(boundary, parts.empty()));
    return pieces;
}

std::size_t total_size(const std::vector<Blob>& pieces) {
    std::size_t total = 0;
    for (const auto& piece : pieces) {
        total += piece.size();
    }
    return total;
}

Blob join(const std::vector<Blob>& pieces) {
    Bytes all;
    all.reserve(total_size(pieces));
    for (const auto& piece : pieces) {
        all.insert(all.end(), piece.view().begin(), piece.view().end());
    }
    return Blob(std::move(all));
}

}  // namespace framegrid::http
