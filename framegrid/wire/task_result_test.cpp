#include <framegrid/wire/task_result.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <framegrid/http/multipart.hpp>

namespace framegrid::wire {
namespace {

using api::WorkerKind;

api::Artifact artifact(std::string name, std::string type, std::string_view bytes, std::int64_t pixels = 0) {
    api::Artifact out;
    out.name = std::move(name);
    out.content_type = std::move(type);
    out.bytes = Blob::copy_of(bytes);
    out.pixels.value = pixels;
    return out;
}

api::TaskReport report(WorkerKind kind, Result<api::WorkOutput> outcome) {
    return {
        .kind = kind,
        .id = {42},
        .secret = "s3cret",
        .pipeline = "upscale",
        .outcome = std::move(outcome),
        .delivered = {}
    };
}

struct Read {
    std::expected<void, UploadRefusal> taken;
    api::TaskReport report;
    const api::WorkOutput& output() const { return report.outcome.value(); }
    const Error& error() const { return report.outcome.error(); }
};

Read read_body(WorkerKind kind, const http::Headers& headers, const Blob& body) {
    Read out{{}, report(kind, api::WorkOutput{})};
    out.taken = read_result_body(headers, body, out.report);
    return out;
}

TEST(TaskResult, TranscodeRoundTrip) {
    api::WorkOutput output;
    output.artifacts = {
        artifact("a", "video/mp2t", "ts bytes", 100), artifact("b", "video/mp4", "mp4\r\n--bytes", 7)
    };
    output.decoded = {1000};
    const auto upload = write_result(report(WorkerKind::kTranscoder, output), "bnd");
    EXPECT_EQ(upload.path, "/transcodeResults");
    EXPECT_EQ(upload.headers.get("authorization"), "Livepeer-Transcoder-1.0");
    EXPECT_EQ(upload.headers.get("credentials"), "s3cret");
    EXPECT_EQ(upload.headers.get("pixels"), "1000");
    const auto head = read_result_head(WorkerKind::kTranscoder, upload.headers);
    ASSERT_TRUE(head) << head.error().text;
    EXPECT_EQ(head->id.value, 42);
    EXPECT_EQ(head->secret, "s3cret");
    const auto back = read_body(WorkerKind::kTranscoder, upload.headers, http::join(upload.pieces));
    ASSERT_TRUE(back.taken) << back.taken.error().text;
    EXPECT_TRUE(back.report.delivered.empty());
    ASSERT_EQ(back.output().artifacts.size(), 2U);
    EXPECT_EQ(back.output().artifacts[0].bytes.text(), "ts bytes");
    EXPECT_EQ(back.output().artifacts[0].pixels.value, 100);
    EXPECT_EQ(back.output().artifacts[1].bytes.text(), "mp4\r\n--bytes");
    EXPECT_EQ(back.output().artifacts[1].content_type, "video/mp4");
    EXPECT_EQ(back.output().decoded.value, 1000);
}

TEST(TaskResult, RenditionsThatWereDeliveredAreLeftOut) {
    api::WorkOutput output;
    output.artifacts = {
        artifact("a", "video/mp2t", "delivered", 100), artifact("b", "video/mp2t", "not yet", 7)
    };
    auto sent = report(WorkerKind::kTranscoder, output);
    sent.delivered = {0};
    const auto upload = write_result(sent, "bnd");
    const Blob body = http::join(upload.pieces);
    EXPECT_EQ(body.text().find("delivered\r\n"), std::string::npos);
    const auto back = read_body(WorkerKind::kTranscoder, upload.headers, body);
    ASSERT_TRUE(back.taken) << back.taken.error().text;
    EXPECT_EQ(back.report.delivered, std::vector<std::size_t>{0});
    ASSERT_EQ(back.output().artifacts.size(), 2U);
    EXPECT_TRUE(back.output().artifacts[0].bytes.empty());
    EXPECT_EQ(back.output().artifacts[0].pixels.value, 100);
    EXPECT_EQ(back.output().artifacts[1].bytes.text(), "not yet");
}

TEST(TaskResult, EarlyRoundTrip) {
    const api::EarlyReport sent{{42}, "s3cret", 3, artifact("a", "video/mp4", "bytes", 100)};
    const auto upload = write_early_report(sent);
    EXPECT_EQ(upload.path, "/earlyRendition");
    EXPECT_EQ(http::join(upload.pieces).text(), "bytes");
    const auto back = read_early_head(upload.headers);
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_EQ(back->id.value, 42);
    EXPECT_EQ(back->secret, "s3cret");
    EXPECT_EQ(back->index, 3U);
    EXPECT_EQ(back->artifact.content_type, "video/mp4");
    EXPECT_EQ(back->artifact.pixels.value, 100);
    const auto status = [&](const char* name, const char* value) {
        http::Headers changed = upload.headers;
        changed.set(name, value);
        const auto head = read_early_head(changed);
        return head ? 200 : head.error().status;
    };
    EXPECT_EQ(status("authorization", "Livepeer-AI-Worker-1.0"), 401);
    EXPECT_EQ(status("content-type", "text/html"), 415);
    EXPECT_EQ(status("taskid", "one"), 400);
    EXPECT_EQ(status("index", "-1"), 400);
    EXPECT_EQ(status("index", ""), 400);
    EXPECT_EQ(status("pixels", "-1"), 400);
    EXPECT_EQ(read_early_head({}).error().status, 401);
}

TEST(TaskResult, AiRoundTripKeepsNamesApart) {
    api::WorkOutput output;
    output.artifacts = {artifact("out.png", "image/png", "one"), artifact("out.png", "image/png", "two")};
    output.artifacts[1].seed = 9;
    output.artifacts[1].nsfw = true;
    const auto upload = write_result(report(WorkerKind::kAi, output), "bnd");
    EXPECT_EQ(upload.path, "/aiResults");
    EXPECT_EQ(upload.headers.get("pipeline"), "upscale");
    ASSERT_TRUE(read_result_head(WorkerKind::kAi, upload.headers));
    const auto back = read_body(WorkerKind::kAi, upload.headers, http::join(upload.pieces));
    ASSERT_TRUE(back.taken) << back.taken.error().text;
    ASSERT_EQ(back.output().artifacts.size(), 2U);
    EXPECT_EQ(back.output().artifacts[0].bytes.text(), "one");
    EXPECT_EQ(back.output().artifacts[1].bytes.text(), "two");
    EXPECT_EQ(back.output().artifacts[1].seed, 9);
    EXPECT_EQ(back.output().artifacts[0].nsfw, false);
    EXPECT_EQ(back.output().artifacts[1].nsfw, true);
}

TEST(TaskResult, ErrorsKeepTheirCode) {
    for (const auto kind : {WorkerKind::kTranscoder, WorkerKind::kAi}) {
        const auto upload =
            write_result(report(kind, fail(Errc::kUnprocessable, "No keyframes in input")), "b");
        EXPECT_EQ(
            upload.headers.get("content-type"),
            kind == WorkerKind::kAi ? "livepeer/ai-worker-error" : "livepeer/transcoding-error"
        );
        ASSERT_TRUE(read_result_head(kind, upload.headers));
        const auto back = read_body(kind, upload.headers, http::join(upload.pieces));
        ASSERT_TRUE(back.taken);
        ASSERT_FALSE(back.report.outcome);
        EXPECT_EQ(back.error().code, Errc::kUnprocessable);
        EXPECT_EQ(back.error().message, "No keyframes in input");
    }
}

TEST(TaskResult, AFullWorkerSaysSoInTheWordsOfItsKind) {
    const auto said = [](WorkerKind kind) {
        const auto upload = write_result(report(kind, fail(Errc::kCapacity, "the worker is full")), "b");
        return std::string(http::join(upload.pieces).text());
    };
    EXPECT_EQ(said(WorkerKind::kAi), "insufficient capacity");
    EXPECT_EQ(said(WorkerKind::kTranscoder), "OrchestratorBusy");
}

TEST(TaskResult, ErrorsOfOtherPeersAreReadByTheirText) {
    const http::Headers headers{
        {"authorization", "Livepeer-Transcoder-1.0"},
        {"credentials", "s"},
        {"taskid", "1"},
        {"content-type", "livepeer/transcoding-error"}
    };
    ASSERT_TRUE(read_result_head(WorkerKind::kTranscoder, headers)) << "errors come without a pixel count";
    const auto back = read_body(WorkerKind::kTranscoder, headers, Blob::copy_of("Unsupported input codec"));
    EXPECT_EQ(back.error().code, Errc::kUnprocessable);
}

TEST(TaskResult, RefusalsOfTheHead) {
    const http::Headers good{
        {"authorization", "Livepeer-Transcoder-1.0"},
        {"credentials", "s"},
        {"taskid", "1"},
        {"pixels", "5"},
        {"content-type", "multipart/mixed; boundary=b"}
    };
    const auto status = [&](const char* name, const char* value) {
        http::Headers changed = good;
        changed.set(name, value);
        const auto head = read_result_head(WorkerKind::kTranscoder, changed);
        return head ? 200 : head.error().status;
    };
    EXPECT_EQ(status("pixels", "5"), 200);
    EXPECT_EQ(status("authorization", "Livepeer-AI-Worker-1.0"), 401);
    EXPECT_EQ(status("taskid", "one"), 400);
    EXPECT_EQ(status("taskid", ""), 400);
    EXPECT_EQ(status("taskid", "99999999999999999999"), 400);
    EXPECT_EQ(status("pixels", "many"), 400);
    EXPECT_EQ(status("content-type", "text/plain"), 415);
    EXPECT_EQ(read_result_head(WorkerKind::kTranscoder, {}).error().status, 401);
}

TEST(TaskResult, RefusalsOfTheBody) {
    const http::Headers headers{{"content-type", "multipart/mixed; boundary=b"}};
    const auto status = [&](WorkerKind kind, std::string_view body) {
        const auto back = read_body(kind, headers, Blob::copy_of(body));
        return back.taken ? 200 : back.taken.error().status;
    };
    EXPECT_EQ(status(WorkerKind::kTranscoder, ""), 500);
    EXPECT_EQ(status(WorkerKind::kTranscoder, "--b\r\n\r\nx"), 500);
    EXPECT_EQ(status(WorkerKind::kTranscoder, "--b\r\nContent-Type: text/html\r\n\r\nx\r\n--b--\r\n"), 500);
    EXPECT_EQ(status(WorkerKind::kTranscoder, "--b\r\nContent-Type: video/mp2t\r\n\r\nx\r\n--b--\r\n"), 500);
    EXPECT_EQ(status(WorkerKind::kAi, "--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b--\r\n"), 500);
    EXPECT_EQ(
        status(
            WorkerKind::kAi,
            "--b\r\nContent-Type: application/json\r\n\r\n{\"images\":[{\"url\":\"gone\"}]}\r\n--b--\r\n"
        ),
        500
    );
    EXPECT_EQ(
        read_body(WorkerKind::kAi, {{"content-type", "multipart/mixed"}}, {}).taken.error().status, 415
    );
}

}  // namespace
}  // namespace framegrid::wire
