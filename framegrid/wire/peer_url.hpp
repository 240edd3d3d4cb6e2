// URLs of one peer.
#pragma once

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

// What a peer gave as the place of a file: absolute, or a path on the peer itself.
inline Result<http::Url> resolve(const http::Url& base, std::string_view url) {
    if (url.starts_with('/')) {
        http::Url result = base;
        result.target = std::string(url);
        return http::parse_url(result.origin() + result.target);
    }
    return http::parse_url(url);
}

}  // namespace framegrid::wire
