// URLs of one peer.
#pragma once

#include <format>
#include <string>
#include <string_view>

#include <framegrid/http/message.hpp>

namespace framegrid::wire {

// `path` (with its leading slash) below a service URI, which may have a path of its own.
inline http::Url url_below(const http::Url& base, std::string_view path) {
    http::Url url = base;
    if (url.target.ends_with('/')) {
        url.target.pop_back();
    }
    url.target += path;
    return url;
}

// Peers put names of profiles into URLs as they are, and escape what must be when they fetch them.
inline std::string escaped(std::string_view url) {
    std::string out;
    for (const char c : url) {
        const bool plain = c > ' ' && c < 0x7f;
        out += plain ? std::string(1, c) : std::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

// What a peer gave as the place of a file: absolute, or a path on the peer itself.
inline Result<http::Url> resolve(const http::Url& base, std::string_view url) {
    return http::parse_url(url.starts_with('/') ? base.origin() + escaped(url) : escaped(url));
}

}  // namespace framegrid::wire
