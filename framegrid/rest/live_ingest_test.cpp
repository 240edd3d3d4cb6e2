// Push ingest and playback as clients see them, on fakes.
#include <framegrid/rest/test_fakes.hpp>

#include <boost/json.hpp>

namespace framegrid::rest {
namespace {

using namespace std::chrono_literals;

constexpr const char* kTwo = R"({"profiles":[{"name":"low","width":320,"height":180,"bitrate":300000},
                                            {"name":"high","width":640,"height":360,"bitrate":900000}]})";

class LiveIngestTest : public RestTest {
  protected:
    std::unique_ptr<Sent> push(
        const std::string& target, Fields headers = {}, std::string_view body = "media"
    ) {
        return send("POST", target, headers, body);
    }
    static Fields two() {
        return {{"accept", "multipart/mixed"}, {"livepeer-transcode-configuration", kTwo}};
    }
    const api::TranscodeWork& last_work() {
        return std::get<api::TranscodeWork>(gateway_.jobs.back().work.kind);
    }
    void answer_with(Errc code, std::string message) {
        gateway_.answer = [=](const gateway::JobRequest&) -> Result<gateway::JobResult> {
            return fail(code, message);
        };
    }
    static std::string field_of(const Sent& sent) {
        const auto json = boost::json::parse(sent.text()).as_object();
        const auto* field = json.at("error").as_object().if_contains("field");
        return field == nullptr ? "" : std::string(field->as_string());
    }
};

