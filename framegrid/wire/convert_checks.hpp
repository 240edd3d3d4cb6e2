// Private: what is wrong with a field of a peer's message.
#pragma once

#include <string>

#include <framegrid/base/result.hpp>

namespace framegrid::wire {

inline std::unexpected<Error> refuse_field(std::string field, std::string what) {
    return fail(Errc::kInvalidArgument, field + " " + std::move(what), field);
}

inline Result<void> check_count(std::size_t count, std::size_t limit, std::string field) {
    if (count > limit) {
        return refuse_field(std::move(field), "has more than " + std::to_string(limit) + " entries");
    }
    return {};
}

}  // namespace framegrid::wire
