// Lets a request in: who sends it, what its route needs, how much is left.
#pragma once

#include <optional>

#include <framegrid/rest/authenticator.hpp>
#include <framegrid/rest/router.hpp>

namespace framegrid::rest {

struct GateStats {
    std::uint64_t unauthorized = 0;  // 401
    std::uint64_t forbidden = 0;     // 403
    std::uint64_t over_rate = 0;     // 429: requests per minute
    std::uint64_t over_jobs = 0;     // 429: jobs at once
    std::uint64_t undecided = 0;     // 503: nobody could say
};

// One executor. Without an authenticator everybody may do everything, as the one owner with the empty name.
class Gate {
  public:
    Gate(Authenticator* authenticator, Clock& clock) : authenticator_(authenticator), usage_(clock) {}

    // nullopt: `call` has its permit, owner and limits now. Else the refusal, as problem details.
    Task<std::optional<Answer>> admit(Call& call, const Route& route);
    bool open() const { return authenticator_ == nullptr; }
    const GateStats& stats() const { return stats_; }

  private:
    Answer refuse(const Call& call, const Error& error, bool has_token);
    std::optional<Answer> check_limits(Call& call, const Route& route);

    Authenticator* authenticator_;
    account::Usage usage_;
    GateStats stats_;
};

// The key or token of a request: "Authorization: Bearer X", else "X-API-Key: X"; empty: none.
std::string token_of(const http::Headers& headers);

}  // namespace framegrid::rest
