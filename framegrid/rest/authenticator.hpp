// Port: who sends a request, and what they may do.
#pragma once

#include <string>

#include <framegrid/account/permit.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::rest {

// What is known of a request before it is served.
struct AccessRequest {
    std::string token{};  // an API key, a JWT or whatever a webhook knows; empty: the request shows none
    std::string method{};
    std::string path{};
    std::string url{};  // as the client addressed this gateway, without a query
    std::string peer{};
    bool is_live = false;  // a pushed segment
};

// One executor. Outlives every request.
class Authenticator {
  public:
    virtual ~Authenticator() = default;
    // kUnauthorized: unknown, expired, revoked; kForbidden: known and refused; kUnavailable, kCapacity: it
    // cannot be said now.
    virtual Task<Result<account::Permit>> authenticate(AccessRequest request) = 0;
    // Of an owner's jobs that are not being asked for right now. Nothing is known of some: no limits.
    virtual account::Limits limits_of(const std::string& owner) const = 0;
    // Keeps up with what others change, until cancelled.
    virtual Task<Result<bool>> serve() = 0;
};

}  // namespace framegrid::rest
