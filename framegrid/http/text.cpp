#include <framegrid/http/text.hpp>

#include <array>
#include <cstdint>
#include <cstring>

#include <framegrid/base/log.hpp>

namespace framegrid::http {

namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}
char upper(char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
}

// By byte: RFC 9110, section 5.6.2.
constexpr auto kTokenChars = [] {
    std::array<bool, 256> out{};
    for (const char c : std::string_view("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
        out[static_cast<unsigned char>(c)] = true;
    }
    return out;
}();

bool is_token_char(char c) {
    return kTokenChars[static_cast<unsigned char>(c)];
}

bool is_field_char(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= ' ' || byte == '\t') && byte != 0x7F;
}

// Whether any of eight bytes is below a blank or 0x7F; exact for the word, not for which byte.
bool has_control(std::uint64_t word) {
    constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101;
    constexpr std::uint64_t kHigh = kOnes * 0x80;
    const std::uint64_t deletes = word ^ (kOnes * 0x7F);
    return (((word - kOnes * ' ') & ~word) & kHigh) != 0 || (((deletes - kOnes) & ~deletes) & kHigh) != 0;
}

constexpr std::array<std::string_view, 5> kConnectionFields{
    "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"
};

struct Reason {
    int status;
    std::string_view phrase;
};
constexpr std::array kReasons{
    Reason{100, "Continue"},
    Reason{101, "Switching Protocols"},
    Reason{200, "OK"},
    Reason{201, "Created"},
    Reason{202, "Accepted"},
    Reason{204, "No Content"},
    Reason{206, "Partial Content"},
    Reason{301, "Moved Permanently"},
    Reason{302, "Found"},
    Reason{303, "See Other"},
    Reason{304, "Not Modified"},
    Reason{307, "Temporary Redirect"},
    Reason{308, "Permanent Redirect"},
    Reason{400, "Bad Request"},
    Reason{401, "Unauthorized"},
    Reason{402, "Payment Required"},
    Reason{403, "Forbidden"},
    Reason{404, "Not Found"},
    Reason{405, "Method Not Allowed"},
    Reason{408, "Request Timeout"},
    Reason{409, "Conflict"},
    Reason{411, "Length Required"},
    Reason{413, "Content Too Large"},
    Reason{415, "Unsupported Media Type"},
    Reason{416, "Range Not Satisfiable"},
    Reason{417, "Expectation Failed"},
    Reason{422, "Unprocessable Content"},
    Reason{429, "Too Many Requests"},
    Reason{431, "Request Header Fields Too Large"},
    Reason{499, "Client Closed Request"},
    Reason{500, "Internal Server Error"},
    Reason{501, "Not Implemented"},
    Reason{502, "Bad Gateway"},
    Reason{503, "Service Unavailable"},
    Reason{504, "Gateway Timeout"},
    Reason{505, "HTTP Version Not Supported"},
    Reason{507, "Insufficient Storage"},
};

}  // namespace

std::string_view trim(std::string_view text) {
    const auto begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) {
        return {};
    }
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::string to_lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), lower);
    return out;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, lower, lower);
}

bool is_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, is_token_char);
}

bool is_field_value(std::string_view text) {
    // Long values are common and rarely bad: eight bytes at a time.
    std::size_t at = 0;
    for (std::uint64_t word = 0; at + sizeof(word) <= text.size(); at += sizeof(word)) {
        std::memcpy(&word, text.data() + at, sizeof(word));
        if (has_control(word) && !std::ranges::all_of(text.substr(at, sizeof(word)), is_field_char)) {
            return false;
        }
    }
    return std::ranges::all_of(text.substr(at), is_field_char);
}

std::string capital_name(std::string_view name) {
    std::string out(name);
    bool start = true;
    for (char& c : out) {
        c = start ? upper(c) : c;
        start = c == '-';
    }
    return out;
}

std::string escape_quoted(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
        }
        out += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
    }
    return out;
}

bool has_token(std::string_view list, std::string_view token) {
    while (!list.empty()) {
        const auto comma = std::min(list.find(','), list.size());
        if (equals_ignoring_case(trim(list.substr(0, comma)), token)) {
            return true;
        }
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return false;
}

bool is_connection_field(std::string_view name) {
    return std::ranges::contains(kConnectionFields, name);
}

void erase_connection_fields(Headers& headers) {
    for (const auto name : kConnectionFields) {
        headers.erase(name);
    }
}

Result<void> check_headers(const Headers& headers) {
    for (const auto& field : headers.fields()) {
        if (!is_token(field.name) || !is_field_value(field.value)) {
            return fail(Errc::kInvalidArgument, "a header has a forbidden character", printable(field.name));
        }
    }
    return {};
}

std::string_view reason_of(int status) {
    for (const auto& reason : kReasons) {
        if (reason.status == status) {
            return reason.phrase;
        }
    }
    return {};
}

Blob error_body(Errc code, std::string_view message) {
    std::string text = R"({"error":{"code":")" + std::string(to_string(code)) + R"(","message":")";
    for (const char c : message) {
        if (c == '"' || c == '\\') {
            text += '\\';
        }
        text += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    text += R"("}})";
    return Blob::copy_of(std::string_view(text));
}

}  // namespace framegrid::http
