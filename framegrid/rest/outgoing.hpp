// Calls that clients make the gateway make: inputs by URL, messages to webhooks.
#pragma once

#include <framegrid/gateway/job_desk.hpp>
#include <framegrid/gateway/job_work.hpp>
#include <framegrid/http/client.hpp>

namespace framegrid::rest {

// Settings of a client for addresses that strangers choose: only public ones (unless `anywhere`),
// certificates checked.
http::ClientSettings stranger_client_settings(bool anywhere);

// What a redirect's Location names: an absolute http(s) URL, or a path on the same host. kForbidden: neither;
// kInvalidArgument.
Result<http::Url> redirect_target(const http::Url& from, std::string_view location);

// GET with at most five redirects, each checked like the first address. `client` outlives it.
class HttpFetcher final : public gateway::InputFetcher {
  public:
    HttpFetcher(http::Client& client, Clock& clock) : client_(client), clock_(clock) {}
    Task<Result<Blob>> fetch(std::string url, std::size_t limit, Deadline deadline) override;

  private:
    http::Client& client_;
    Clock& clock_;
};

// POST with the headers of Standard Webhooks 1.0: webhook-id, webhook-timestamp, webhook-signature ("v1," and
// base64 of HMAC-SHA256 over "{id}.{timestamp}.{body}"). Redirects are not followed.
class WebhookSender final : public gateway::MessageSender {
  public:
    WebhookSender(http::Client& client, Clock& clock, Bytes secret)
        : client_(client), clock_(clock), secret_(std::move(secret)) {}
    Task<Result<int>> send(job::Delivery message, Deadline deadline) override;

  private:
    http::Client& client_;
    Clock& clock_;
    Bytes secret_;
};

}  // namespace framegrid::rest
