#include <sim/device.hpp>

#include <algorithm>

#include <framegrid/runtime/async.hpp>
#include <sim/payload.hpp>

namespace framegrid::sim {

namespace {

class Running {
  public:
    explicit Running(DeviceStats& stats) : stats_(stats) {
        stats_.running_max = std::max(stats_.running_max, ++stats_.running);
    }
    ~Running() { --stats_.running; }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

  private:
    DeviceStats& stats_;
};

}  // namespace

Duration Device::duration_of(const api::Work& work) {
    double seconds = 1;
    if (const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind)) {
        seconds = static_cast<double>(transcode->duration_ms) / 1000;
    }
    seconds *= speed_ * (0.8 + 0.4 * random_.unit());
    return Duration(static_cast<Duration::rep>(seconds * 1e9));
}

// Takes the time of the whole task, and tells of all files but the last one while it passes.
Task<void> Device::make_early(const api::Work& work, Duration duration, const api::ArtifactSink& early) {
    const auto output = make_output(work);
    const auto count = static_cast<Duration::rep>(output.artifacts.size());
    for (std::size_t i = 0; i < output.artifacts.size(); ++i) {
        co_await sleep_for(clock_, duration / count);
        if (i + 1 < output.artifacts.size()) {
            ++stats_.early;
            early(i, output.artifacts[i]);
        }
    }
}

// Takes the time of the whole task, and tells how far it is.
Task<void> Device::pass(Duration duration, const api::ProgressSink& progress) {
    constexpr int kSteps = 4;
    if (!progress) {
        co_await sleep_for(clock_, duration);
        co_return;
    }
    for (int step = 1; step <= kSteps; ++step) {
        co_await sleep_for(clock_, duration / kSteps);
        progress({step, kSteps, {}});
    }
}

Task<Result<api::WorkOutput>> Device::run(api::Work work, Deadline deadline, api::WorkEvents events) {
    const api::ArtifactSink& early = events.artifact;
    const Running running(stats_);
    Duration duration = duration_of(work);
    const bool hangs = sick || random_.chance(faults_.hang);
    const bool crashes = random_.chance(faults_.crash);
    if (random_.chance(faults_.slow)) {
        duration *= 10;
    }
    if (hangs || clock_.now() + duration > deadline.at) {
        co_await sleep_until(clock_, deadline.at);
        ++stats_.failed;
        co_return fail(Errc::kDeadline, "the executor did not finish in time");
    }
    if (crashes) {
        if (early) {
            co_await make_early(work, duration / 2, early);
        } else {
            co_await pass(duration / 2, events.progress);
        }
        ++stats_.failed;
        co_return fail(Errc::kUnavailable, "the executor died");
    }
    if (early && !work.input.text().starts_with(kPoison)) {
        co_await make_early(work, duration, early);
    } else {
        co_await pass(work.input.text().starts_with(kPoison) ? duration / 10 : duration, events.progress);
    }
    if (work.input.text().starts_with(kPoison)) {
        ++stats_.rejected;
        co_return fail(Errc::kUnprocessable, "this is not media");
    }
    ++stats_.done;
    auto output = make_output(work);
    if (random_.chance(faults_.garbage)) {
        co_return garbage(std::move(output), random_.below(4));
    }
    co_return output;
}

api::WorkOutput Device::garbage(api::WorkOutput honest, std::uint64_t kind) {
    // Only transcoding promises a form; what is in a picture is looked at by nobody yet.
    if (honest.artifacts.front().content_type != "video/mp2t") {
        kind = 0;
    }
    switch (kind) {
        case 0:
            honest.artifacts.clear();
            break;
        case 1:
            honest.artifacts.front().bytes = Blob::copy_of("no");
            break;
        case 2:
            honest.artifacts.pop_back();
            break;
        default:
            honest.artifacts.front().bytes =
                Blob::copy_of("half a packet of something that is no video at all");
            break;
    }
    return honest;
}

}  // namespace framegrid::sim
