#include <framegrid/wire/protocol_error.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace framegrid::wire {
namespace {

TEST(ProtocolError, TextsThatPeersRelyOn) {
    struct Case {
        const char* text;
        Errc code;
        Disposition disposition;
    };
    const std::vector<Case> cases{
        {"OrchestratorCapped", Errc::kCapacity, Disposition::kRetry},
        {"OrchestratorBusy", Errc::kCapacity, Disposition::kRetry},
        {"no transcoders available", Errc::kCapacity, Disposition::kRetry},
        {"invalid secret", Errc::kUnauthorized, Disposition::kReject},
        {"zero capacity", Errc::kInvalidArgument, Disposition::kReject},
        {"expired auth token\n", Errc::kForbidden, Disposition::kRetry},
        {"Invalid auth token", Errc::kForbidden, Disposition::kRetry},
        {"incompatible capabilities", Errc::kUnsupported, Disposition::kRetry},
        {"No keyframes in input", Errc::kUnprocessable, Disposition::kReject},
        {"transcode: Invalid argument", Errc::kUnprocessable, Disposition::kReject},
        {"TranscoderInvalidVideo", Errc::kUnprocessable, Disposition::kReject},
        {"MediaStats Failure", Errc::kInternal, Disposition::kPenalizePeer},
        {"", Errc::kInternal, Disposition::kPenalizePeer},
    };
    for (const auto& item : cases) {
        const Error error = error_from_text(item.text);
        EXPECT_EQ(error.code, item.code) << item.text;
        EXPECT_EQ(error.disposition, item.disposition) << item.text;
        EXPECT_FALSE(error.message.empty());
        EXPECT_EQ(error.message.find('\n'), std::string::npos);
    }
}

TEST(ProtocolError, RejectionAndRetrySurviveTheWire) {
    const auto there_and_back = [](const Error& error) { return error_from_text(text_from_error(error)); };
    EXPECT_EQ(there_and_back(make_error(Errc::kTooLarge, "100000x100000")).disposition, Disposition::kReject);
    EXPECT_EQ(there_and_back(make_error(Errc::kUnprocessable, "not media")).code, Errc::kUnprocessable);
    EXPECT_EQ(there_and_back(make_error(Errc::kCapacity, "queue is full")).code, Errc::kCapacity);
    EXPECT_EQ(there_and_back(make_error(Errc::kInternal, "oops")).disposition, Disposition::kPenalizePeer);
    EXPECT_EQ(text_from_error(make_error(Errc::kForbidden, "Invalid auth token")), "Invalid auth token");
    EXPECT_EQ(
        text_from_error(make_error(Errc::kUnprocessable, "No keyframes in input")), "No keyframes in input"
    );
}

TEST(ProtocolError, Answers) {
    EXPECT_EQ(error_from_answer(403, {}, "OrchestratorCapped\n").code, Errc::kCapacity);
    EXPECT_EQ(error_from_answer(503, {}, "").code, Errc::kCapacity);
    EXPECT_EQ(error_from_answer(402, {}, "").code, Errc::kForbidden);
    EXPECT_EQ(error_from_answer(404, {}, "404 page not found").disposition, Disposition::kRetry);
    EXPECT_EQ(error_from_answer(500, {}, "boom").disposition, Disposition::kPenalizePeer);
    EXPECT_EQ(error_from_answer(302, {}, "").code, Errc::kProtocol);
    const http::Headers ours{{std::string(kErrorCodeHeader), "unprocessable"}};
    EXPECT_EQ(error_from_answer(500, ours, "a text of ours").code, Errc::kUnprocessable);
    const http::Headers forbidden{{std::string(kErrorCodeHeader), "forbidden"}};
    EXPECT_EQ(error_from_answer(403, forbidden, "invalid auth token\n").disposition, Disposition::kRetry);
    EXPECT_EQ(error_from_answer(403, forbidden, "Forbidden\n").disposition, Disposition::kPenalizePeer);
    const http::Headers strange{{std::string(kErrorCodeHeader), "nonsense"}};
    EXPECT_EQ(error_from_answer(500, strange, "x").code, Errc::kInternal);
}

TEST(ProtocolError, PeersCannotBreakOurLogs) {
    EXPECT_EQ(clean_text("a\x1b[31m\nb"), "a?[31m?b");
    EXPECT_EQ(clean_text(std::string(10'000, 'x')).size(), 200U);
}

}  // namespace
}  // namespace framegrid::wire
