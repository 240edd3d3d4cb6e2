// A worker's hardware: takes virtual time, and crashes, hangs, slows down or answers rubbish when told to.
#pragma once

#include <cstdint>

#include <framegrid/api/work.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::sim {

// Chances per task. Shared by all devices of a world, so that healing is one assignment.
struct DeviceFaults {
    double crash = 0;    // the executor process dies under the task
    double hang = 0;     // nothing happens until the deadline
    double slow = 0;     // takes 10 times as long
    double garbage = 0;  // answers something that is not what was asked for
};

struct DeviceStats {
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
    std::uint64_t rejected = 0;  // poison
    std::uint64_t early = 0;     // files told of before their task's end
    std::size_t running = 0;
    std::size_t running_max = 0;
};

class Device final : public api::WorkExecutor {
  public:
    // speed: seconds of work per second of media; for AI per job.
    Device(Clock& clock, Random& random, const DeviceFaults& faults, double speed)
        : clock_(clock), random_(random), faults_(faults), speed_(speed) {}

    Task<Result<api::WorkOutput>> run(api::Work work, Deadline deadline, api::WorkEvents events) override;
    void end_session(const std::string&) override {}
    const DeviceStats& stats() const { return stats_; }

    bool sick = false;  // every task hangs, until healed

  private:
    Duration duration_of(const api::Work& work);
    Task<void> pass(Duration duration, const api::ProgressSink& progress);
    Task<void> make_early(const api::Work& work, Duration duration, const api::ArtifactSink& early);
    static api::WorkOutput garbage(api::WorkOutput honest, std::uint64_t kind);

    Clock& clock_;
    Random& random_;
    const DeviceFaults& faults_;
    double speed_;
    DeviceStats stats_;
};

}  // namespace framegrid::sim
