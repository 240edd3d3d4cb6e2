// A remote signer over HTTP (protocol section 5.12): /sign-orchestrator-info, /generate-live-payment,
// /discover-orchestrators; ours: /sign-tickets, /sign-segment, /sign-receipts.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/log.hpp>
#include <framegrid/http/message.hpp>
#include <framegrid/signer/signer.hpp>

namespace framegrid::wire {

// As much as a node's book of an hour may have, and some.
inline constexpr std::size_t kReceiptsBytesMax = (std::size_t{1} << 30) + (1 << 20);

struct SignerServerSettings {
    std::size_t body_bytes_max = 256 * 1024;
    std::size_t receipts_bytes_max = kReceiptsBytesMax;  // of an hour; never in memory at once
    std::vector<std::string> orchestrators{};            // what /discover-orchestrators names
};

// One executor. Outlives its requests.
class SignerServer {
  public:
    // Who shows this key ("Authorization: Bearer KEY"); nullopt: nobody known.
    using FindCaller = std::function<std::optional<signer::Caller>(std::string_view key)>;
    SignerServer(signer::Signer& signer, FindCaller find, Logger log, SignerServerSettings settings = {})
        : signer_(signer), find_(std::move(find)), log_(std::move(log)), settings_(std::move(settings)) {}

    Task<void> serve(http::Exchange& exchange);

  private:
    struct Reply {
        int status = 200;
        std::string json;
        std::string orchestrator_url{};  // of whom to ask for a new info; not empty with kRefreshInfo alone
    };
    Task<Reply> answer(http::Exchange& exchange);
    Task<Reply> sign_tickets(signer::Caller caller, Blob body);
    Task<Reply> sign_segment(Blob body);
    Task<Reply> sign_receipts(http::Exchange& exchange);
    Task<Reply> pay_live(signer::Caller caller, Blob body);
    Reply info() const;
    Reply orchestrators() const;
    Reply refusal(const Error& error) const;

    signer::Signer& signer_;
    FindCaller find_;
    Logger log_;
    const SignerServerSettings settings_;
};

}  // namespace framegrid::wire
