// API keys of the store, kept in memory and followed.
#pragma once

#include <framegrid/account/key_ring.hpp>
#include <framegrid/api/key_store.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/rest/authenticator.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::rest {

struct KeyAuthSettings {
    Duration look_period = std::chrono::milliseconds(500);  // so old is a change at most when it works
    std::size_t keys_max = 1'000'000;                       // in memory; later ones are not accepted
};

// `store` and `clock` outlive it. When the store cannot be read, the keys that are known go on working.
class KeyAuthenticator final : public Authenticator {
  public:
    KeyAuthenticator(api::KeyStore& store, Clock& clock, Logger log, KeyAuthSettings settings = {})
        : store_(store), clock_(clock), log_(std::move(log)), settings_(settings) {}

    // Takes over what changed. Before the first request, and then by serve().
    Task<Result<void>> refresh();
    Task<Result<account::Permit>> authenticate(AccessRequest request) override;
    account::Limits limits_of(const std::string& owner) const override;
    Task<Result<bool>> serve() override;

  private:
    api::KeyStore& store_;
    Clock& clock_;
    Logger log_;
    const KeyAuthSettings settings_;
    account::KeyRing ring_;
};

}  // namespace framegrid::rest
