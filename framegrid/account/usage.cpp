#include <framegrid/account/usage.hpp>

namespace framegrid::account {

namespace {

constexpr Duration kMinute = std::chrono::minutes(1);

}  // namespace

RateVerdict TokenBucket::take(std::uint32_t per_minute, TimePoint now) {
    RateVerdict out;
    out.limit = per_minute;
    if (per_minute == 0) {
        return out;
    }
    const Duration token = kMinute / per_minute;
    const Duration whole = token * per_minute;
    const TimePoint full_at = std::max(full_at_, now) + token;
    const Duration missing = full_at - now;  // with this one
    out.allowed = missing <= whole;
    if (out.allowed) {
        full_at_ = full_at;
        out.remaining = static_cast<std::uint32_t>((whole - missing) / token);
        out.wait = out.remaining > 0 ? Duration{} : missing + token - whole;
        out.reset = missing;
    } else {
        out.wait = missing - whole;
        out.reset = missing - token;
    }
    return out;
}

RateVerdict Usage::count_request(const Permit& permit) {
    if (permit.limits.requests_per_minute == 0) {
        return {};
    }
    const TimePoint now = clock_.now();
    if (buckets_.size() >= settings_.subjects_max || now - swept_at_ >= kMinute) {
        swept_at_ = now;
        std::erase_if(buckets_, [now](const auto& bucket) { return bucket.second.full(now); });
    }
    if (buckets_.size() >= settings_.subjects_max && !buckets_.contains(permit.subject)) {
        return {false, permit.limits.requests_per_minute, 0, kMinute, kMinute};
    }
    return buckets_[permit.subject].take(permit.limits.requests_per_minute, now);
}

Result<Usage::Running> Usage::begin_job(const Permit& permit) {
    const auto most = permit.limits.running_max;
    if (most != 0 && running_of(permit.owner) >= most) {
        return fail(
            Errc::kCapacity,
            "you run as many jobs at once as you may: " + std::to_string(most) + "; wait for one to end",
            "concurrent_jobs"
        );
    }
    ++running_[permit.owner];
    return Running(*this, permit.owner);
}

Usage::Running::~Running() {
    if (usage_ == nullptr) {
        return;
    }
    const auto found = usage_->running_.find(owner_);
    if (found != usage_->running_.end() && --found->second == 0) {
        usage_->running_.erase(found);
    }
}

std::size_t Usage::running_of(const std::string& owner) const {
    const auto found = running_.find(owner);
    return found == running_.end() ? 0 : found->second;
}

}  // namespace framegrid::account