// The bytes that existing clients' parsers are written against (transcoding reference, section 1.4).
TEST_F(LiveIngestTest, MultipartAnswerIsByteExact) {
    const auto sent = push("/live/show/7.ts", two());
    ASSERT_EQ(sent->status(), 200);
    const std::string type = sent->header("content-type");
    const std::string prefix = "multipart/mixed; boundary=";
    ASSERT_TRUE(type.starts_with(prefix)) << type;
    const std::string boundary = type.substr(prefix.size());
    EXPECT_EQ(boundary.size(), 20u);
    EXPECT_EQ(boundary.find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_EQ(
        sent->text(), "--" + boundary +
                          "\r\n"
                          "Content-Disposition: attachment; filename=\"low_7.ts\"\r\n"
                          "Content-Length: 4\r\n"
                          "Content-Type: video/mp2t; name=\"low_7.ts\"\r\n"
                          "Rendition-Name: low\r\n"
                          "\r\n"
                          "low!\r\n"
                          "--" +
                          boundary +
                          "\r\n"
                          "Content-Disposition: attachment; filename=\"high_7.ts\"\r\n"
                          "Content-Length: 5\r\n"
                          "Content-Type: video/mp2t; name=\"high_7.ts\"\r\n"
                          "Rendition-Name: high\r\n"
                          "\r\n"
                          "high!\r\n"
                          "--" +
                          boundary + "--\r\n"
    );
    EXPECT_EQ(sent->header("content-length"), std::to_string(sent->text().size()));
}

TEST_F(LiveIngestTest, PartsGoOutInOrderAsTheyAreDone) {
    const auto whole = push("/live/other/7.ts", two());
    gateway_.gate.emplace();
    const auto sent = start("POST", "/live/show/7.ts", two(), "media");
    const auto early = gateway_.jobs.back().early;
    ASSERT_TRUE(early);
    early(1, {"high", "video/mp2t", Blob::copy_of("high!"), {}, {}});
    poll();
    EXPECT_FALSE(sent->response.started()) << "it waits for the part before it";
    early(0, {"low", "video/mp2t", Blob::copy_of("low!"), {}, {}});
    poll();
    EXPECT_EQ(sent->status(), 200);
    EXPECT_TRUE(sent->text().ends_with("Rendition-Name: high\r\n\r\nhigh!")) << sent->text();
    EXPECT_NE(sent->header("x-request-id"), "(none)");
    EXPECT_EQ(sent->header("trailer"), "X-Framegrid-Attempts, X-Framegrid-Orchestrator");
    EXPECT_FALSE(sent->done);
    gateway_.gate->fire();
    poll();
    EXPECT_TRUE(sent->done && sent->response.finished);
    EXPECT_EQ(sent->response.trailers.get("x-framegrid-attempts"), "1");
    EXPECT_EQ(sent->response.trailers.get("x-framegrid-orchestrator"), "https://one");
    const auto body_of = [](const Sent& answer) {
        const std::string type = answer.header("content-type");
        std::string text = answer.text();
        const std::string boundary = type.substr(type.find('=') + 1);
        for (auto at = text.find(boundary); at != std::string::npos; at = text.find(boundary)) {
            text.replace(at, boundary.size(), "B");
        }
        return text;
    };
    EXPECT_EQ(body_of(*sent), body_of(*whole)) << "the same bytes as an answer in one go";
    EXPECT_EQ(rest().stats().memory_bytes, 0u);
    EXPECT_EQ(rest().stats().bytes_out, sent->text().size() + whole->text().size());
    EXPECT_EQ(send("GET", "/stream/show/low/0.ts")->text(), "low!");
}

TEST_F(LiveIngestTest, AnAnswerThatWasBegunIsCutShortWhenTheJobFails) {
    gateway_.gate.emplace();
    answer_with(Errc::kUnavailable, "everybody is gone");
    const auto sent = start("POST", "/live/show/7.ts", two(), "media");
    gateway_.jobs.back().early(0, {"low", "video/mp2t", Blob::copy_of("low!"), {}, {}});
    poll();
    EXPECT_TRUE(sent->response.started());
    gateway_.gate->fire();
    poll();
    EXPECT_TRUE(sent->done);
    EXPECT_FALSE(sent->response.finished);
    EXPECT_EQ(rest().stats().server_errors, 1u);
}

TEST_F(LiveIngestTest, NobodyTakesOneRenditionOrNoneEarly) {
    push("/live/show/0.ts", {{"accept", "*/*"}, {"livepeer-transcode-configuration", kTwo}});
    EXPECT_FALSE(gateway_.jobs.back().early);
    push(
        "/live/one/0.ts", {{"accept", "multipart/mixed"},
                           {"livepeer-transcode-configuration", R"({"presets":["P144p30fps16x9"]})"}}
    );
    EXPECT_FALSE(gateway_.jobs.back().early);
    auto background = two();
    background.push_back({"priority", "u=7"});
    push("/live/show/1.ts", background);
    EXPECT_FALSE(gateway_.jobs.back().early);
}

TEST_F(LiveIngestTest, JobCarriesWhatTheClientAskedFor) {
    auto headers = two();
    headers.push_back({"content-duration", "4000"});
    headers.push_back({"content-slice-to", "1000"});
    push("/live/show/3.mp4", headers);
    ASSERT_EQ(gateway_.jobs.size(), 1u);
    const auto& job = gateway_.jobs[0];
    EXPECT_EQ(job.manifest_id, "show");
    EXPECT_EQ(job.seq, 3);
    EXPECT_EQ(job.work.input.text(), "media");
    EXPECT_EQ(last_work().duration_ms, 4000);
    EXPECT_EQ(last_work().clip, (api::Clip{0, 1000}));
    EXPECT_FALSE(last_work().force_reinit);
    EXPECT_EQ(last_work().profiles[1].container, media::Container::kMp4) << "inherited from the segment";
    EXPECT_TRUE(job.needs.has(job::Capability::kSegmentSlicing));
    EXPECT_TRUE(job.needs.has(job::Capability::kMp4));
    EXPECT_TRUE(job.needs.has(job::Capability::kH264));
    EXPECT_EQ(gateway_.deadlines[0].left(clock_), 32s);
}

TEST_F(LiveIngestTest, WithoutConfigurationTheDefaultLadder) {
    const auto sent = push("/live/show/0.ts", {{"accept", "text/html, multipart/mixed;q=0.9"}});
    EXPECT_EQ(sent->status(), 200);
    EXPECT_NE(sent->text().find("Rendition-Name: P240p30fps16x9"), std::string::npos);
    EXPECT_EQ(last_work().profiles.size(), 2u);
}

TEST_F(LiveIngestTest, OtherAcceptGetsAnEmptyAnswerAfterTheWork) {
    const auto sent = push("/live/show/0.ts", {{"accept", "*/*"}});
    EXPECT_EQ(sent->status(), 200);
    EXPECT_EQ(sent->text(), "");
    EXPECT_EQ(gateway_.jobs.size(), 1u);
}

TEST_F(LiveIngestTest, EmptyLadderIsNoWork) {
    const auto sent = push(
        "/live/show/0.ts",
        {{"accept", "multipart/mixed"}, {"livepeer-transcode-configuration", R"({"presets":[]})"}}
    );
    EXPECT_EQ(sent->status(), 200);
    EXPECT_EQ(sent->text(), "");
    EXPECT_TRUE(gateway_.jobs.empty());
}

TEST_F(LiveIngestTest, BadRequestsNameTheField) {
    EXPECT_EQ(push("/live/show/0.m3u8")->status(), 400);
    EXPECT_EQ(push("/live/0.ts")->status(), 400);
    const auto config =
        push("/live/show/0.ts", {{"livepeer-transcode-configuration", R"({"profiles":[{"width":"x"}]})"}});
    EXPECT_EQ(config->status(), 400);
    EXPECT_EQ(field_of(*config), "profiles[0].width");
    const auto duration = push("/live/show/0.ts", {{"content-duration", "300001"}});
    EXPECT_EQ(duration->status(), 400);
    EXPECT_EQ(field_of(*duration), "content-duration");
    EXPECT_TRUE(gateway_.jobs.empty());
}

TEST_F(LiveIngestTest, OtherMethodsAre405WithAllow) {
    const auto sent = send("GET", "/live/show/0.ts");
    EXPECT_EQ(sent->status(), 405);
    EXPECT_EQ(sent->header("allow"), "PUT, POST, OPTIONS");
    EXPECT_EQ(send("PUT", "/live/show/0.ts", {}, "media")->status(), 200);
}

TEST_F(LiveIngestTest, NotMediaIs422) {
    EXPECT_EQ(push("/live/show/0.ts", two(), "")->status(), 422) << "zero bytes";
    probe_.result = fail(Errc::kUnprocessable, "Invalid data found when processing input");
    const auto sent = push("/live/show/0.ts", two());
    EXPECT_EQ(sent->status(), 422);
    EXPECT_EQ(field_of(*sent), "body");
    probe_.result = api::ProbeResult{"mimic", "", "yuv420p", {720, 576}};
    EXPECT_EQ(push("/live/show/0.ts", two())->status(), 422);
    probe_.result = api::ProbeResult{"h264", "", "yuv420p", {100'000, 100'000}};
    EXPECT_EQ(push("/live/show/0.ts", two())->status(), 422);
    probe_.result = api::ProbeResult{};
    EXPECT_EQ(push("/live/show/0.ts", two())->status(), 422);
    EXPECT_TRUE(gateway_.jobs.empty());
    EXPECT_EQ(rest().stats().streams, 0u) << "bad input makes no stream";
    probe_.result = fail(Errc::kInternal, "no memory");
    EXPECT_EQ(push("/live/show/0.ts", two())->status(), 500) << "our fault, not the segment's";
}

TEST_F(LiveIngestTest, AProbeThatBrokeOffIs503AndSaysNothingAboutTheSegment) {
    for (const auto code : {Errc::kUnavailable, Errc::kCapacity, Errc::kDeadline}) {
        probe_.result = fail(code, "the executor was killed by SIGSEGV during the task");
        const auto sent = push("/live/show/0.ts", two());
        EXPECT_EQ(sent->status(), 503) << to_string(code);
        EXPECT_EQ(field_of(*sent), "");
        EXPECT_NE(sent->text().find("could not be looked into: the executor was killed"), std::string::npos);
        EXPECT_NE(sent->text().find("No sessions available"), std::string::npos);
        EXPECT_EQ(sent->header("retry-after"), "1");
    }
    EXPECT_TRUE(gateway_.jobs.empty());
    EXPECT_EQ(rest().stats().streams, 0u);
    probe_.result = api::ProbeResult{"h264", "aac", "yuv420p", {1280, 720}};
    EXPECT_EQ(push("/live/show/0.ts", two())->status(), 200) << "the next segment is served";
}

TEST_F(LiveIngestTest, TheProbeSeesTheWholeSegmentAndHasADeadline) {
    settings_.ingest.probe_time_max = 3s;
    push("/live/show/0.ts", two(), "segment");
    ASSERT_EQ(probe_.probed.size(), 1u);
    EXPECT_EQ(probe_.probed[0].text(), "segment");
    EXPECT_EQ(probe_.probed[0].view().data(), gateway_.jobs.at(0).work.input.view().data()) << "no copy";
    EXPECT_EQ(probe_.deadlines.at(0).left(clock_), 3s);
}

TEST_F(LiveIngestTest, OversizedBodiesAre413) {
    settings_.ingest.segment_bytes_max = 10;
    const auto declared = send("POST", "/live/show/0.ts", {{"content-length", "11"}}, "01234567890");
    EXPECT_EQ(declared->status(), 413);
    EXPECT_EQ(declared->body.pieces_read(), 0u) << "refused before reading";
    EXPECT_EQ(push("/live/show/0.ts", {}, "01234567890")->status(), 413);
    EXPECT_EQ(push("/live/show/0.ts", {}, "0123456789")->status(), 200);
    EXPECT_EQ(rest().stats().memory_bytes, 0u);
}

TEST_F(LiveIngestTest, HalfABodyIs500AndNoJob) {
    auto sent = std::make_unique<Sent>();
    sent->body.pieces.push_back(Blob::copy_of(std::string_view("half")));
    sent->body.broken = true;
    sent = start(std::move(sent), "POST", "/live/show/0.ts", {});
    EXPECT_EQ(sent->status(), 500);
    EXPECT_TRUE(gateway_.jobs.empty());
    EXPECT_EQ(rest().stats().memory_bytes, 0u);
}

TEST_F(LiveIngestTest, BodiesInPiecesAreJoined) {
    auto sent = std::make_unique<Sent>();
    for (const std::string_view piece : {"one ", "two ", "three"}) {
        sent->body.pieces.push_back(Blob::copy_of(piece));
    }
    start(std::move(sent), "POST", "/live/show/0.ts", {});
    EXPECT_EQ(gateway_.jobs.at(0).work.input.text(), "one two three");
}

TEST_F(LiveIngestTest, JobErrorsHaveTheDocumentedStatuses) {
    const std::vector<std::pair<Errc, int>> cases{
        {Errc::kUnprocessable, 422}, {Errc::kUnsupported, 422}, {Errc::kInvalidArgument, 422},
        {Errc::kUnavailable, 503},   {Errc::kCapacity, 503},    {Errc::kDeadline, 503},
        {Errc::kProtocol, 500},      {Errc::kInternal, 500},
    };
    for (const auto& [code, status] : cases) {
        answer_with(code, "because");
        const auto sent = push("/live/show/0.ts", two());
        EXPECT_EQ(sent->status(), status) << to_string(code);
        EXPECT_NE(sent->text().find("because"), std::string::npos);
        if (status == 503) {
            EXPECT_NE(sent->text().find("No sessions available"), std::string::npos);
            EXPECT_EQ(sent->header("retry-after"), "1");
        }
    }
}

TEST_F(LiveIngestTest, AudioOnlyIsReturnedAsItCame) {
    probe_.result = api::ProbeResult{"h264", "aac", "", {}};
    const auto sent = push("/live/show/0.ts", two(), "sound");
    EXPECT_EQ(sent->status(), 200);
    EXPECT_TRUE(gateway_.jobs.empty());
    EXPECT_NE(sent->text().find("Rendition-Name: low\r\n\r\nsound\r\n"), std::string::npos);
    EXPECT_NE(sent->text().find("Rendition-Name: high\r\n\r\nsound\r\n"), std::string::npos);
    EXPECT_EQ(rest().stats().ingest.bypassed, 1u);
}

TEST_F(LiveIngestTest, AChangedSourceForcesReinit) {
    push("/live/show/0.ts", two());
    probe_.result->size = {1920, 1080};
    push("/live/show/1.ts", two());
    EXPECT_TRUE(last_work().force_reinit);
    push("/live/show/2.ts", two());
    EXPECT_FALSE(last_work().force_reinit);
    push("/live/show/3.ts", {{"livepeer-transcode-configuration", R"({"forceSessionReinit":true})"}});
    EXPECT_TRUE(last_work().force_reinit);
    EXPECT_EQ(last_work().profiles.size(), 2u) << "the ladder stays";
}

TEST_F(LiveIngestTest, AnotherLadderStartsANewGroup) {
    push("/live/show/0.ts", two());
    push("/live/show/1.ts", {});
    EXPECT_EQ(gateway_.jobs.back().manifest_id, "show");
    push("/live/show/2.ts", {{"livepeer-transcode-configuration", R"({"presets":["P144p30fps16x9"]})"}});
    EXPECT_EQ(gateway_.jobs.back().manifest_id, "show~2");
    EXPECT_EQ(last_work().profiles.size(), 1u);
    pass(1s);
    EXPECT_EQ(gateway_.ended, std::vector<std::string>{"show"});
}

TEST_F(LiveIngestTest, TimeoutMultiplierCountsFromTheFirstSegment) {
    push("/live/show/0.ts", {{"livepeer-transcode-configuration", R"({"timeoutMultiplier":3})"}});
    EXPECT_EQ(gateway_.deadlines.back().left(clock_), 90s);
    push("/live/show/1.ts", {{"livepeer-transcode-configuration", R"({"timeoutMultiplier":9})"}});
    EXPECT_EQ(gateway_.deadlines.back().left(clock_), 90s);
}

TEST_F(LiveIngestTest, StreamsAreBoundedAndExpire) {
    settings_.ingest.streams.streams_max = 1;
    EXPECT_EQ(push("/live/one/0.ts")->status(), 200);
    const auto refused = push("/live/two/0.ts");
    EXPECT_EQ(refused->status(), 503);
    EXPECT_EQ(refused->header("retry-after"), "1");
    pass(50s);
    EXPECT_EQ(push("/live/one/1.ts")->status(), 200) << "keeps it alive";
    pass(50s);
    EXPECT_TRUE(gateway_.ended.empty());
    pass(15s);
    EXPECT_EQ(gateway_.ended, std::vector<std::string>{"one"});
    EXPECT_EQ(push("/live/two/0.ts")->status(), 200) << "an ended stream makes room";
    pass(130s);
    EXPECT_EQ(rest().stats().streams, 0u);
}

TEST_F(LiveIngestTest, AStreamWithWorkDoesNotExpire) {
    gateway_.gate.emplace();
    const auto sent = start("POST", "/live/one/0.ts", {}, "media");
    pass(100s);
    EXPECT_TRUE(gateway_.ended.empty());
    gateway_.gate->fire();
    poll();
    EXPECT_EQ(sent->status(), 200);
}

TEST_F(LiveIngestTest, AClientThatLeavesReleasesEverything) {
    gateway_.gate.emplace();
    const auto sent = start("POST", "/live/one/0.ts", {}, "media");
    EXPECT_EQ(rest().stats().memory_bytes, 5u);
    EXPECT_EQ(rest().stats().jobs_in_flight, 1u);
    group_.cancel();
    poll();
    EXPECT_FALSE(sent->done);
    EXPECT_EQ(rest().stats().memory_bytes, 0u);
    EXPECT_EQ(rest().stats().jobs_in_flight, 0u);
    EXPECT_EQ(rest().stats().aborted, 1u);
}

TEST_F(LiveIngestTest, NamesAreDecodedAndEncodedAgain) {
    push("/live/my%20show/0.ts", two());
    EXPECT_EQ(gateway_.jobs.back().manifest_id, "my show");
    const auto master = send("GET", "/stream/my%20show.m3u8");
    EXPECT_EQ(master->status(), 200);
    EXPECT_NE(master->text().find("\nmy%20show/high.m3u8\n"), std::string::npos) << master->text();
    EXPECT_EQ(send("GET", "/stream/my%20show/high.m3u8")->status(), 200);
}

TEST_F(LiveIngestTest, PlaylistsSlideAndEnd) {
    for (int i = 0; i < 15; ++i) {
        push("/live/show/" + std::to_string(i) + ".ts", two());
    }
    const auto master = send("GET", "/stream/show.m3u8");
    ASSERT_EQ(master->status(), 200);
    EXPECT_EQ(master->header("access-control-allow-origin"), "*");
    EXPECT_NE(master->text().find("RESOLUTION=320x180\nshow/low.m3u8\n"), std::string::npos)
        << master->text();
    const auto list = send("GET", "/stream/show/low.m3u8");
    EXPECT_EQ(list->header("content-type"), "application/x-mpegURL");
    EXPECT_EQ(
        list->text(),
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:9\n#EXT-X-INDEPENDENT-"
        "SEGMENTS\n"
        "#EXTINF:2.000,\nlow/9.ts\n#EXTINF:2.000,\nlow/10.ts\n#EXTINF:2.000,\nlow/11.ts\n"
        "#EXTINF:2.000,\nlow/12.ts\n#EXTINF:2.000,\nlow/13.ts\n#EXTINF:2.000,\nlow/14.ts\n"
    );
    const auto segment = send("GET", "/stream/show/high/3.ts");
    EXPECT_EQ(segment->text(), "high!");
    EXPECT_EQ(segment->header("content-type"), "video/mp2t");
    EXPECT_EQ(send("GET", "/stream/show/high/2.ts")->status(), 404) << "twelve are kept";
    EXPECT_EQ(send("GET", "/stream/show/none.m3u8")->status(), 404);
    EXPECT_EQ(send("GET", "/stream/none.m3u8")->status(), 404);
    EXPECT_EQ(send("GET", "/stream/show/high/x.ts")->status(), 404);
    pass(62s);
    EXPECT_TRUE(send("GET", "/stream/show/low.m3u8")->text().ends_with("#EXT-X-ENDLIST\n"));
    pass(62s);
    EXPECT_EQ(send("GET", "/stream/show/low.m3u8")->status(), 404);
    EXPECT_EQ(rest().stats().hls_bytes, 0u);
}

TEST_F(LiveIngestTest, SegmentsThatFinishOutOfOrderAreListedInOrder) {
    const OneShot slow;
    gateway_.gate = slow;
    const auto first = start("POST", "/live/show/0.ts", two(), "media");
    gateway_.gate.reset();
    push("/live/show/1.ts", two());
    EXPECT_EQ(send("GET", "/stream/show/low.m3u8")->status(), 404) << "1 waits for 0";
    slow.fire();
    poll();
    const auto list = send("GET", "/stream/show/low.m3u8")->text();
    EXPECT_NE(list.find("low/0.ts\n#EXTINF:2.000,\nlow/1.ts"), std::string::npos) << list;
    answer_with(Errc::kUnprocessable, "broken");
    push("/live/show/2.ts", two());
    gateway_.answer = FakeGateway::repeat_input;
    push("/live/show/3.ts", two());
    EXPECT_TRUE(send("GET", "/stream/show/low.m3u8")
                    ->text()
                    .ends_with("low/1.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2.000,\nlow/2.ts\n"));
}

TEST_F(LiveIngestTest, PlaylistBytesAreBounded) {
    settings_.ingest.streams.hls.bytes_max = 20;  // one segment is 9 bytes
    for (int i = 0; i < 5; ++i) {
        push("/live/show/" + std::to_string(i) + ".ts", two());
        EXPECT_LE(rest().stats().hls_bytes, 20u);
    }
    EXPECT_NE(send("GET", "/stream/show/low.m3u8")->text().find("MEDIA-SEQUENCE:3\n"), std::string::npos);
}

}  // namespace
}  // namespace framegrid::rest
