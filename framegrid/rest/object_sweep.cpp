#include <framegrid/rest/object_sweep.hpp>

#include <algorithm>

namespace framegrid::rest {

namespace {

constexpr std::size_t kUnusedMax = 10'000;  // more are found as orphans
constexpr std::size_t kAtOnce = 100;
constexpr Duration kSettlePeriod = std::chrono::seconds(30);

}  // namespace

ObjectSweep::ObjectSweep(
    api::ObjectUpkeep& objects, api::ArtifactIndex& index, Clock& clock, Logger log,
    ObjectSweepSettings settings
)
    : objects_(objects),
      index_(index),
      clock_(clock),
      log_(std::move(log)),
      settings_(std::move(settings)),
      look_at_(clock_.now() + settings_.page_pause) {}

void ObjectSweep::unused(std::string digest) {
    if (unused_.size() < kUnusedMax) {
        unused_.push_back(std::move(digest));
    }
}

Task<void> ObjectSweep::work() {
    note(co_await set_aside_unused());
    const TimePoint now = clock_.now();
    if (now >= settle_at_) {
        settle_at_ = now + std::min(kSettlePeriod, settings_.orphan_life);
        const auto settled = co_await settle_aside();
        note(settled);
        if (!settled) {
            settle_at_ = now + settings_.round_pause;  // a key that may not list stays so for a while
        }
    }
    if (now >= look_at_) {
        look_at_ = now + settings_.page_pause;
        const auto looked = co_await look_for_orphans();
        note(looked);
        if (!looked) {
            from_.clear();
        }
        if (from_.empty()) {
            look_at_ = clock_.now() + settings_.round_pause;
        }
    }
}

void ObjectSweep::note(const Result<void>& done) {
    if (!done) {
        log_.warn("rest.objects_not_swept", {{"error", done.error().message}});
    }
}

Task<Result<void>> ObjectSweep::set_aside_unused() {
    std::vector<std::string> some;
    while (!unused_.empty() && some.size() < kAtOnce) {
        some.push_back(std::move(unused_.front()));
        unused_.pop_front();
    }
    if (some.empty()) {
        co_return Result<void>{};
    }
    auto unnamed = co_await index_.unnamed(std::move(some));
    if (!unnamed) {
        co_return fail(std::move(unnamed.error()));
    }
    co_return co_await set_aside(*std::move(unnamed));
}

Task<Result<void>> ObjectSweep::set_aside(std::vector<std::string> orphans) {
    for (auto& digest : orphans) {
        FG_CO_CHECK(co_await objects_.set_aside(std::move(digest), soon()));
    }
    co_return Result<void>{};
}

// By now whoever was storing the same bytes has written the record, or never will.
Task<Result<void>> ObjectSweep::settle_aside() {
    auto aside = co_await objects_.aside_before(old_unix_ms(), kAtOnce, soon());
    if (!aside) {
        co_return fail(std::move(aside.error()));
    }
    if (aside->empty()) {
        co_return Result<void>{};
    }
    const auto unnamed = co_await index_.unnamed(*aside);
    if (!unnamed) {
        co_return fail(unnamed.error());
    }
    for (const auto& digest : *aside) {
        if (std::ranges::contains(*unnamed, digest)) {
            FG_CO_CHECK(co_await objects_.drop(digest, soon()));
        } else {
            FG_CO_CHECK(co_await objects_.put_back(digest, soon()));
        }
    }
    co_return Result<void>{};
}

Task<Result<void>> ObjectSweep::look_for_orphans() {
    // Before each page: another database may have come to the same place meanwhile.
    const auto alone = co_await objects_.claim(settings_.owner, soon());
    if (!alone) {
        co_return fail(alone.error());
    }
    if (!*alone) {
        from_.clear();
        log_.info(
            "rest.objects_shared",
            {{"advice", "gateways with other databases have files here, too: none is taken for an orphan"}}
        );
        co_return Result<void>{};
    }
    auto page = co_await objects_.stored_before(old_unix_ms(), from_, settings_.page, soon());
    if (!page) {
        co_return fail(std::move(page.error()));
    }
    from_ = std::move(page->next);
    if (page->digests.empty()) {
        co_return Result<void>{};
    }
    auto orphans = co_await index_.unnamed(std::move(page->digests));
    if (!orphans) {
        co_return fail(std::move(orphans.error()));
    }
    if (!orphans->empty()) {
        log_.info("rest.orphans_found", {{"objects", orphans->size()}});
    }
    co_return co_await set_aside(*std::move(orphans));
}

}  // namespace framegrid::rest
