// Which endpoint a request is for.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/account/usage.hpp>
#include <framegrid/base/trace.hpp>
#include <framegrid/http/message.hpp>
#include <framegrid/rest/admission.hpp>
#include <framegrid/rest/answer.hpp>

namespace framegrid::rest {

struct Route;

// One request on its way through an endpoint. Lives in the handler's frame, longer than the endpoint's
// coroutine.
struct Call {
    http::Exchange& exchange;
    std::string request_id;
    std::vector<std::string> parameters;  // what the pattern's {} stood for, percent-decoded
    MemoryLease memory;                   // held until the answer has been sent
    // Sends a head, with what every answer of this gateway has. The endpoint may then write to the response.
    std::function<Task<Result<void>>(http::ResponseHead head)> start;
    std::string trace_id = {};     // 32 hex digits (W3C Trace Context), the caller's or made here
    TraceContext trace = {};       // the same, with the span that the answer is part of
    const Route* route = nullptr;  // once it is known
    std::string owner = {};        // whose jobs and files these are; empty: no authentication
    std::size_t bytes_in = 0;      // of the request's body
    std::size_t bytes_out = 0;     // written by the endpoint itself
    std::optional<account::Permit> permit = {};  // of whoever asked; nullopt: no authentication
    account::Usage::Running running = {};        // counts while the answer is being made
    http::Headers limit_headers = {};            // of the answer: how much is left
    // Whether what belongs to `whose` exists for the caller.
    bool sees(const std::string& whose) const { return whose == owner || is_admin(); }
    std::optional<account::Limits> key_limits() const {
        return permit ? std::optional(permit->limits) : std::nullopt;
    }
    bool is_admin() const { return permit && permit->scopes.has(account::Scope::kAdmin); }
    const http::Headers& headers() const { return exchange.head.headers; }
};

// Never fails: errors are answers, too.
using Endpoint = std::function<Task<Answer>(Call&)>;

enum class RouteKind : std::uint8_t {
    kPage,    // cheap; always answered
    kJob,     // counts against the limit of concurrent jobs
    kIntake,  // the same for this process, but no running job of its owner: what it brings is kept
};

// What a caller needs when there is authentication. GET and HEAD need the scope to read.
enum class Access : std::uint8_t {
    kJobs,  // jobs:read or jobs:write
    kArtifacts,
    kSignedOrArtifacts,  // the same; or the URL has a signature, which the endpoint checks
    kLive,               // live:write
    kOpen,               // nothing
};

// How a route's errors are written, those of the gate and the router included.
enum class ErrorForm : std::uint8_t {
    kOwn,     // as the endpoint does
    kOpenAi,  // {"error":{"message","type","param","code"}}
};

struct Route {
    std::string method;   // GET serves HEAD as well
    std::string pattern;  // "/stream/{}/{}": {} is one segment; a final {*} is everything that is left
    RouteKind kind = RouteKind::kPage;
    Endpoint endpoint;
    Access access = Access::kJobs;  // a route that says nothing is not open
    ErrorForm errors = ErrorForm::kOwn;
};

struct Match {
    const Route* route = nullptr;
    std::vector<std::string> parameters;
    std::string allow;  // the methods of this path ("GET, HEAD"); empty: nobody knows the path
    ErrorForm errors = ErrorForm::kOwn;
};

class Router {
  public:
    void add(Route route);
    // One trailing slash is ignored.
    Match find(std::string_view method, std::string_view path) const;
    // "GET /v1/jobs/{}" of every route, in the order in which they were added.
    std::vector<std::string> names() const;

    // Routes that are methods of `api`, which outlives this.
    template <class Api>
    struct Method {
        std::string method;
        std::string pattern;
        RouteKind kind = RouteKind::kPage;
        Task<Answer> (Api::*serve)(Call&) = nullptr;
        Access access = Access::kJobs;
    };
    template <class Api>
    void add(Api& api, std::initializer_list<Method<Api>> methods, ErrorForm errors = ErrorForm::kOwn) {
        for (const auto& one : methods) {
            add(
                {one.method, one.pattern, one.kind,
                 [&api, serve = one.serve](Call& call) { return (api.*serve)(call); }, one.access, errors}
            );
        }
    }

  private:
    struct Entry {
        Route route;
        std::vector<std::string> segments;
        bool takes_rest = false;
    };
    std::vector<Entry> entries_;
};

}  // namespace framegrid::rest
