#include <framegrid/account/scope.hpp>

#include <algorithm>
#include <array>

#include <framegrid/base/log.hpp>

namespace framegrid::account {

namespace {

constexpr std::array<std::pair<Scope, std::string_view>, 6> kNames{{
    {Scope::kJobsRead, "jobs:read"},
    {Scope::kJobsWrite, "jobs:write"},
    {Scope::kArtifactsRead, "artifacts:read"},
    {Scope::kArtifactsWrite, "artifacts:write"},
    {Scope::kLiveWrite, "live:write"},
    {Scope::kAdmin, "admin"},
}};

// Calls `take` with each word.
template <class Take>
void split_words(std::string_view text, Take take) {
    constexpr std::string_view kBetween = " ,\t\r\n";
    for (auto from = text.find_first_not_of(kBetween); from != std::string_view::npos;) {
        const auto to = std::min(text.find_first_of(kBetween, from), text.size());
        take(text.substr(from, to - from));
        from = text.find_first_not_of(kBetween, to);
    }
}

const Scope* find(std::string_view name) {
    for (const auto& [scope, known] : kNames) {
        if (known == name) {
            return &scope;
        }
    }
    return nullptr;
}

}  // namespace

std::string_view to_string(Scope scope) {
    for (const auto& [known, name] : kNames) {
        if (known == scope) {
            return name;
        }
    }
    return "";
}

std::string Scopes::text() const {
    std::string out;
    for (const auto& [scope, name] : kNames) {
        if ((bits_ & bit(scope)) != 0) {
            out += (out.empty() ? "" : " ") + std::string(name);
        }
    }
    return out;
}

Result<Scopes> parse_scopes(std::string_view text) {
    Scopes out;
    std::string unknown;
    split_words(text, [&](std::string_view word) {
        if (const auto* scope = find(word)) {
            out.add(*scope);
        } else if (unknown.empty()) {
            unknown = printable(word, 40);
        }
    });
    if (!unknown.empty()) {
        std::string names;
        for (const auto& [scope, name] : kNames) {
            names += (names.empty() ? "" : ", ") + std::string(name);
        }
        return fail(
            Errc::kInvalidArgument, "there is no scope " + unknown + "; there are " + names, "scopes"
        );
    }
    return out;
}

Scopes known_scopes(std::string_view text) {
    Scopes out;
    split_words(text, [&out](std::string_view word) {
        if (const auto* scope = find(word)) {
            out.add(*scope);
        }
    });
    return out;
}

}  // namespace framegrid::account
