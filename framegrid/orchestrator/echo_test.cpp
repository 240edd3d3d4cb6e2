#include <framegrid/orchestrator/echo.hpp>

#include <deque>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <framegrid/api/receipts.hpp>

#include <gtest/gtest.h>

namespace framegrid::orchestrator {
namespace {

// Gives the pieces it is made with, and keeps what comes back.
class Pieces final : public api::Transfer {
  public:
    Pieces(std::deque<std::string> pieces, std::uint64_t announced)
        : Transfer({announced, {}}), pieces_(std::move(pieces)) {}

    class Reader final : public api::PieceReader {
      public:
        explicit Reader(std::deque<std::string> pieces) : pieces_(std::move(pieces)) {}
        Task<Result<Blob>> read() override {
            if (pieces_.empty()) {
                co_return Blob();
            }
            const std::string piece = std::move(pieces_.front());
            pieces_.pop_front();
            if (piece == "broken") {
                co_return fail(Errc::kUnavailable, "the peer is gone");
            }
            co_return Blob::copy_of(piece);
        }

      private:
        std::deque<std::string> pieces_;
    };
    std::shared_ptr<api::PieceReader> open_input() override { return std::make_shared<Reader>(pieces_); }
    Task<Result<void>> begin_output(Deadline) override {
        output.clear();
        co_return Result<void>{};
    }
    Task<Result<void>> append(Blob piece, Deadline) override {
        output += piece.text();
        co_return Result<void>{};
    }
    Task<Result<api::FileFacts>> end_output(Deadline) override {
        ended = true;
        co_return api::FileFacts{output.size(), {}};
    }

    std::string output;
    bool ended = false;

  private:
    std::deque<std::string> pieces_;
};

Result<api::WorkOutput> run(std::shared_ptr<api::Transfer> transfer, bool digest) {
    boost::asio::io_context loop;
    std::optional<Result<api::WorkOutput>> out;
    boost::asio::co_spawn(
        loop, give_back(std::move(transfer), digest, {}),
        [&out](std::exception_ptr, Result<api::WorkOutput> result) { out.emplace(std::move(result)); }
    );
    loop.run();
    return std::move(*out);
}

TEST(Echo, WhatComesGoesBackAndBothSidesCanWriteAReceiptOfIt) {
    const auto transfer = std::make_shared<Pieces>(std::deque<std::string>{"a ", "large ", "file"}, 12);
    const auto output = run(transfer, true);
    ASSERT_TRUE(output) << output.error().message;
    EXPECT_EQ(transfer->output, "a large file");
    EXPECT_TRUE(transfer->ended);
    const auto digest = crypto::sha256(as_bytes("a large file"));
    ASSERT_EQ(output->artifacts.size(), 1U);
    EXPECT_EQ(output->artifacts[0].file->bytes, 12U);
    api::Work work;
    work.kind = api::AiWork{"echo", {}, {}};
    work.transfer = transfer;
    const auto draft = api::draft_receipt({work, *output, {}, {}, {}, Price{1, 1}, 1}, 0);
    EXPECT_EQ(draft.receipt.input, digest);
    EXPECT_EQ(draft.receipt.output, digest);
    EXPECT_TRUE(draft.input.empty() && draft.outputs.empty()) << "nothing is left to be digested";
}

TEST(Echo, WithoutReceiptsNothingIsHashed) {
    const auto transfer = std::make_shared<Pieces>(std::deque<std::string>{"x"}, 1);
    const auto output = run(transfer, false);
    ASSERT_TRUE(output);
    EXPECT_EQ(output->artifacts[0].file->sha256, crypto::Hash32{});
    EXPECT_EQ(transfer->input().sha256, crypto::Hash32{});
}

TEST(Echo, AnInputThatBreaksOffIsNoResult) {
    const auto broken = std::make_shared<Pieces>(std::deque<std::string>{"a ", "broken"}, 12);
    EXPECT_EQ(run(broken, true).error().code, Errc::kUnavailable);
    EXPECT_FALSE(broken->ended);
    const auto shorter = std::make_shared<Pieces>(std::deque<std::string>{"a "}, 12);
    EXPECT_EQ(run(shorter, true).error().code, Errc::kProtocol);
    EXPECT_FALSE(shorter->ended);
}

}  // namespace
}  // namespace framegrid::orchestrator
