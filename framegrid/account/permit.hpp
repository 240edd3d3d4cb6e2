// What an accepted request may do.
#pragma once

#include <string>

#include <framegrid/account/limits.hpp>
#include <framegrid/account/scope.hpp>

namespace framegrid::account {

inline constexpr std::size_t kOwnerBytesMax = 128;

struct Permit {
    std::string owner;    // whose jobs and files these are; never empty
    std::string subject;  // counted and named in logs: a key's id, a token's subject; no secret
    Scopes scopes;
    Limits limits;
};

// Printable ASCII without blanks, 1 to kOwnerBytesMax characters: it is in logs, rows and answers.
// kInvalidArgument (field "owner").
Result<void> check_owner(std::string_view owner);

}  // namespace framegrid::account
