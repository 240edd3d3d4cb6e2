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
        {"Output frame count larger than expected", Errc::kUnprocessable, Disposition::kReject},
        {"TicketParams expired", Errc::kForbidden, Disposition::kRetry},
        {"ticketparams expired\n", Errc::kForbidden, Disposition::kRetry},
        {"invalid ticket senderNonce: already seen", Errc::kForbidden, Disposition::kRetry},
        {"invalid recipientRand for recipientRandHash", Errc::kForbidden, Disposition::kRetry},
        {"orchestrator 0x1 is inactive in round 7, cannot process payments", Errc::kUnavailable,
         Disposition::kPenalizePeer},
        {"text-to-image container returned 400: bad prompt", Errc::kInvalidArgument, Disposition::kReject},
        {"container returned 422: seed", Errc::kInvalidArgument, Disposition::kReject},
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
    const auto there_and_back = [](const Error& error) { return error_from_text(transcode_text(error)); };
    EXPECT_EQ(there_and_back(make_error(Errc::kTooLarge, "100000x100000")).disposition, Disposition::kReject);
    EXPECT_EQ(there_and_back(make_error(Errc::kUnprocessable, "not media")).code, Errc::kUnprocessable);
    EXPECT_EQ(there_and_back(make_error(Errc::kCapacity, "queue is full")).code, Errc::kCapacity);
    EXPECT_EQ(there_and_back(make_error(Errc::kInternal, "oops")).disposition, Disposition::kPenalizePeer);
    EXPECT_EQ(transcode_text(make_error(Errc::kForbidden, "Invalid auth token")), "Invalid auth token");
    EXPECT_EQ(transcode_text(make_error(Errc::kInternal, "50% done")), "50/ done") << "it is no format";
}

// Gateways look the whole text up.
TEST(ProtocolError, WhatMustNotBeRetriedIsSaidInTheProtocolsWordsAlone) {
    const auto said = [](const char* text) { return transcode_text(make_error(Errc::kUnprocessable, text)); };
    EXPECT_EQ(said("No keyframes in input"), "No keyframes in input");
    EXPECT_EQ(said("TranscoderInvalidVideo: no picture could be decoded"), "TranscoderInvalidVideo");
    EXPECT_EQ(said("Unsupported input codec mpeg2video"), "Unsupported input codec");
    EXPECT_EQ(said("it is too large"), "Invalid argument");
    EXPECT_EQ(transcode_text(make_error(Errc::kNotFound, "it is gone")), "it is gone")
        << "no fault of the input";
    EXPECT_EQ(
        with_detail(error_from_text("TranscoderInvalidVideo"), "TranscoderInvalidVideo: no picture\n")
            .message,
        "TranscoderInvalidVideo: no picture"
    );
}

TEST(ProtocolError, AiJobsSayWhoseFaultItIs) {
    EXPECT_EQ(
        ai_text("upscale", make_error(Errc::kInvalidArgument, "scale is 2 or 4")),
        "upscale returned 400 scale is 2 or 4"
    );
    EXPECT_EQ(ai_text("upscale", make_error(Errc::kCapacity, "OrchestratorBusy")), "insufficient capacity");
    EXPECT_EQ(ai_text("upscale", make_error(Errc::kInternal, "oops")), "oops");
    for (const char* text : {"invalid auth token", "expired auth token", "Insufficient balance"}) {
        EXPECT_EQ(ai_text("upscale", make_error(Errc::kForbidden, text)), text) << "no client can mend that";
    }
    const auto other = make_error(Errc::kUnsupported, "incompatible capabilities");
    EXPECT_EQ(ai_text("upscale", other), "incompatible capabilities");
    EXPECT_EQ(ai_text("upscale", make_error(Errc::kNotFound, "it is over")), "it is over");
    const http::Headers ours{
        {std::string(kErrorCodeHeader), "too_large"}, {std::string(kErrorDetailHeader), "40 megapixels"}
    };
    const auto error = error_from_answer(413, ours, "upscale returned 400 40 megapixels\n");
    EXPECT_EQ(error.code, Errc::kTooLarge);
    EXPECT_EQ(error.disposition, Disposition::kReject);
    EXPECT_EQ(error.message, "40 megapixels");
    EXPECT_EQ(error_from_answer(500, {}, "container returned 400: no").code, Errc::kInvalidArgument);
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
