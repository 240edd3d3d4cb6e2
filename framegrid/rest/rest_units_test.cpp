// The pure parts: error bodies, routes, paths, headers, the configuration JSON, the webhook's list.
#include <framegrid/base/utf8.hpp>
#include <framegrid/rest/answer.hpp>
#include <framegrid/rest/byte_range.hpp>
#include <framegrid/rest/problem.hpp>
#include <framegrid/rest/push_request.hpp>
#include <framegrid/rest/request_text.hpp>
#include <framegrid/rest/router.hpp>
#include <framegrid/rest/sources.hpp>

#include <gtest/gtest.h>

namespace framegrid::rest {
namespace {

TEST(ErrorJson, HasBothShapes) {
    EXPECT_EQ(
        error_json(make_error(Errc::kInvalidArgument, "no \"picture\"", "image"), 400),
        R"({"error":{"code":"invalid_argument","message":"no \"picture\"","field":"image"},)"
        R"("detail":{"msg":"no \"picture\""}})"
    );
}

TEST(ErrorJson, LeavesOutAnEmptyFieldAndIsNeverNull) {
    const auto json = error_json(make_error(Errc::kInternal, ""), 500);
    EXPECT_EQ(json, R"({"error":{"code":"internal","message":"internal"},"detail":{"msg":"internal"}})");
}

TEST(ErrorJson, DetailIsAListFor422) {
    EXPECT_EQ(
        error_json(make_error(Errc::kUnprocessable, "not media", "image"), 422),
        R"({"error":{"code":"unprocessable","message":"not media","field":"image"},)"
        R"("detail":[{"loc":["body","image"],"msg":"not media","type":"unprocessable"}]})"
    );
}

TEST(ErrorJson, MessagesBecomeValidUtf8) {
    EXPECT_EQ(
        valid_utf8("gr\xc3\xbc\xc3\x9f \xff\xc0\xaf \xed\xa0\x80 \xf0\x9f\x98\x80"),
        "gr\xc3\xbc\xc3\x9f ??? ??? \xf0\x9f\x98\x80"
    );
    EXPECT_EQ(valid_utf8("cut \xe2\x82"), "cut ??");
}

TEST(ErrorAnswer, UnavailableIsRetryable) {
    const auto answer = error_answer(make_error(Errc::kUnavailable, "nobody"));
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.headers.get("retry-after"), "1");
    EXPECT_EQ(error_answer(make_error(Errc::kTooLarge, "x")).status, 413);
    EXPECT_EQ(error_answer(make_error(Errc::kDeadline, "x")).status, 504);
    EXPECT_EQ(error_answer(make_error(Errc::kDeadline, "x", "body")).status, 408);
}

class RouterTest : public testing::Test {
  protected:
    void SetUp() override {
        for (const auto& [method, pattern] : std::vector<std::pair<std::string, std::string>>{
                 {"GET", "/"},
                 {"POST", "/upscale"},
                 {"PUT", "/live/{*}"},
                 {"POST", "/live/{*}"},
                 {"GET", "/s/{}/{}"}
             }) {
            router_.add({method, pattern, RouteKind::kPage, {}});
        }
    }
    Router router_;
};

TEST_F(RouterTest, FindsByMethodAndPath) {
    EXPECT_EQ(router_.find("POST", "/upscale").route->pattern, "/upscale");
    EXPECT_EQ(router_.find("POST", "/upscale/").route->pattern, "/upscale");
    EXPECT_EQ(router_.find("GET", "/").route->pattern, "/");
    EXPECT_EQ(
        router_.find("HEAD", "/s/a%20b/c.m3u8").parameters, (std::vector<std::string>{"a b", "c.m3u8"})
    );
    EXPECT_EQ(router_.find("PUT", "/live/x%2Fy/1.ts").parameters, std::vector<std::string>{"x%2Fy/1.ts"});
    EXPECT_EQ(router_.find("PUT", "/live/").parameters, std::vector<std::string>{""});
}

TEST_F(RouterTest, TellsUnknownPathsFromWrongMethods) {
    EXPECT_EQ(router_.find("GET", "/nothing").allow, "");
    EXPECT_EQ(router_.find("GET", "/s/only-one").allow, "");
    EXPECT_EQ(router_.find("GET", "/s/%zz/b").allow, "");
    EXPECT_EQ(router_.find("GET", "/s//b").allow, "");
    const auto match = router_.find("DELETE", "/live/a/1.ts");
    EXPECT_EQ(match.route, nullptr);
    EXPECT_EQ(match.allow, "PUT, POST");
    EXPECT_EQ(router_.find("POST", "/s/a/b").allow, "GET, HEAD");
}

