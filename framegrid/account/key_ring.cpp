#include <framegrid/account/key_ring.hpp>

#include <algorithm>

namespace framegrid::account {

namespace {

std::uint32_t larger(std::uint32_t a, std::uint32_t b) {
    return a == 0 || b == 0 ? 0 : std::max(a, b);
}

std::optional<Wei> larger(const std::optional<Wei>& a, const std::optional<Wei>& b) {
    return !a || !b ? std::nullopt : std::optional<Wei>(std::max(*a, *b));
}

}  // namespace

void KeyRing::update(std::vector<KeyRecord> changed) {
    for (auto& record : changed) {
        last_change_ = std::max(last_change_, record.change);
        const std::string id = record.id;
        if (!keys_.contains(id)) {
            ids_of_owner_[record.owner].push_back(id);
        }
        keys_.insert_or_assign(id, std::move(record));
    }
}

Result<Permit> KeyRing::find(std::string_view key, std::int64_t now_unix_ms) const {
    FG_TRY(shown, parse_key(key));
    static const KeyRecord nobody;
    const auto found = keys_.find(shown.id);
    const auto& record = found == keys_.end() ? nobody : found->second;
    const bool same = crypto::equal_constant_time(record.secret_sha256, shown.secret_sha256);
    if (found == keys_.end() || !same) {
        return fail(Errc::kUnauthorized, "this gateway does not know that API key");
    }
    switch (state_of(record, now_unix_ms)) {
        case KeyState::kExpired:
            return fail(Errc::kUnauthorized, "the API key has expired");
        case KeyState::kRevoked:
            return fail(Errc::kUnauthorized, "the API key was revoked");
        case KeyState::kActive:
            break;
    }
    return Permit{record.owner, record.id, record.scopes, record.limits};
}

Limits KeyRing::limits_of(const std::string& owner, std::int64_t now_unix_ms) const {
    const auto ids = ids_of_owner_.find(owner);
    if (ids == ids_of_owner_.end()) {
        return {};
    }
    std::optional<Limits> out;
    for (const auto& id : ids->second) {
        const auto& record = keys_.at(id);
        if (state_of(record, now_unix_ms) != KeyState::kActive) {
            continue;
        }
        if (!out) {
            out = record.limits;
            continue;
        }
        out->running_max = larger(out->running_max, record.limits.running_max);
        out->queued_max = larger(out->queued_max, record.limits.queued_max);
        out->requests_per_minute = larger(out->requests_per_minute, record.limits.requests_per_minute);
        out->wei_per_day = larger(out->wei_per_day, record.limits.wei_per_day);
        out->wei_total = larger(out->wei_total, record.limits.wei_total);
        out->weight = std::max(out->weight, record.limits.weight);
    }
    return out.value_or(Limits{});
}

}  // namespace framegrid::account
