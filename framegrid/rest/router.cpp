#include <framegrid/rest/router.hpp>

#include <optional>

#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

constexpr std::string_view kOne = "{}";
constexpr std::string_view kRest = "{*}";

std::vector<std::string_view> split(std::string_view path) {
    std::vector<std::string_view> segments;
    path.remove_prefix(path.starts_with('/') ? 1 : 0);
    if (path.ends_with('/')) {
        path.remove_suffix(1);
    }
    while (!path.empty()) {
        const auto slash = path.find('/');
        segments.push_back(path.substr(0, slash));
        path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    }
    return segments;
}

void add_method(std::string& allow, std::string_view method) {
    allow += allow.empty() ? "" : ", ";
    allow += method;
    if (method == "GET") {
        allow += ", HEAD";
    }
}

// The pattern's parameters when `path` fits.
std::optional<std::vector<std::string>> captures(
    const std::vector<std::string>& pattern, bool takes_rest, const std::vector<std::string_view>& path
) {
    if (takes_rest ? path.size() < pattern.size() : path.size() != pattern.size()) {
        return std::nullopt;
    }
    std::vector<std::string> parameters;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] != kOne) {
            if (pattern[i] != path[i]) {
                return std::nullopt;
            }
            continue;
        }
        auto decoded = percent_decode(path[i]);
        if (!decoded || decoded->empty()) {
            return std::nullopt;
        }
        parameters.push_back(std::move(*decoded));
    }
    if (takes_rest) {
        std::string rest;
        for (std::size_t i = pattern.size(); i < path.size(); ++i) {
            rest += (i > pattern.size() ? "/" : "") + std::string(path[i]);
        }
        parameters.push_back(std::move(rest));  // as sent: its owner splits and decodes it
    }
    return parameters;
}

}  // namespace

void Router::add(Route route) {
    Entry entry;
    for (const auto segment : split(route.pattern)) {
        if (segment == kRest) {
            entry.takes_rest = true;
        } else {
            FG_ASSERT(!entry.takes_rest);
            entry.segments.emplace_back(segment);
        }
    }
    entry.route = std::move(route);
    entries_.push_back(std::move(entry));
}

std::vector<std::string> Router::names() const {
    std::vector<std::string> out;
    for (const auto& entry : entries_) {
        out.push_back(entry.route.method + " " + entry.route.pattern);
    }
    return out;
}

Match Router::find(std::string_view method, std::string_view path) const {
    const auto segments = split(path);
    Match match;
    for (const auto& entry : entries_) {
        auto parameters = captures(entry.segments, entry.takes_rest, segments);
        if (!parameters) {
            continue;
        }
        match.errors = match.allow.empty() ? entry.route.errors : match.errors;
        const bool fits = entry.route.method == method || (method == "HEAD" && entry.route.method == "GET");
        if (fits && match.route == nullptr) {
            match.route = &entry.route;
            match.parameters = std::move(*parameters);
        }
        if (match.allow.find(entry.route.method) == std::string::npos) {
            add_method(match.allow, entry.route.method);
        }
    }
    return match;
}

}  // namespace framegrid::rest
