#include <framegrid/http/message.hpp>

#include <array>
#include <charconv>

#include <framegrid/base/log.hpp>

namespace framegrid::http {

namespace {

struct StatusOf {
    Errc code;
    int status;
};
// In the order of preference for errc_of(): the first entry with a status gives its meaning.
constexpr std::array kStatuses{
    StatusOf{Errc::kInvalidArgument, 400}, StatusOf{Errc::kUnauthorized, 401},
    StatusOf{Errc::kForbidden, 403},       StatusOf{Errc::kNotFound, 404},
    StatusOf{Errc::kTooLarge, 413},        StatusOf{Errc::kUnsupported, 415},
    StatusOf{Errc::kUnprocessable, 422},   StatusOf{Errc::kCancelled, 499},
    StatusOf{Errc::kInternal, 500},        StatusOf{Errc::kUnavailable, 502},
    StatusOf{Errc::kProtocol, 502},        StatusOf{Errc::kCapacity, 503},
    StatusOf{Errc::kDeadline, 504},        StatusOf{Errc::kIo, 507},
};

constexpr std::size_t kUrlBytesMax = 8 * 1024;

std::uint16_t default_port(std::string_view scheme) {
    return scheme == "http" ? 80 : 443;
}

bool is_host_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

std::unexpected<Error> bad_url(std::string_view text, std::string_view why) {
    return fail(
        Errc::kInvalidArgument, "not a usable URL (" + std::string(why) + "): " + printable(text), "url"
    );
}

Result<std::uint16_t> parse_port(std::string_view text, std::string_view url) {
    std::uint16_t port = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (code != std::errc{} || end != text.data() + text.size() || port == 0) {
        return bad_url(url, "the port is not between 1 and 65535");
    }
    return port;
}

}  // namespace

std::optional<std::string_view> Headers::get(std::string_view name) const {
    for (const auto& field : fields_) {
        if (field.name == name) {
            return field.value;
        }
    }
    return std::nullopt;
}

void Headers::erase(std::string_view name) {
    std::erase_if(fields_, [name](const Field& field) { return field.name == name; });
}

void Headers::set(std::string_view name, std::string value) {
    erase(name);
    add(std::string(name), std::move(value));
}

std::string_view RequestHead::query() const {
    const auto mark = target.find('?');
    return mark == std::string::npos ? std::string_view{} : std::string_view(target).substr(mark + 1);
}

Task<Result<Blob>> read_all(BodyReader& body, std::size_t limit) {
    FG_CO_TRY(first, co_await body.read());
    if (first.empty()) {
        co_return first;
    }
    if (first.size() > limit) {
        co_return fail(Errc::kTooLarge, "the body is over " + std::to_string(limit) + " bytes", "body");
    }
    FG_CO_TRY(second, co_await body.read());
    if (second.empty()) {
        co_return first;  // one piece: nothing to copy
    }
    Bytes all;
    all.reserve(std::min(limit, 4 * (first.size() + second.size())));
    all.insert(all.end(), first.view().begin(), first.view().end());
    first = {};
    while (!second.empty()) {
        if (second.size() > limit - all.size()) {
            co_return fail(Errc::kTooLarge, "the body is over " + std::to_string(limit) + " bytes", "body");
        }
        all.insert(all.end(), second.view().begin(), second.view().end());
        FG_CO_TRY(next, co_await body.read());
        second = std::move(next);
    }
    co_return Blob(std::move(all));
}

Task<Result<void>> ResponseWriter::respond(ResponseHead head, Blob body) {
    head.headers.set("content-length", std::to_string(body.size()));
    FG_CO_CHECK(co_await start(std::move(head)));
    if (!body.empty()) {
        FG_CO_CHECK(co_await write(std::move(body)));
    }
    Headers none;
    co_return co_await finish(std::move(none));
}

std::string Url::authority() const {
    std::string out = host.find(':') == std::string::npos ? host : "[" + host + "]";
    if (port != default_port(scheme)) {
        out += ":" + std::to_string(port);
    }
    return out;
}

std::string Url::origin() const {
    return scheme + "://" + authority();
}

Result<Url> parse_url(std::string_view text) {
    Url url;
    if (text.size() > kUrlBytesMax) {
        return bad_url(text, "too long");
    }
    std::string_view rest = text;
    url.scheme = "https";
    if (const auto mark = rest.find("://"); mark != rest.npos && rest.find_first_of("/?#") == mark + 1) {
        url.scheme = rest.substr(0, mark);
        for (char& c : url.scheme) {
            c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
        }
        rest.remove_prefix(mark + 3);
    }
    if (url.scheme != "http" && url.scheme != "https") {
        return bad_url(text, "only http:// and https://");
    }
    const auto path = std::min(rest.find_first_of("/?#"), rest.size());
    std::string_view authority = rest.substr(0, path);
    const std::string_view target = rest.substr(path, rest.find('#') - path);
    if (authority.find('@') != std::string_view::npos) {
        return bad_url(text, "user names are not supported");
    }
    std::string_view port;
    if (authority.starts_with('[')) {
        const auto end = authority.find(']');
        if (end == std::string_view::npos) {
            return bad_url(text, "unclosed bracket");
        }
        url.host = authority.substr(1, end - 1);
        port = authority.substr(end + 1);
        if (url.host.find_first_not_of("0123456789abcdefABCDEF:.%") != std::string::npos ||
            url.host.find(':') == std::string::npos || (!port.empty() && port[0] != ':')) {
            return bad_url(text, "not an IPv6 address");
        }
        port = port.empty() ? port : port.substr(1);
    } else {
        const auto colon = std::min(authority.find(':'), authority.size());
        url.host = authority.substr(0, colon);
        port = colon < authority.size() ? authority.substr(colon + 1) : std::string_view{};
        if (!std::ranges::all_of(url.host, is_host_char)) {
            return bad_url(text, "the host has a character that no host name has");
        }
    }
    if (url.host.empty()) {
        return bad_url(text, "no host");
    }
    url.port = default_port(url.scheme);
    if (!port.empty()) {
        FG_TRY(number, parse_port(port, text));
        url.port = number;
    }
    for (const char c : target) {
        if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) {
            return bad_url(text, "a space or control character must be percent-encoded");
        }
    }
    url.target = target.starts_with('/') ? std::string(target) : "/" + std::string(target);
    return url;
}

int status_of(Errc code) {
    for (const auto& entry : kStatuses) {
        if (entry.code == code) {
            return entry.status;
        }
    }
    return 500;
}

Errc errc_of(int status) {
    for (const auto& entry : kStatuses) {
        if (entry.status == status) {
            return entry.code;
        }
    }
    switch (status) {
        case 408:
            return Errc::kDeadline;
        case 409:
        case 429:
            return Errc::kCapacity;
        case 431:
            return Errc::kTooLarge;
        case 501:
            return Errc::kUnsupported;
        default:
            break;
    }
    return status >= 400 && status < 500 ? Errc::kInvalidArgument : Errc::kInternal;
}

}  // namespace framegrid::http
