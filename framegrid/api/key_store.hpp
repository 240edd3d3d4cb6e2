// Port: the records of API keys. Beside the jobs in the same database; the command line and the gateway use
// it at the same time from their own processes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <framegrid/account/api_key.hpp>
#include <framegrid/account/spend.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::api {

inline constexpr int kSpendSeriesMax = 1'000;

// Every change is durable when its task is done, and gets a number higher than all before it; whoever sees a
// number has seen those below. Records are never deleted: a key that was used once can be named. Errors: kIo,
// kNotFound.
class KeyStore {
  public:
    virtual ~KeyStore() = default;
    // kInvalidArgument (field "id") when that id is there already.
    virtual Task<Result<void>> add(account::KeyRecord record) = 0;
    virtual Task<Result<account::KeyRecord>> find(std::string id) = 0;
    // Oldest first. An empty owner: everybody's.
    virtual Task<Result<std::vector<account::KeyRecord>>> list(std::string owner) = 0;
    // From that time on. A time that is set already is only brought forward. Returns the record afterwards.
    virtual Task<Result<account::KeyRecord>> revoke(std::string id, std::int64_t at_unix_ms) = 0;
    // Adds `fresh` and revokes `id` from that time on, both or neither.
    virtual Task<Result<void>> rotate(std::string id, account::KeyRecord fresh, std::int64_t at_unix_ms) = 0;
    // See account::top_up(), for all keys of that owner or none. Returns the raised ones afterwards.
    virtual Task<Result<std::vector<account::KeyRecord>>> top_up(
        std::string owner, account::Wei more, std::int64_t now_unix_ms
    ) = 0;
    // What changed after that number, in the order of changes; at most `limit`.
    virtual Task<Result<std::vector<account::KeyRecord>>> changed_after(
        std::uint64_t change, std::size_t limit
    ) = 0;

    // What an owner's paid jobs have cost; one that has had none: nothing.
    virtual Task<Result<account::Spent>> spent(std::string owner) = 0;
    // What `series`, a name that one gateway has drawn for itself and one day, counts in all, see
    // account::after(). Said twice or late it counts once. Returns the sum, of all gateways that use the
    // store. Of an owner, kSpendSeriesMax series are remembered, the newest ones.
    virtual Task<Result<account::Spent>> count_spent(
        std::string owner, std::string series, std::int64_t day, account::Counted counted
    ) = 0;
};

}  // namespace framegrid::api
