// What a caller may do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <framegrid/base/result.hpp>

namespace framegrid::account {

enum class Scope : std::uint8_t {
    kJobsRead,        // see own jobs
    kJobsWrite,       // submit and cancel jobs, run pipelines
    kArtifactsRead,   // see and fetch own files
    kArtifactsWrite,  // upload and delete files
    kLiveWrite,       // push live segments
    kAdmin,           // everything, and the jobs and files of every owner
};

std::string_view to_string(Scope scope);

class Scopes {
  public:
    constexpr Scopes() = default;
    constexpr Scopes(std::initializer_list<Scope> scopes) {
        for (const auto scope : scopes) {
            add(scope);
        }
    }
    constexpr void add(Scope scope) { bits_ |= bit(scope); }
    // Admin has all.
    constexpr bool has(Scope scope) const { return (bits_ & (bit(scope) | bit(Scope::kAdmin))) != 0; }
    constexpr bool empty() const { return bits_ == 0; }
    // "jobs:read jobs:write", as OAuth 2.0 writes them.
    std::string text() const;
    friend bool operator==(const Scopes&, const Scopes&) = default;

  private:
    static constexpr unsigned bit(Scope scope) { return 1U << static_cast<unsigned>(scope); }
    unsigned bits_ = 0;
};

// All but admin.
inline constexpr Scopes kUserScopes{
    Scope::kJobsRead, Scope::kJobsWrite, Scope::kArtifactsRead, Scope::kArtifactsWrite, Scope::kLiveWrite
};

// Names between blanks or commas. kInvalidArgument (field "scopes") on one that is none.
Result<Scopes> parse_scopes(std::string_view text);
// The same for what somebody else's server says: names of other programs are left out.
Scopes known_scopes(std::string_view text);

}  // namespace framegrid::account
