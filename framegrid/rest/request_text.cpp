#include <framegrid/rest/request_text.hpp>

#include <framegrid/base/utf8.hpp>

#include <algorithm>
#include <charconv>

namespace framegrid::rest {

namespace {

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    });
    return out;
}

// "q=0", "q=0.0" ...: the client does not want this type.
bool is_refused(std::string_view parameters) {
    while (!parameters.empty()) {
        const auto semicolon = parameters.find(';');
        const std::string parameter = lower(trimmed(parameters.substr(0, semicolon)));
        if (parameter.starts_with("q=0") && parameter.find_first_not_of("0.", 2) == std::string::npos) {
            return true;
        }
        parameters =
            semicolon == std::string_view::npos ? std::string_view{} : parameters.substr(semicolon + 1);
    }
    return false;
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) {
    text = trimmed(text);
    if (text.starts_with('+')) {
        text.remove_prefix(1);
    }
    std::int64_t number = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || code != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return number;
}

std::optional<media::Size> parse_resolution(std::string_view text) {
    const auto x = text.find_first_of("xX");
    if (x == std::string_view::npos) {
        return std::nullopt;
    }
    const auto width = parse_integer(text.substr(0, x));
    const auto height = parse_integer(text.substr(x + 1));
    if (!width || !height || *width <= 0 || *height <= 0 || *width > 65535 || *height > 65535) {
        return std::nullopt;
    }
    return media::Size{static_cast<int>(*width), static_cast<int>(*height)};
}

std::optional<std::string> percent_decode(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return std::nullopt;
            }
            c = static_cast<char>(high * 16 + low);
            i += 2;
        }
        if (c == '\0') {
            return std::nullopt;
        }
        out += c;
    }
    return out;
}

std::string percent_encode(std::string_view text) {
    static constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              std::string_view("-._~").find(c) != std::string_view::npos;
        if (is_plain) {
            out += c;
        } else {
            out += '%';
            out += kHex[byte >> 4U];
            out += kHex[byte & 0xFU];
        }
    }
    return out;
}

std::vector<std::string> accepted_types(std::string_view header) {
    std::vector<std::string> types;
    while (!header.empty()) {
        const auto comma = header.find(',');
        const std::string_view item = header.substr(0, comma);
        header = comma == std::string_view::npos ? std::string_view{} : header.substr(comma + 1);
        const auto semicolon = item.find(';');
        const std::string_view parameters =
            semicolon == std::string_view::npos ? std::string_view{} : item.substr(semicolon + 1);
        const std::string_view type = trimmed(item.substr(0, semicolon));
        if (!type.empty() && !is_refused(parameters)) {
            types.push_back(lower(type));
        }
    }
    return types;
}

bool asks_for(const std::vector<std::string>& accepted, std::string_view type) {
    const std::string group = std::string(type.substr(0, type.find('/'))) + "/*";
    return std::ranges::any_of(accepted, [&](const std::string& item) {
        return item == type || item == group;
    });
}

bool is_background(std::string_view priority) {
    // Split like media types: members with parameters. Only one value matters here.
    return std::ranges::contains(accepted_types(priority), "u=7");
}

std::vector<std::pair<std::string, std::string>> query_of(std::string_view query) {
    std::vector<std::pair<std::string, std::string>> out;
    while (!query.empty()) {
        const auto end = query.find('&');
        const auto field = query.substr(0, end);
        query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
        const auto equals = field.find('=');
        auto name = percent_decode(field.substr(0, equals));
        auto value =
            percent_decode(equals == std::string_view::npos ? std::string_view() : field.substr(equals + 1));
        if (name && value && !name->empty()) {
            out.emplace_back(*std::move(name), *std::move(value));
        }
    }
    return out;
}

std::string origin_of(const http::RequestHead& head, std::string_view public_url) {
    std::string origin(public_url);
    if (origin.empty() && !head.authority.empty()) {
        origin = (head.scheme.empty() ? "http" : head.scheme) + "://" + head.authority;
    }
    while (origin.ends_with('/')) {
        origin.pop_back();
    }
    return valid_utf8(origin);
}

std::string safe_file_name(std::string_view name) {
    constexpr std::size_t kNameBytesMax = 200;
    name = name.substr(name.find_last_of("/\\") + 1).substr(0, kNameBytesMax);
    std::string out = valid_utf8(name);
    std::erase_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    return out;
}

}  // namespace framegrid::rest
