#include <framegrid/rest/key_auth.hpp>

#include <framegrid/runtime/async.hpp>

namespace framegrid::rest {

namespace {

constexpr std::size_t kPage = 1'000;

}  // namespace

Task<Result<void>> KeyAuthenticator::refresh() {
    for (;;) {
        auto changed = co_await store_.changed_after(ring_.last_change(), kPage);
        if (!changed) {
            co_return fail(std::move(changed.error()));
        }
        const bool more = changed->size() == kPage;
        if (ring_.size() + changed->size() > settings_.keys_max) {
            co_return fail(Errc::kCapacity, "there are more API keys than this gateway may hold");
        }
        ring_.update(*std::move(changed));
        if (!more) {
            co_return Result<void>{};
        }
    }
}

Task<Result<account::Permit>> KeyAuthenticator::authenticate(AccessRequest request) {
    if (request.token.empty()) {
        co_return fail(Errc::kUnauthorized, "this gateway wants an API key");
    }
    co_return ring_.find(request.token, clock_.unix_ms());
}

account::Limits KeyAuthenticator::limits_of(const std::string& owner) const {
    return ring_.limits_of(owner, clock_.unix_ms());
}

Task<Result<bool>> KeyAuthenticator::serve() {
    bool failing = false;
    for (;;) {
        co_await sleep_for(clock_, settings_.look_period);
        const auto refreshed = co_await refresh();
        if (!refreshed && !failing) {
            log_.warn("rest.keys_not_read", {{"error", refreshed.error().message}});
        }
        failing = !refreshed;
    }
}

}  // namespace framegrid::rest
