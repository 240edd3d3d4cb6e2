// Bytes that no record names leave the store of objects.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include <framegrid/api/artifact_index.hpp>
#include <framegrid/api/object_upkeep.hpp>
#include <framegrid/base/log.hpp>

namespace framegrid::rest {

struct ObjectSweepSettings {
    std::string owner;  // of the records, among all databases that may have some of the same objects
    // An object without a record that is younger may get one; so long one that was set aside stays there.
    Duration orphan_life = std::chrono::minutes(10);
    Duration access_time_max = std::chrono::minutes(2);
    std::size_t page = 256;  // objects looked at in one piece of work
    Duration page_pause = std::chrono::seconds(5);
    Duration round_pause = std::chrono::hours(1);  // after all of them have been looked at
};

// A job that is cancelled, or a gateway that is killed, between the end of an object and its record leaves an
// orphan. Each gateway goes through the whole store, a page at a time; what several of them find is removed
// once. The references outlive it.
class ObjectSweep {
  public:
    ObjectSweep(
        api::ObjectUpkeep& objects, api::ArtifactIndex& index, Clock& clock, Logger log,
        ObjectSweepSettings settings
    );
    // These bytes have just lost their last record.
    void unused(std::string digest);
    // What is due, a bounded piece of it.
    Task<void> work();

  private:
    Deadline soon() const { return Deadline::after(clock_, settings_.access_time_max); }
    std::int64_t old_unix_ms() const { return clock_.unix_ms() - milliseconds(settings_.orphan_life); }
    Task<Result<void>> set_aside_unused();
    Task<Result<void>> settle_aside();
    Task<Result<void>> look_for_orphans();
    Task<Result<void>> set_aside(std::vector<std::string> orphans);
    void note(const Result<void>& done);

    api::ObjectUpkeep& objects_;
    api::ArtifactIndex& index_;
    Clock& clock_;
    Logger log_;
    const ObjectSweepSettings settings_;
    std::deque<std::string> unused_;
    TimePoint settle_at_{};
    TimePoint look_at_{};
    std::string from_;  // the next page of this round
};

}  // namespace framegrid::rest
