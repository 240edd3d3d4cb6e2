// An operator's own service says who may do what.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>

#include <framegrid/http/client.hpp>
#include <framegrid/rest/authenticator.hpp>
#include <framegrid/rest/seen_limits.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::rest {

struct WebhookAuthSettings {
    http::Url url;
    Duration cache_time = std::chrono::seconds(30);  // of an answer, at most; 0: each request is asked about
    Duration refusal_cache_time = std::chrono::seconds(5);
    std::size_t cache_max = 10'000;
    Duration time_max = std::chrono::seconds(3);
    std::size_t calls_max = 64;  // at once; more requests get 503
};

// POST {"method","path","url","key","peer"}; 200 {"owner","scopes","limits","cache_seconds"} lets it in
// (docs/auth.md). What the network's gateways know as auth webhook ({"url"}; 200 with {"manifestID"} or
// nothing) lets pushed segments in, too. `client` outlives it, and checks certificates.
class WebhookAuthenticator final : public Authenticator {
  public:
    WebhookAuthenticator(http::Client& client, Clock& clock, WebhookAuthSettings settings)
        : client_(client), clock_(clock), settings_(std::move(settings)) {}

    Task<Result<account::Permit>> authenticate(AccessRequest request) override;
    account::Limits limits_of(const std::string& owner) const override { return seen_.of(owner); }
    Task<Result<bool>> serve() override;

  private:
    struct Decision {
        Result<account::Permit> permit = fail(Errc::kUnavailable, "");
        Duration keep{};
    };
    struct Kept {
        Result<account::Permit> permit;
        TimePoint until;
    };
    Task<Decision> ask(AccessRequest request);
    void keep(std::string key, const Decision& decision);

    http::Client& client_;
    Clock& clock_;
    const WebhookAuthSettings settings_;
    std::unordered_map<std::string, Kept> kept_;  // by a digest of the request: no key is kept
    std::deque<std::string> order_;               // of kept_, oldest first
    std::size_t calls_ = 0;
    SeenLimits seen_;
};

}  // namespace framegrid::rest
