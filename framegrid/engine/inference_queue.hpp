// The jobs of one process at its inference device: network calls one after the other, in the planner's order,
// and denoising steps of several jobs as one call.
//
// Each job runs on a thread of its own, which blocks here until its turn has come. Between its turns it
// decodes, encodes and prepares while others use the device.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/diffusion/pipeline.hpp>
#include <framegrid/engine/turn_planner.hpp>

namespace framegrid::engine {

enum class Batching : std::uint8_t {
    // Steps share calls only where that changes no bit of what each would get alone, so that a seed gives the
    // same result whoever else is there. Tried out for each model, shape and number of rows, once.
    kExact,
    kAny,
};

// Thread-safe. Outlives its seats.
class InferenceQueue {
  public:
    class Seat;

    // `now`: a monotonic clock; may be called by any thread.
    explicit InferenceQueue(
        std::function<TimePoint()> now, TurnLimits limits = {}, Batching batching = Batching::kExact
    )
        : now_(std::move(now)), planner_(limits), batching_(batching) {}

    // Jobs with a seat, and those of them that wait for the device.
    std::size_t jobs();
    std::size_t waiting();
    // Of the device so far, and the jobs in them together.
    std::pair<std::uint64_t, std::uint64_t> turns();

  private:
    // What a job waits for, on its thread's stack.
    struct Request {
        const diffusion::Pipeline* pipeline = nullptr;  // null: the thread makes its call itself
        std::span<const diffusion::StepInput* const> steps{};
        std::string batch{};
        std::optional<Result<std::vector<api::Tensor>>> answer{};
        bool over = false;  // another job's thread has led its turn; guarded by the queue's mutex
    };
    using JobId = TurnPlanner::JobId;

    // Waits until `job` leads a turn (true), or its request was answered by the one that does (false).
    Result<bool> wait(JobId job, TurnPlanner::Call call, Request& request, const api::StopFlag& stop);
    void choose();
    void finish(TimePoint began);
    void predict_turn(std::span<Request* const> members);
    void try_out(std::span<Request* const> members);
    static void answer_each(std::span<Request* const> members);
    std::vector<Request*> members_of_turn();

    std::function<TimePoint()> now_;
    std::mutex mutex_;
    std::condition_variable wake_;
    TurnPlanner planner_;
    Batching batching_;
    std::map<JobId, Request*> requests_;
    // By batch: whether calls of so many rows gave everybody the same bits. Used by the turn's leader.
    std::map<std::string, std::map<std::size_t, bool>, std::less<>> exact_;
    std::uint64_t turns_ = 0;
    std::uint64_t turn_jobs_ = 0;
    TurnPlanner::Turn turn_;  // of which the first job is the leader; no jobs: the device is free
};

// One job's place. For one thread.
class InferenceQueue::Seat {
  public:
    // `stop` outlives the seat.
    Seat(InferenceQueue& queue, const api::Urgency& urgency, const api::StopFlag& stop);
    ~Seat();
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;

    // Calls `call` while this job has the device to itself. `left`: calls to come, this one included.
    // kCancelled: the job was stopped before, or while it waited.
    template <class Call>
    auto alone(Call&& call, int left = 1) -> std::invoke_result_t<Call>;
    // The pipeline's answers to `steps`, perhaps in one call with other jobs' steps. kCancelled as above;
    // else as Pipeline::predict().
    Result<std::vector<api::Tensor>> predict(
        const diffusion::Pipeline& pipeline, std::span<const diffusion::StepInput* const> steps, int left
    );

  private:
    // Ends the turn that this job leads, also when its call throws.
    class Turn;

    InferenceQueue& queue_;
    const api::StopFlag& stop_;
    JobId job_;
};

class InferenceQueue::Seat::Turn {
  public:
    explicit Turn(InferenceQueue& queue) : queue_(queue), began_(queue.now_()) {}
    ~Turn() { queue_.finish(began_); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

  private:
    InferenceQueue& queue_;
    TimePoint began_;
};

template <class Call>
auto InferenceQueue::Seat::alone(Call&& call, int left) -> std::invoke_result_t<Call> {
    Request request;
    FG_TRY(leads, queue_.wait(job_, {.batch = {}, .rows = 1, .left = left}, request, stop_));
    FG_ASSERT(leads);
    const Turn turn(queue_);
    return std::forward<Call>(call)();
}

}  // namespace framegrid::engine