TEST(RequestText, PriorityInTheBackground) {
    EXPECT_TRUE(is_background("u=7"));
    EXPECT_TRUE(is_background("i, u=7;x=1"));
    EXPECT_FALSE(is_background(""));
    EXPECT_FALSE(is_background("u=5, i"));
    EXPECT_FALSE(is_background("u=70"));
}

TEST(RequestText, AcceptLists) {
    EXPECT_TRUE(asks_for(accepted_types("multipart/mixed"), "multipart/mixed"));
    EXPECT_TRUE(asks_for(accepted_types("text/html, Multipart/Mixed;q=0.5, */*"), "multipart/mixed"));
    EXPECT_TRUE(asks_for(accepted_types("image/*"), "image/png"));
    EXPECT_FALSE(asks_for(accepted_types("*/*"), "multipart/mixed"));
    EXPECT_FALSE(asks_for(accepted_types("multipart/mixed;q=0.0"), "multipart/mixed"));
    EXPECT_FALSE(asks_for(accepted_types(""), "multipart/mixed"));
}

TEST(RequestText, PercentEncoding) {
    EXPECT_EQ(percent_decode("a%2fb%41"), "a/bA");
    EXPECT_EQ(percent_decode("%"), std::nullopt);
    EXPECT_EQ(percent_decode("%4"), std::nullopt);
    EXPECT_EQ(percent_decode("%00"), std::nullopt);
    EXPECT_EQ(percent_encode("a b/\xc3\xbc"), "a%20b%2F%C3%BC");
}

std::string field_of(const auto& result) {
    return result ? "(ok)" : std::string(to_string(result.error().code)) + ":" + result.error().field;
}

TEST(PushPath, Parsed) {
    const auto target = parse_push_path("my%20stream/18446.mp4");
    ASSERT_TRUE(target);
    EXPECT_EQ(target->stream, "my stream");
    EXPECT_EQ(target->seq, 18446);
    EXPECT_EQ(target->container, media::Container::kMp4);
}

TEST(PushPath, Refused) {
    EXPECT_EQ(field_of(parse_push_path("s/1.m3u8")), "invalid_argument:extension");
    EXPECT_EQ(field_of(parse_push_path("s/1")), "invalid_argument:extension");
    EXPECT_EQ(field_of(parse_push_path("")), "invalid_argument:extension");
    EXPECT_EQ(field_of(parse_push_path("1.ts")), "invalid_argument:stream");
    EXPECT_EQ(field_of(parse_push_path("/b/1.ts")), "invalid_argument:stream");
    EXPECT_EQ(field_of(parse_push_path("a%2Fb/1.ts")), "invalid_argument:stream");
    EXPECT_EQ(field_of(parse_push_path("../1.ts")), "invalid_argument:stream");
    EXPECT_EQ(field_of(parse_push_path("a%0Ab/1.ts")), "invalid_argument:stream");
    EXPECT_EQ(field_of(parse_push_path(std::string(300, 'a') + "/1.ts")), "invalid_argument:stream");
}

TEST(PushPath, NamesThatArePlayersOwn) {
    const auto seq = [](std::string_view path) { return parse_push_path(path).value().seq; };
    EXPECT_EQ(seq("s/segment.ts"), 0);
    EXPECT_EQ(seq("s/.ts"), 0);
    EXPECT_EQ(seq("s/out0017.ts"), 17);
    EXPECT_EQ(seq("s/99999999999999999999.ts"), 0);
    EXPECT_EQ(parse_push_path("a/b/1.ts").value().stream, "a");
    EXPECT_EQ(seq("a/b/1.ts"), 1);
}

