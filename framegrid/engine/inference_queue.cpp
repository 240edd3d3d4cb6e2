#include <framegrid/engine/inference_queue.hpp>

#include <utility>

#include <framegrid/engine/stop_period.hpp>

#include <fmt/format.h>

namespace framegrid::engine {

namespace {

constexpr std::size_t kBatchesMax = 1000;

std::size_t rows_of(const auto& members) {
    std::int64_t rows = 0;
    for (const auto* member : members) {
        for (const auto* step : member->steps) {
            rows += step->rows;
        }
    }
    return static_cast<std::size_t>(rows);
}

Result<std::vector<api::Tensor>> predict_together(const auto& members) {
    std::vector<const diffusion::StepInput*> steps;
    for (const auto* member : members) {
        steps.insert(steps.end(), member->steps.begin(), member->steps.end());
    }
    return members.front()->pipeline->predict(steps);
}

}  // namespace

std::size_t InferenceQueue::jobs() {
    const std::scoped_lock lock(mutex_);
    return planner_.jobs();
}

std::size_t InferenceQueue::waiting() {
    const std::scoped_lock lock(mutex_);
    return planner_.waiting();
}

// Gives the free device to the most urgent job. Called with the mutex held.
void InferenceQueue::choose() {
    const TimePoint now = now_();
    auto turn = planner_.choose(now);
    if (turn.jobs.empty() || turn.not_before > now) {
        return;
    }
    turn_ = std::move(turn);
    planner_.begin(turn_);
    wake_.notify_all();
}

Result<bool> InferenceQueue::wait(
    JobId job, TurnPlanner::Call call, Request& request, const api::StopFlag& stop
) {
    if (stop.load(std::memory_order_relaxed)) {
        return fail(Errc::kCancelled, "the work was stopped");
    }
    std::unique_lock lock(mutex_);
    planner_.ask(job, std::move(call));
    requests_[job] = &request;
    while (true) {
        if (request.over) {
            break;
        }
        if (turn_.jobs.empty()) {
            choose();
        }
        if (!turn_.jobs.empty() && turn_.jobs.front() == job) {
            break;
        }
        // A job that is part of a running turn has lent its input to the leader.
        if (stop.load(std::memory_order_relaxed) && std::ranges::find(turn_.jobs, job) == turn_.jobs.end()) {
            planner_.withdraw(job);
            requests_.erase(job);
            return fail(Errc::kCancelled, "the work was stopped");
        }
        const bool held = turn_.jobs.empty();
        wake_.wait_for(lock, held ? std::chrono::milliseconds(1) : kStopPeriod);
    }
    requests_.erase(job);
    return !request.over;
}

std::pair<std::uint64_t, std::uint64_t> InferenceQueue::turns() {
    const std::scoped_lock lock(mutex_);
    return {turns_, turn_jobs_};
}

void InferenceQueue::finish(TimePoint began) {
    const std::scoped_lock lock(mutex_);
    const TimePoint now = now_();
    const auto turn = std::exchange(turn_, {});
    planner_.end(turn, now - began, now);
    ++turns_;
    turn_jobs_ += turn.jobs.size();
    for (const JobId job : turn.jobs) {
        if (const auto at = requests_.find(job); at != requests_.end()) {
            at->second->over = true;
        }
    }
    wake_.notify_all();
}

std::vector<InferenceQueue::Request*> InferenceQueue::members_of_turn() {
    const std::scoped_lock lock(mutex_);
    std::vector<Request*> members;
    for (const JobId job : turn_.jobs) {
        if (const auto at = requests_.find(job); at != requests_.end()) {
            members.push_back(at->second);
        }
    }
    return members;
}

void InferenceQueue::answer_each(std::span<Request* const> members) {
    for (Request* member : members) {
        member->answer = member->pipeline->predict(member->steps);
    }
}

// One call for all; when that fails, each by itself, so that one job's odd input is its own trouble.
void InferenceQueue::predict_turn(std::span<Request* const> members) {
    if (members.size() == 1) {
        return answer_each(members);
    }
    if (batching_ == Batching::kExact) {
        const auto& known = exact_[members.front()->batch];
        const auto found = known.find(rows_of(members));
        if (found == known.end()) {
            return try_out(members);
        }
        if (!found->second) {
            return answer_each(members);
        }
    }
    auto together = predict_together(members);
    if (!together) {
        return answer_each(members);
    }
    auto next = std::make_move_iterator(together->begin());
    for (Request* member : members) {
        const auto end = next + static_cast<std::ptrdiff_t>(member->steps.size());
        member->answer = std::vector<api::Tensor>(next, end);
        next = end;
    }
}

void InferenceQueue::try_out(std::span<Request* const> members) {
    answer_each(members);
    const auto together = predict_together(members);
    bool same = together.has_value();
    auto next = same ? together->begin() : std::vector<api::Tensor>::const_iterator();
    for (const Request* member : members) {
        for (std::size_t i = 0; same && i < member->steps.size(); ++i, ++next) {
            same = !member->answer->has_value() || (**member->answer)[i].values == next->values;
        }
    }
    if (exact_.size() > kBatchesMax) {
        exact_.clear();
    }
    exact_[members.front()->batch][rows_of(members)] = same;
}

InferenceQueue::Seat::Seat(InferenceQueue& queue, const api::Urgency& urgency, const api::StopFlag& stop)
    : queue_(queue), stop_(stop), job_(0) {
    const std::scoped_lock lock(queue_.mutex_);
    job_ = queue_.planner_.join(urgency);
}

InferenceQueue::Seat::~Seat() {
    const std::scoped_lock lock(queue_.mutex_);
    queue_.planner_.leave(job_);
    queue_.wake_.notify_all();  // nobody needs to hold a turn for it
}

Result<std::vector<api::Tensor>> InferenceQueue::Seat::predict(
    const diffusion::Pipeline& pipeline, std::span<const diffusion::StepInput* const> steps, int left
) {
    TurnPlanner::Call call{.batch = {}, .rows = 0, .left = left};
    call.batch = fmt::format("{} {}", fmt::ptr(&pipeline), steps.front()->batch);
    for (const auto* step : steps) {
        call.rows += step->rows;
    }
    Request request{.pipeline = &pipeline, .steps = steps};
    request.batch = call.batch;
    FG_TRY(leads, queue_.wait(job_, std::move(call), request, stop_));
    if (!leads) {
        if (!request.answer) {
            auto error = make_error(Errc::kUnavailable, "the job that led a shared call failed in it");
            return fail(std::move(error).with_disposition(Disposition::kRetry));
        }
        return std::move(*request.answer);
    }
    const Turn turn(queue_);
    std::vector<Request*> members = {&request};
    std::ranges::copy(queue_.members_of_turn(), std::back_inserter(members));
    queue_.predict_turn(members);
    return std::move(*request.answer);
}

}  // namespace framegrid::engine
