#include <framegrid/engine/inference_queue.hpp>

#include <atomic>
#include <chrono>
#include <latch>
#include <optional>

#include <gtest/gtest.h>

#include <framegrid/diffusion/toy_networks_for_test.hpp>
#include <framegrid/engine/threads_for_test.hpp>

namespace framegrid::engine {
namespace {

using diffusion::testing::ToyModel;
using diffusion::testing::ToyPipeline;
using testing::OnThread;
using Answer = Result<std::vector<api::Tensor>>;

diffusion::Request request(std::uint64_t seed, int steps) {
    diffusion::Request out;
    out.prompt = "a red ball";
    out.width = 8;
    out.height = 8;
    out.steps = steps;
    out.seed = seed;
    return out;
}

class InferenceQueueTest : public ::testing::Test {
  protected:
    InferenceQueueTest() {
        toy.unet.answer = [this, original = toy.unet.answer](const ToyModel::Inputs& in) {
            while (queue.waiting() < company) {
                std::this_thread::yield();
            }
            company = 0;
            const int inside = ++in_use;
            most_in_use = std::max<int>(most_in_use, inside);
            rows_most = std::max(rows_most, in.at("sample")->shape[0]);
            auto out = original(in);
            --in_use;
            return out;
        };
        pipeline = toy.load({.rows_max = 64, .decode_chunk = 4}).value();
    }

    // A whole job as generation jobs do it.
    Result<Bytes> generate(std::uint64_t seed, int steps) {
        InferenceQueue::Seat seat(queue, {}, stop);
        FG_TRY(generation, pipeline->start(request(seed, steps)));
        FG_CHECK(seat.alone([&] { return generation->begin(); }));
        if (begun) {
            begun->arrive_and_wait();
        }
        while (!generation->done()) {
            const auto input = generation->next();
            const auto* const one = &input;
            const int left = generation->steps_total() - generation->steps_done() + 1;
            FG_TRY(predictions, seat.predict(*pipeline, std::span(&one, 1), left));
            FG_CHECK(generation->advance(predictions.front()));
        }
        FG_TRY(pictures, seat.alone([&] { return generation->decode(); }));
        return pictures.front().pixels;
    }

    ToyPipeline toy;
    std::unique_ptr<diffusion::Pipeline> pipeline;
    api::StopFlag stop = false;
    std::atomic<int> in_use = 0;
    int most_in_use = 0;
    // So many jobs begin before the first of them makes a step, and that waits until the others ask for
    // theirs.
    void meet(std::size_t jobs) {
        begun.emplace(static_cast<std::ptrdiff_t>(jobs));
        company = jobs - 1;
    }
    std::optional<std::latch> begun;
    std::size_t company = 0;
    std::int64_t rows_most = 0;
    InferenceQueue queue{
        [] { return TimePoint(std::chrono::steady_clock::now().time_since_epoch()); },
        {.rows_max = 64, .hold_min = std::chrono::milliseconds(5), .hold_max = std::chrono::milliseconds(20)}
    };
};

TEST_F(InferenceQueueTest, JobsShareStepsAndGetWhatTheyWouldGetAlone) {
    constexpr std::size_t kJobs = 6;
    std::vector<Bytes> alone;
    int calls_alone = 0;
    for (std::size_t i = 0; i < kJobs; ++i) {
        toy.unet.calls = 0;
        alone.push_back(generate(static_cast<std::uint64_t>(i), 10 + static_cast<int>(i)).value());
        calls_alone += toy.unet.calls;
    }
    EXPECT_EQ(rows_most, 2);
    toy.unet.calls = 0;
    meet(kJobs);
    std::vector<OnThread<Result<Bytes>>> running;
    for (std::size_t i = 0; i < kJobs; ++i) {
        running.emplace_back([this, i] {
            return generate(static_cast<std::uint64_t>(i), 10 + static_cast<int>(i));
        });
    }
    for (std::size_t i = 0; i < kJobs; ++i) {
        const auto result = running[i].get();
        ASSERT_TRUE(result) << result.error().message;
        EXPECT_EQ(*result, alone[i]) << i;
    }
    EXPECT_EQ(most_in_use, 1);
    EXPECT_GT(rows_most, 2);
    EXPECT_LT(toy.unet.calls, calls_alone);
}

TEST_F(InferenceQueueTest, ADeviceThatRoundsBatchesOtherwiseGetsNone) {
    toy.unet.answer = [this, original = toy.unet.answer](const ToyModel::Inputs& in) {
        auto out = original(in);
        out.front().floats().front() += in.at("sample")->shape[0] > 2 ? 1e-6F : 0.0F;
        return out;
    };
    const Bytes alone = generate(1, 50).value();
    meet(4);
    std::vector<OnThread<Result<Bytes>>> running;
    for (int i = 0; i < 4; ++i) {
        running.emplace_back([this] { return generate(1, 50); });
    }
    for (auto& job : running) {
        EXPECT_EQ(job.get().value(), alone);
    }
    EXPECT_GT(rows_most, 2) << "it was tried out";
}

TEST_F(InferenceQueueTest, AJobThatIsStoppedLeavesTheQueue) {
    InferenceQueue::Seat seat(queue, {}, stop);
    api::StopFlag other_stop = false;
    std::latch waits(1);
    const auto result = seat.alone([&]() -> Result<int> {
        OnThread other([&] {
            InferenceQueue::Seat second(queue, {}, other_stop);
            waits.count_down();
            return second.alone([]() -> Result<int> { return 2; });
        });
        waits.wait();
        other_stop = true;
        EXPECT_EQ(other.get().error().code, Errc::kCancelled);
        return 1;
    });
    EXPECT_EQ(result, 1);
    EXPECT_EQ(seat.alone([]() -> Result<int> { return 3; }), 3);
}

TEST_F(InferenceQueueTest, ABatchThatFailsIsTriedOneByOne) {
    toy.unet.answer = [original = toy.unet.answer](const ToyModel::Inputs& in) {
        auto out = original(in);
        if (in.at("sample")->shape[0] > 2) {
            out.front().shape = {1};  // as if the device had no memory for so many
            out.front().floats().resize(1);
        }
        return out;
    };
    meet(4);
    std::vector<OnThread<Result<Bytes>>> running;
    for (int i = 0; i < 4; ++i) {
        running.emplace_back([this, i] { return generate(static_cast<std::uint64_t>(i), 50); });
    }
    for (auto& job : running) {
        const auto result = job.get();
        EXPECT_TRUE(result) << result.error().message;
    }
}

TEST_F(InferenceQueueTest, WhatACallThrowsReachesItsJobsAndTheQueueGoesOn) {
    std::atomic<int> left = 1;
    toy.unet.answer = [&left, original = toy.unet.answer](const ToyModel::Inputs& in) {
        if (left-- == 1) {
            throw std::bad_alloc();
        }
        return original(in);
    };
    EXPECT_THROW((void)generate(1, 3), std::bad_alloc);
    const auto result = generate(1, 3);
    EXPECT_TRUE(result) << result.error().message;
}

}  // namespace
}  // namespace framegrid::engine