TEST(PushConfig, PresetsComeBeforeProfiles) {
    const auto config = parse_push_config(
        R"({"profiles":[{"name":"low","width":320,"height":180,"bitrate":300000}],
            "presets":["P144p30fps16x9"],
            "timeoutMultiplier":10,"forceSessionReinit":true,"detection":{"freq":1},"manifestID":null})"
    );
    ASSERT_TRUE(config) << config.error().message;
    ASSERT_TRUE(config->profiles);
    ASSERT_EQ(config->profiles->size(), 2u);
    EXPECT_EQ((*config->profiles)[0].name, "P144p30fps16x9");
    EXPECT_EQ((*config->profiles)[1].name, "low");
    EXPECT_EQ(config->timeout_multiplier, 10);
    EXPECT_TRUE(config->force_reinit);
}

TEST(PushConfig, AbsentAndEmptyLaddersDiffer) {
    EXPECT_FALSE(parse_push_config("{}")->profiles);
    EXPECT_FALSE(parse_push_config("null")->profiles);
    EXPECT_FALSE(parse_push_config(R"({"profiles":null})")->profiles);
    EXPECT_TRUE(parse_push_config(R"({"profiles":[]})")->profiles);
}

TEST(PushConfig, WrongTypesNameTheField) {
    const std::vector<std::pair<std::string, std::string>> cases{
        {"{", "livepeer-transcode-configuration"},
        {"[]", "livepeer-transcode-configuration"},
        {"7", "livepeer-transcode-configuration"},
        {R"({"profiles":{}})", "profiles"},
        {R"({"profiles":"P720p"})", "profiles"},
        {R"({"profiles":[7]})", "profiles[0]"},
        {R"({"profiles":[{"width":1,"height":1},{"width":"wide","height":2}]})", "profiles[1].width"},
        {R"({"profiles":[{"width":640,"height":360,"fps":-1}]})", "profiles[0].fps"},
        {R"({"profiles":[{"width":640,"height":360,"gop":"often"}]})", "profiles[0].gop"},
        {R"({"presets":"P720p30fps16x9"})", "presets"},
        {R"({"presets":[1]})", "presets[0]"},
        {R"({"presets":["P720p30fps16x9","P9000p"]})", "presets[1]"},
        {R"({"presets":[""]})", "presets[0]"},
        {R"({"presets":["P144p30fps16x9","P144p30fps16x9"]})", "profiles"},
        {R"({"timeoutMultiplier":"10"})", "timeoutMultiplier"},
        {R"({"timeoutMultiplier":1.5})", "timeoutMultiplier"},
        {R"({"timeoutMultiplier":-1})", "timeoutMultiplier"},
        {R"({"forceSessionReinit":1})", "forceSessionReinit"},
    };
    for (const auto& [json, field] : cases) {
        EXPECT_EQ(field_of(parse_push_config(json)), "invalid_argument:" + field) << json;
    }
    EXPECT_FALSE(parse_push_config(std::string(2'000, '[')));
}

TEST(PushHeaders, Durations) {
    const auto read = [](const std::string& text) {
        return parse_push_headers({{"content-duration", text}});
    };
    EXPECT_EQ(parse_push_headers({})->duration_ms, 2000);
    EXPECT_EQ(read("1500")->duration_ms, 1500);
    EXPECT_EQ(read("two")->duration_ms, 2000);
    EXPECT_EQ(read("300000")->duration_ms, 300000);
    EXPECT_EQ(field_of(read("300001")), "invalid_argument:content-duration");
    EXPECT_EQ(field_of(read("-1")), "invalid_argument:content-duration");
    EXPECT_EQ(field_of(read("99999999999999999999999")), "invalid_argument:content-duration");
}

TEST(PushHeaders, SlicesAndResolution) {
    const auto headers = parse_push_headers(
        {{"content-slice-from", "100"}, {"content-slice-to", "900"}, {"content-resolution", "1280x720"}}
    );
    ASSERT_TRUE(headers);
    EXPECT_EQ(headers->clip, (api::Clip{100, 900}));
    EXPECT_EQ(headers->resolution, (media::Size{1280, 720}));
    EXPECT_EQ(parse_push_headers({{"content-slice-from", "500"}})->clip, (api::Clip{500, 2000}));
    EXPECT_FALSE(parse_push_headers({{"content-slice-to", "never"}})->clip);
    EXPECT_FALSE(parse_push_headers({{"content-resolution", "0x0"}})->resolution);
    EXPECT_EQ(
        field_of(parse_push_headers({{"content-slice-from", "900"}, {"content-slice-to", "100"}})),
        "invalid_argument:content-slice-from"
    );
}

TEST(Sources, WebhookListDropsMalformedEntries) {
    const auto list = parse_orchestrator_list(
        R"([{"address":"https://a:8935/","score":0.5},{"address":"b.example"},{"address":7},"x",
            {"address":"ftp://c"},{"address":"https://a:8935"},{"address":"https://d","score":"high"}])"
    );
    ASSERT_TRUE(list);
    EXPECT_EQ(list->uris, (std::vector<std::string>{"https://a:8935", "https://b.example"}));
    EXPECT_EQ(list->refused, 4u);
    EXPECT_EQ(list->first_refused, R"("{\"address\":7}")");
    EXPECT_EQ(field_of(parse_orchestrator_list("{}")), "protocol:");
    EXPECT_EQ(field_of(parse_orchestrator_list("<html>")), "protocol:");
    EXPECT_TRUE(parse_orchestrator_list("[]")->uris.empty());
}

TEST(Sources, StaticListIsCheckedOnce) {
    EXPECT_TRUE(StaticSource::make({"127.0.0.1:8935", "https://127.0.0.1:8935"}));
    EXPECT_EQ(field_of(StaticSource::make({"mailto://x"})), "invalid_argument:url");
}

TEST(ByteRanges, AreCutToTheFile) {
    const auto of = [](std::string_view header) { return parse_range(header, 100).value_or(ByteRange{}); };
    EXPECT_EQ(of("bytes=0-9"), (ByteRange{0, 10, true}));
    EXPECT_EQ(of("bytes=90-"), (ByteRange{90, 10, true}));
    EXPECT_EQ(of("bytes=90-1000"), (ByteRange{90, 10, true}));
    EXPECT_EQ(of("bytes=-10"), (ByteRange{90, 10, true}));
    EXPECT_EQ(of("bytes=-1000"), (ByteRange{0, 100, true}));
    EXPECT_EQ(of("bytes=0-99"), (ByteRange{0, 100, true}));
    const ByteRange all{0, 100, false};
    for (const char* header :
         {"", "bytes", "bytes=", "bytes=a-b", "bytes=1-2,5-6", "lines=0-1", "bytes=9-1", "bytes=1-b",
          "bytes=--1", "bytes=99999999999999999999-"}) {
        EXPECT_EQ(of(header), all) << header;
    }
    for (const char* header : {"bytes=100-", "bytes=500-600", "bytes=-0"}) {
        const auto none = parse_range(header, 100);
        ASSERT_FALSE(none) << header;
        EXPECT_EQ(none.error().field, "range");
    }
    EXPECT_EQ(parse_range("bytes=0-", 0).error().field, "range");
    EXPECT_FALSE(parse_range("bytes=101-", 100)) << "far behind the end, and open";
    EXPECT_EQ(*parse_range("", 0), (ByteRange{0, 0, false}));
}

TEST(Query, IsDecodedInOrder) {
    using Fields = std::vector<std::pair<std::string, std::string>>;
    EXPECT_EQ(query_of("a=1&b=x%20y&&c&=2&d=%zz"), (Fields{{"a", "1"}, {"b", "x y"}, {"c", ""}}));
    EXPECT_TRUE(query_of("").empty());
}

TEST(Origin, IsWhatTheClientUsedUnlessThereIsAPublicUrl) {
    http::RequestHead head;
    head.scheme = "https";
    head.authority = "gw:8443";
    EXPECT_EQ(origin_of(head, ""), "https://gw:8443");
    EXPECT_EQ(origin_of(head, "https://media.example/"), "https://media.example");
    EXPECT_EQ(origin_of({}, ""), "");
}

TEST(Problem, SaysWhatToDo) {
    const auto answer = problem_answer(make_error(Errc::kCapacity, "the queue is full"), "abc", 429);
    EXPECT_EQ(answer.status, 429);
    EXPECT_EQ(answer.headers.get("content-type"), "application/problem+json");
    EXPECT_EQ(answer.headers.get("retry-after"), "5");
    EXPECT_EQ(
        answer.body.front().text(),
        R"({"type":"urn:framegrid:problem:capacity","title":"Too much at once","status":429,)"
        R"("detail":"the queue is full","code":"capacity",)"
        R"("what_to_do":"try again after the time in Retry-After","trace_id":"abc"})"
    );
}

}  // namespace
}  // namespace framegrid::rest
