// Jobs over real sockets: WireOrchestrator against OrchestratorServer, and raw requests for what it never
// sends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/wire/segment_header.hpp>

#include "wire_rig.hpp"

namespace framegrid::tests {
namespace {

using testing::HasSubstr;

class Wire : public testing::TestWithParam<bool> {
  protected:
    Rig rig_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Transport, Wire, testing::Values(true, false), [](const auto& param) {
    return param.param ? "tls" : "cleartext";
});

Blob megabytes(std::size_t count) {
    Bytes bytes(count << 20);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
    }
    return Blob(std::move(bytes));
}

const Blob kSegment = Blob::copy_of("a segment of at least twenty-five bytes");

TEST_P(Wire, Discovery) {
    rig_.run([](Rig& rig) -> Task<void> {
        auto info = co_await rig.orchestrator->get_info({}, rig.soon());
        CO_ASSERT(info);
        EXPECT_EQ(info->service_uri, rig.uri);
        EXPECT_EQ(info->auth_token, FakeService::token());
        EXPECT_EQ(info->model_prices.size(), 1U);
        EXPECT_EQ(info->capabilities->version, "0.9.1");
        api::InfoRequest request;
        request.needs = job::ai_needs(job::Capability::kUpscale, "framegrid/sr-2x");
        info = co_await rig.orchestrator->get_info(std::move(request), rig.soon());
        CO_ASSERT(info);
        EXPECT_TRUE(info->model_prices.empty());
        rig.service.capped = true;
        info = co_await rig.orchestrator->get_info({}, rig.soon());
        EXPECT_EQ(info.error().code, Errc::kCapacity);
        api::InfoRequest insistent;
        insistent.ignore_capacity = true;
        info = co_await rig.orchestrator->get_info(std::move(insistent), rig.soon());
        EXPECT_TRUE(info);
    });
}

TEST_P(Wire, PingAndEndOfSession) {
    rig_.run([](Rig& rig) -> Task<void> {
        Bytes value{1, 2, 3};
        const auto pong = co_await rig.orchestrator->ping(std::move(value), rig.soon());
        EXPECT_EQ(pong.value(), (Bytes{3, 0x51}));
        EXPECT_TRUE(co_await rig.orchestrator->end_session(FakeService::token(), rig.soon()));
        EXPECT_THAT(rig.service.ended_sessions, testing::ElementsAre(kSession));
        api::AuthToken wrong = FakeService::token();
        wrong.token[0] ^= 1;
        const auto ended = co_await rig.orchestrator->end_session(std::move(wrong), rig.soon());
        EXPECT_EQ(ended.error().code, Errc::kForbidden);
    });
}

TEST_P(Wire, Segment) {
    rig_.run([](Rig& rig) -> Task<void> {
        const Blob input = megabytes(2);
        auto output = co_await rig.orchestrator->run(transcode_job("m", input, 3), rig.soon());
        CO_ASSERT(output);
        CO_ASSERT(output->output.artifacts.size() == 3);
        for (std::size_t i = 0; i < 3; ++i) {
            const auto& artifact = output->output.artifacts[i];
            EXPECT_EQ(artifact.name, "p" + std::to_string(i));
            EXPECT_EQ(artifact.content_type, "video/mp2t");
            EXPECT_EQ(artifact.pixels.value, 1000);
            EXPECT_TRUE(artifact.bytes.text() == input.text());
        }
        CO_ASSERT(output->info);
        EXPECT_EQ(output->info->auth_token, FakeService::token());
        EXPECT_EQ(rig.service.signed_results, 1U);
    });
}

TEST_P(Wire, ManySegmentsAtOnce) {
    rig_.run([](Rig& rig) -> Task<void> {
        std::vector<Task<Result<api::JobOutput>>> jobs;
        for (int i = 0; i < 32; ++i) {
            jobs.push_back(
                rig.orchestrator->run(transcode_job("m" + std::to_string(i), kSegment, 2), rig.soon())
            );
        }
        const auto results = co_await all_of(std::move(jobs));
        for (const auto& result : results) {
            CO_ASSERT(result);
            EXPECT_EQ(result->output.artifacts.at(1).bytes.text(), kSegment.text());
        }
    });
}

TEST_P(Wire, FailuresOfJobsAreClassified) {
    rig_.run([](Rig& rig) -> Task<void> {
        struct Case {
            const char* manifest;
            Errc code;
            Disposition disposition;
        };
        for (const auto& item : {
                 Case{"busy", Errc::kCapacity, Disposition::kRetry},
                 Case{"no-keyframes", Errc::kUnprocessable, Disposition::kReject},
                 Case{"boom", Errc::kInternal, Disposition::kPenalizePeer},
                 Case{"short", Errc::kInternal, Disposition::kPenalizePeer},
             }) {
            auto output =
                co_await rig.orchestrator->run(transcode_job(item.manifest, kSegment, 1), rig.soon());
            CO_ASSERT(!output);
            EXPECT_EQ(output.error().code, item.code) << item.manifest;
            EXPECT_EQ(output.error().disposition, item.disposition) << item.manifest;
        }
    });
}

TEST_P(Wire, RefusalsOfJobsAreClassified) {
    rig_.run([](Rig& rig) -> Task<void> {
        auto job = transcode_job("m", kSegment, 1);
        job.token.token[0] ^= 1;
        auto output = co_await rig.orchestrator->run(std::move(job), rig.soon());
        CO_ASSERT(!output);
        EXPECT_EQ(output.error().code, Errc::kForbidden);
        EXPECT_EQ(output.error().disposition, Disposition::kRetry) << "a fresh token may do";
        rig.service.capped = true;
        output = co_await rig.orchestrator->run(transcode_job("m", kSegment, 1), rig.soon());
        EXPECT_EQ(output.error().code, Errc::kCapacity);
    });
}

TEST_P(Wire, DeadlineEndsTheExchange) {
    rig_.run([](Rig& rig) -> Task<void> {
        const TimePoint start = rig.clock.now();
        const Deadline deadline = Deadline::after(rig.clock, std::chrono::milliseconds(300));
        const auto output = co_await rig.orchestrator->run(transcode_job("slow", kSegment, 1), deadline);
        CO_ASSERT(!output);
        EXPECT_EQ(output.error().code, Errc::kDeadline);
        EXPECT_LT(rig.clock.now() - start, std::chrono::seconds(5));
    });
}

TEST_P(Wire, AiAndEcho) {
    rig_.run([](Rig& rig) -> Task<void> {
        const Blob picture = Blob::copy_of("\x89PNG not really");
        auto output =
            co_await rig.orchestrator->run(ai_job("upscale", "30_framegrid/sr-2x", picture), rig.soon());
        CO_ASSERT(output);
        CO_ASSERT(output->output.artifacts.size() == 1);
        EXPECT_EQ(output->output.artifacts[0].content_type, "image/png");
        EXPECT_EQ(output->output.artifacts[0].seed, 5);
        EXPECT_EQ(output->output.artifacts[0].bytes.text(), picture.text());
        output = co_await rig.orchestrator->run(ai_job("echo", "echo", kSegment), rig.soon());
        CO_ASSERT(output);
        EXPECT_EQ(output->output.artifacts.at(0).bytes.text(), kSegment.text());
        output = co_await rig.orchestrator->run(ai_job("no-such-pipeline", "x", picture), rig.soon());
        CO_ASSERT(!output);
        EXPECT_EQ(output.error().code, Errc::kNotFound);
        EXPECT_EQ(output.error().disposition, Disposition::kRetry);
        output = co_await rig.orchestrator->run(ai_job("upscale", "no-keyframes", picture), rig.soon());
        CO_ASSERT(!output);
        EXPECT_EQ(output.error().code, Errc::kUnprocessable);
        output = co_await rig.orchestrator->run(ai_job("upscale", "busy", picture), rig.soon());
        CO_ASSERT(!output);
        EXPECT_EQ(output.error().code, Errc::kCapacity);
    });
}

TEST_P(Wire, NobodyThere) {
    rig_.run([](Rig& rig) -> Task<void> {
        wire::WireOrchestrator gone(rig.ports, "https://127.0.0.1:1");
        auto info = co_await gone.get_info({}, rig.soon());
        CO_ASSERT(!info);
        EXPECT_EQ(info.error().code, Errc::kUnavailable);
        wire::WireOrchestrator malformed(rig.ports, "ftp://nowhere");
        info = co_await malformed.get_info({}, rig.soon());
        CO_ASSERT(!info);
        EXPECT_EQ(info.error().code, Errc::kInvalidArgument);
    });
}

TEST_P(Wire, DirectoryReusesAndIsBounded) {
    rig_.run([](Rig& rig) -> Task<void> {
        wire::WireDirectory directory(rig.ports, 2);
        const auto a = directory.at(rig.uri);
        EXPECT_EQ(directory.at(rig.uri), a);
        const auto b = directory.at("https://b");
        const auto c = directory.at("https://c");
        EXPECT_EQ(directory.size(), 2U) << "all in use: the third is not kept";
        EXPECT_NE(c, nullptr);
        const auto info = co_await a->get_info({}, rig.soon());
        EXPECT_TRUE(info);
    });
}

// A request as a peer that is not ours might send it.
Task<http::Fetched> raw(
    Rig& rig, std::string path, http::Headers headers, Blob body, std::string method = "POST"
) {
    http::Request request;
    request.method = std::move(method);
    request.url = http::parse_url(rig.uri + path).value();
    request.headers = std::move(headers);
    request.body = std::move(body);
    auto answer = co_await rig.client.fetch(std::move(request), 10 << 20, rig.soon());
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    co_return answer ? std::move(*answer) : http::Fetched{};
}

http::Headers segment_headers(const api::Job& job, BytesView media) {
    return {{"livepeer-segment", wire::encode_segment_header(job, crypto::keccak256(media), nullptr)}};
}

TEST_P(Wire, ProtocolStatuses) {
    rig_.run([](Rig& rig) -> Task<void> {
        const auto job = transcode_job("m", {}, 1);
        auto headers = segment_headers(job, kSegment.view());
        headers.add("livepeer-payment", "***");
        auto answer = co_await raw(rig, "/segment", headers, kSegment);
        EXPECT_EQ(answer.status, 402);
        headers = http::Headers{{"livepeer-segment", "AAAA"}};
        answer = co_await raw(rig, "/segment", headers, kSegment);
        EXPECT_EQ(answer.status, 403);
        answer = co_await raw(rig, "/segment", {}, kSegment);
        EXPECT_EQ(answer.status, 403);
        headers = segment_headers(job, as_bytes("other media"));
        answer = co_await raw(rig, "/segment", headers, kSegment);
        EXPECT_EQ(answer.status, 403);
        EXPECT_EQ(answer.body.text(), "Forbidden\n");
        answer = co_await raw(rig, "/nothing", {}, {});
        EXPECT_EQ(answer.status, 404);
        answer = co_await raw(rig, "/segment", {}, {}, "GET");
        EXPECT_EQ(answer.status, 405);
        answer = co_await raw(rig, "/healthz", {}, {}, "GET");
        EXPECT_EQ(answer.status, 200);
        answer = co_await raw(rig, "/stream/session-1/none.ts", {}, {}, "GET");
        EXPECT_EQ(answer.status, 404);
        headers = segment_headers(job, {});
        headers.add("content-type", "text/plain");
        answer = co_await raw(rig, "/upscale", headers, kSegment);
        EXPECT_EQ(answer.status, 400);
    });
}

TEST_P(Wire, AFullNodeSaysSoInTheWordsOfTheWork) {
    rig_.run([](Rig& rig) -> Task<void> {
        auto headers = segment_headers(ai_job("upscale", "busy", {}), {});
        headers.add("content-type", "application/json");
        auto answer = co_await raw(rig, "/upscale", headers, Blob::copy_of("{}"));
        EXPECT_EQ(answer.status, 503);
        EXPECT_EQ(answer.body.text(), "insufficient capacity\n") << "its service is busy";
        rig.service.capped = true;
        answer = co_await raw(rig, "/upscale", headers, Blob::copy_of("{}"));
        EXPECT_EQ(answer.status, 503);
        EXPECT_EQ(answer.body.text(), "insufficient capacity\n") << "its service stops";
        headers = segment_headers(transcode_job("m", {}, 1), kSegment.view());
        answer = co_await raw(rig, "/segment", headers, kSegment);
        EXPECT_THAT(std::string(answer.body.text()), HasSubstr("OrchestratorCapped"));
    });
}

TEST_P(Wire, MissingTokenIsNamed) {
    rig_.run([](Rig& rig) -> Task<void> {
        // A SegData that has a hash and nothing else.
        Bytes bare{0x1a, 32};
        bare.resize(34);
        const http::Headers headers{{"livepeer-segment", crypto::base64(bare)}};
        const auto answer = co_await raw(rig, "/segment", headers, {});
        EXPECT_EQ(answer.status, 403);
        EXPECT_EQ(answer.body.text(), "missing auth token\n");
    });
}

TEST_P(Wire, SegmentByUrl) {
    rig_.run([](Rig& rig) -> Task<void> {
        const auto path = rig.service.store("source", "in.ts", kSegment);
        auto headers = segment_headers(transcode_job("m", {}, 1), kSegment.view());
        headers.add("content-type", "application/vnd+livepeer.uri");
        const auto url = Blob::copy_of(rig.uri + path);
        auto answer = co_await raw(rig, "/segment", headers, url);
        EXPECT_EQ(answer.status, 200);
        EXPECT_THAT(std::string(answer.body.text()), HasSubstr("/stream/session-1/p0/3.ts"));
        const auto gone = Blob::copy_of(rig.uri + "/stream/gone");
        answer = co_await raw(rig, "/segment", headers, gone);
        EXPECT_EQ(answer.status, 400);
        EXPECT_EQ(answer.body.text(), "BadRequest\n");
        const auto malformed = Blob::copy_of("file:///etc/passwd");
        answer = co_await raw(rig, "/segment", headers, malformed);
        EXPECT_EQ(answer.status, 400);
    });
}

TEST_P(Wire, OldGatewaysGetInlinedImages) {
    rig_.run([](Rig& rig) -> Task<void> {
        auto headers = segment_headers(ai_job("upscale", "30_m", {}), {});
        headers.add("content-type", "multipart/form-data; boundary=b");
        const auto form = Blob::copy_of(
            "--b\r\nContent-Disposition: form-data; name=\"image\"; "
            "filename=\"a.png\"\r\n\r\npixels\r\n--b--\r\n"
        );
        auto answer = co_await raw(rig, "/upscale", headers, form);
        EXPECT_EQ(answer.status, 200);
        EXPECT_THAT(std::string(answer.body.text()), HasSubstr("data:image/png;base64,cGl4ZWxz"));
        headers.add("authorization", "Livepeer-AI-Worker-1.0");
        answer = co_await raw(rig, "/upscale", headers, form);
        EXPECT_THAT(std::string(answer.body.text()), HasSubstr(rig.uri + "/stream/session-1/ai/"));
    });
}

}  // namespace
}  // namespace framegrid::tests
