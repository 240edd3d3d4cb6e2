// Where the list of orchestrators comes from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/log.hpp>
#include <framegrid/gateway/gateway.hpp>
#include <framegrid/http/client.hpp>

namespace framegrid::rest {

// "host:port", "https://host:port", "http://host/": the URI to use, without a trailing slash.
Result<std::string> normal_service_uri(std::string_view text);

// A list that only its operator changes.
class StaticSource final : public gateway::OrchestratorSource {
  public:
    // kInvalidArgument names the entry that is no URL. Repetitions are dropped.
    static Result<StaticSource> make(const std::vector<std::string>& addresses);
    // As make(); on an error the old list stays.
    Result<void> replace(const std::vector<std::string>& addresses);
    Task<Result<std::vector<std::string>>> list(Deadline deadline) override;

  private:
    explicit StaticSource(std::vector<std::string> uris) : uris_(std::move(uris)) {}
    std::vector<std::string> uris_;
};

// What a discovery webhook answers: [{"address": "https://...", "score": 1.0}, ...].
struct OrchestratorList {
    std::vector<std::string> uris;
    std::size_t refused = 0;  // malformed entries
    std::string first_refused;
};
// kProtocol when it is not a JSON array; single malformed entries are only counted.
Result<OrchestratorList> parse_orchestrator_list(std::string_view json);

// Asks a webhook with GET each time. An error leaves the last good list in use (the gateway keeps it).
class WebhookSource final : public gateway::OrchestratorSource {
  public:
    // `client` outlives the source.
    WebhookSource(http::Client& client, Clock& clock, http::Url url, Logger log)
        : client_(client), clock_(clock), url_(std::move(url)), log_(std::move(log)) {}
    Task<Result<std::vector<std::string>>> list(Deadline deadline) override;

  private:
    http::Client& client_;
    Clock& clock_;
    const http::Url url_;
    Logger log_;
};

}  // namespace framegrid::rest
