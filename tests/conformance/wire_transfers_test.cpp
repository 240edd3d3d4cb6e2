// Jobs whose files are too large for memory, over real sockets: both directions at once, and what ends them.
#include <gtest/gtest.h>

#include <framegrid/wire/transfers.hpp>

#include "wire_rig.hpp"

namespace framegrid::tests {
namespace {

constexpr std::uint64_t kBytes = (std::uint64_t{24} << 20) + 5;

// The piece of a file at `offset`, which depends on nothing else.
Blob piece_at(std::uint64_t offset, std::uint64_t bytes) {
    Bytes out(std::min<std::uint64_t>(bytes, 1 << 20));
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto at = offset + i;
        out[i] = static_cast<std::uint8_t>(at * 7 + at / 251);
    }
    return Blob(std::move(out));
}

// Gives a made-up file and compares what comes back with it.
class MadeUp final : public api::Transfer {
  public:
    explicit MadeUp(std::uint64_t bytes) : Transfer({bytes, {}}) {}

    class Reader final : public api::PieceReader {
      public:
        Reader(std::uint64_t bytes, std::uint64_t breaks_at, std::shared_ptr<std::uint64_t> read)
            : bytes_(bytes), breaks_at_(breaks_at), read_(std::move(read)) {}
        Task<Result<Blob>> read() override {
            if (offset_ >= breaks_at_) {
                co_return fail(Errc::kIo, "the disk is broken");
            }
            Blob piece = piece_at(offset_, bytes_ - offset_);
            offset_ += piece.size();
            *read_ += piece.size();
            co_return piece;
        }

      private:
        std::uint64_t bytes_, breaks_at_, offset_ = 0;
        std::shared_ptr<std::uint64_t> read_;
    };
    std::shared_ptr<api::PieceReader> open_input() override {
        return std::make_shared<Reader>(input().bytes, breaks_at, read);
    }
    Task<Result<void>> begin_output(Deadline) override {
        taken = 0;
        co_return Result<void>{};
    }
    Task<Result<void>> append(Blob piece, Deadline) override {
        most_ahead = std::max(most_ahead, *read - taken);
        same = same && std::ranges::equal(piece.view(), piece_at(taken, piece.size()).view());
        taken += piece.size();
        co_return Result<void>{};
    }
    Task<Result<api::FileFacts>> end_output(Deadline) override { co_return api::FileFacts{taken, {}}; }

    std::uint64_t breaks_at = UINT64_MAX;
    std::shared_ptr<std::uint64_t> read = std::make_shared<std::uint64_t>(0);
    std::uint64_t taken = 0;
    std::uint64_t most_ahead = 0;  // bytes that were read and have not come back
    bool same = true;
};

class WireTransfer : public testing::TestWithParam<bool> {
  protected:
    Rig rig_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Transport, WireTransfer, testing::Values(true, false), [](const auto& param) {
    return param.param ? "tls" : "cleartext";
});

api::Job echo_job(std::shared_ptr<api::Transfer> transfer, const std::string& manifest = "echo") {
    auto job = ai_job("echo", manifest, {});
    job.work.transfer = std::move(transfer);
    return job;
}

TEST_P(WireTransfer, GivesBackWhatItGetsWhileItComes) {
    rig_.run([](Rig& rig) -> Task<void> {
        const auto file = std::make_shared<MadeUp>(kBytes);
        const auto output = co_await rig.orchestrator->run(echo_job(file), rig.soon());
        CO_ASSERT(output);
        CO_ASSERT(output->output.artifacts.size() == 1 && output->output.artifacts[0].file);
        EXPECT_EQ(output->output.artifacts[0].file->bytes, kBytes);
        EXPECT_TRUE(file->same);
        EXPECT_EQ(file->taken, kBytes);
        EXPECT_LT(file->most_ahead, 20U << 20U) << "more is under way than windows and buffers hold";
    });
}

TEST_P(WireTransfer, ARefusalIsToldBeforeTheInputIsRead) {
    rig_.run([](Rig& rig) -> Task<void> {
        const auto file = std::make_shared<MadeUp>(kBytes);
        const auto output = co_await rig.orchestrator->run(echo_job(file, "busy"), rig.soon());
        EXPECT_EQ(output.error().code, Errc::kCapacity);
        EXPECT_LT(*file->read, kBytes) << "there was room for less";
        EXPECT_EQ(file->taken, 0U);
        const auto huge = std::make_shared<MadeUp>(api::kTransferBytesMax + 1);
        const auto refused = co_await rig.orchestrator->run(echo_job(huge), rig.soon());
        EXPECT_EQ(refused.error().code, Errc::kTooLarge);
    });
}

TEST_P(WireTransfer, AnInputThatCannotBeReadEndsIt) {
    rig_.run([](Rig& rig) -> Task<void> {
        const auto file = std::make_shared<MadeUp>(kBytes);
        file->breaks_at = 5 << 20;
        const auto output = co_await rig.orchestrator->run(echo_job(file), rig.soon());
        EXPECT_FALSE(output);
        EXPECT_LT(file->taken, kBytes);
    });
}

TEST_P(WireTransfer, AnAnswerThatIsBrokenOffIsNoResult) {
    rig_.run([](Rig& rig) -> Task<void> {
        const auto file = std::make_shared<MadeUp>(kBytes);
        const auto output = co_await rig.orchestrator->run(echo_job(file, "half"), rig.soon());
        CO_ASSERT(!output);
        EXPECT_EQ(output.error().code, Errc::kUnavailable);
        EXPECT_GT(file->taken, 0U);
        EXPECT_LT(file->taken, kBytes);
        // The connection is good for the next one.
        const auto again = std::make_shared<MadeUp>(kBytes);
        EXPECT_TRUE(co_await rig.orchestrator->run(echo_job(again), rig.soon()));
    });
}

TEST_P(WireTransfer, ADeadlineEndsItWhereverItIs) {
    rig_.run([](Rig& rig) -> Task<void> {
        const auto file = std::make_shared<MadeUp>(kBytes);
        const auto soon = Deadline::after(rig.clock, std::chrono::milliseconds(300));
        const auto output = co_await rig.orchestrator->run(echo_job(file, "stuck"), soon);
        CO_ASSERT(!output);
        EXPECT_EQ(output.error().code, Errc::kDeadline);
    });
}

}  // namespace
}  // namespace framegrid::tests
