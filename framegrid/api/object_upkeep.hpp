// Port: what keeps a store of objects free of bytes that nobody has a record of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::api {

struct ObjectPage {
    std::vector<std::string> digests;
    std::string next;  // where the next page begins; empty: this was the last one
};

// An object goes in two steps, because somebody may be storing the same bytes and has not written their
// record yet: it is set aside first, where readers still find it and writers do not, and goes or comes back
// when it is known whether a record names it. Any number of processes may do that with one store. Errors:
// kIo, kUnavailable, kForbidden, kDeadline.
class ObjectUpkeep {
  public:
    virtual ~ObjectUpkeep() = default;
    // Writes down in the store that `owner` (letters, digits and hyphens) has records of its objects. False:
    // others do, too, and what has no record here may have one there.
    virtual Task<Result<bool>> claim(std::string owner, Deadline deadline) = 0;
    // Objects that were stored before that time. `from`: the `next` of the page before; empty: the first one.
    // A page looks at about `limit` of them and may name none.
    virtual Task<Result<ObjectPage>> stored_before(
        std::int64_t unix_ms, std::string from, std::size_t limit, Deadline deadline
    ) = 0;
    // Succeeds when there is none.
    virtual Task<Result<void>> set_aside(std::string digest, Deadline deadline) = 0;
    // Those that were set aside before that time, at most `limit`.
    virtual Task<Result<std::vector<std::string>>> aside_before(
        std::int64_t unix_ms, std::size_t limit, Deadline deadline
    ) = 0;
    // Of an object that was set aside: it is as it was; or it is gone. Both leave one alone that was stored
    // anew.
    virtual Task<Result<void>> put_back(std::string digest, Deadline deadline) = 0;
    virtual Task<Result<void>> drop(std::string digest, Deadline deadline) = 0;
};

}  // namespace framegrid::api
