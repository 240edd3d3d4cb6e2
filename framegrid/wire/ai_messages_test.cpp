#include <framegrid/wire/ai_messages.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <framegrid/pay/receipt.hpp>

namespace framegrid::wire {
namespace {

const Blob kPicture = Blob::copy_of("\x89PNG\r\n\x1a\n picture bytes \r\n--almost");

TEST(AiRequest, FormRoundTrip) {
    const api::AiWork work{
        "upscale", "framegrid/sr-2x", R"({"prompt":"007","seed":5,"safety_check":false,"x":[1,2]})"
    };
    const auto body = write_ai_request(work, kPicture, "image/png", "b0undary");
    ASSERT_TRUE(body);
    const auto request = read_ai_request("upscale", body->content_type, body->body);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->work.model_id, "framegrid/sr-2x");
    EXPECT_EQ(request->work.parameters, R"({"prompt":"007","seed":5,"safety_check":false,"x":"[1,2]"})");
    EXPECT_EQ(request->input.text(), kPicture.text());
    EXPECT_EQ(request->input_content_type, "image/png");
    EXPECT_NE(body->body.text().find("name=\"image\""), std::string_view::npos);
}

TEST(AiRequest, BothSidesHaveTheSameDigestOfTheParameters) {
    const auto text_of = [](const char* parameters, const Blob& input) {
        const auto body = write_ai_request({"p", "m", parameters}, input, "image/png", "b0undary");
        return read_ai_request("p", body->content_type, body->body).value().work.parameters;
    };
    for (const char* parameters :
         {R"({"prompt":"a \"cat\", \u00e9\n","negative_prompt":"","seed":18446744073709551615})",
          R"({"seed":-5,"prompt":"007","safety_check":false,"loras":"{\"a\":0.5}","none":null})",
          R"({"guidance_scale":7.5,"strength":1,"x":1.0,"y":-0.25e-3,"z":1e-9,"prompt":"true"})",
          R"({"list":[1,2.5,{"a":[null,"b c"]}],"object":{"k":1},"model_id":"m","prompt":"1e3"})", "{}",
          ""}) {
        const auto digest = pay::parameters_digest(parameters);
        EXPECT_EQ(digest == crypto::Hash32{}, std::string_view(parameters).size() < 3);
        EXPECT_EQ(pay::parameters_digest(text_of(parameters, {})), digest) << parameters;
        EXPECT_EQ(pay::parameters_digest(text_of(parameters, kPicture)), digest) << parameters;
    }
}

TEST(AiRequest, UpscalingAlwaysHasAPromptOnTheWire) {
    // Runners of the other make answer 422 to a form without one, or with an empty one.
    for (const auto* parameters : {"", "{}", R"({"seed":5})", R"({"prompt":""})", R"({"prompt":null})"}) {
        const api::AiWork work{"upscale", "m", parameters};
        const auto body = write_ai_request(work, kPicture, "image/png", "b");
        ASSERT_TRUE(body);
        EXPECT_NE(body->body.text().find("name=\"prompt\"\r\n\r\n \r\n"), std::string_view::npos)
            << parameters;
        const auto request = read_ai_request("upscale", body->content_type, body->body);
        ASSERT_TRUE(request);
        EXPECT_EQ(request->work.parameters.find("prompt"), std::string::npos) << "nobody said it";
        const auto task = write_ai_job(work, api::Priority::kNormal, {}, "https://o/in");
        ASSERT_TRUE(task);
        EXPECT_NE(task->find(R"("prompt":" ")"), std::string::npos) << *task;
        EXPECT_EQ(read_ai_job("upscale", *task)->work.parameters.find("prompt"), std::string::npos);
    }
    const auto said = write_ai_request({"upscale", "m", R"({"prompt":"a cat"})"}, kPicture, "image/png", "b");
    EXPECT_EQ(
        read_ai_request("upscale", said->content_type, said->body)->work.parameters, R"({"prompt":"a cat"})"
    );
    const auto other = write_ai_request({"image-to-video", "m", "{}"}, kPicture, "image/png", "b");
    EXPECT_EQ(other->body.text().find("prompt"), std::string_view::npos) << "theirs has no such field";
}

TEST(AiRequest, VideosAreNamedByTheirContent) {
    Bytes ts(188 * 3, 0xff);
    ts[0] = ts[188] = ts[376] = 0x47;
    const auto body = write_ai_request({"upscale", "m", ""}, Blob(ts), "image/png", "b");
    EXPECT_NE(body->body.text().find("name=\"video\""), std::string_view::npos);
}

TEST(AiRequest, WithoutInputItIsJson) {
    const auto body = write_ai_request({"text-to-image", "m", R"({"prompt":"cat"})"}, {}, "", "b");
    EXPECT_EQ(body->content_type, "application/json");
    const auto request = read_ai_request("text-to-image", body->content_type, body->body);
    EXPECT_EQ(request->work.model_id, "m");
    EXPECT_EQ(request->work.parameters, R"({"prompt":"cat"})");
}

TEST(AiRequest, MalformedInput) {
    EXPECT_EQ(write_ai_request({"p", "m", "[]"}, {}, "", "b").error().field, "parameters");
    EXPECT_EQ(read_ai_request("p", "text/plain", kPicture).error().code, Errc::kUnsupported);
    EXPECT_EQ(read_ai_request("p", "application/json", Blob::copy_of("[1]")).error().field, "body");
    EXPECT_EQ(
        read_ai_request("p", "application/json", Blob::copy_of(R"({"model_id":3})")).error().field, "model_id"
    );
    EXPECT_FALSE(read_ai_request("p", "multipart/form-data", kPicture)) << "no boundary";
    EXPECT_FALSE(read_ai_request("p", "multipart/form-data; boundary=b", kPicture));
    const auto two = Blob::copy_of(
        "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n1\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"b\"\r\n\r\n2\r\n--b--\r\n"
    );
    EXPECT_EQ(read_ai_request("p", "multipart/form-data; boundary=b", two).error().field, "image");
    EXPECT_FALSE(read_ai_request("p", "application/json", Blob(Bytes(100'000, '['))));
}

TEST(AiResponse, RoundTrip) {
    const AiResponse plain{{{"https://o/stream/a.png", 5}, {"data:image/png;base64,AAAA", std::nullopt}}, {}};
    const auto read = read_ai_response(write_ai_response(plain));
    ASSERT_TRUE(read);
    ASSERT_EQ(read->media.size(), 2U);
    EXPECT_EQ(read->media[0].url, "https://o/stream/a.png");
    EXPECT_EQ(read->media[0].seed, 5);
    EXPECT_EQ(read->media[1].url, "data:image/png;base64,AAAA");
    EXPECT_FALSE(read->run);
    EXPECT_EQ(read->media[0].nsfw, false) << "peers want the member";
    const auto flagged = read_ai_response(write_ai_response({{{"a.png", 5, true}, {"b.png", 6, false}}, {}}));
    EXPECT_EQ(flagged->media[0].nsfw, true);
    EXPECT_EQ(flagged->media[1].nsfw, false);
    const auto odd = read_ai_response(R"({"images":[{"url":"a","nsfw":[true]},{"url":"b"}]})");
    EXPECT_EQ(odd->media[0].nsfw, std::nullopt);
    EXPECT_EQ(odd->media[1].nsfw, std::nullopt);
    const AiResponse told{plain.media, api::AiRun{"a/b", "00ff", 20, 1234}};
    EXPECT_EQ(read_ai_response(write_ai_response(told))->run, told.run);
}

TEST(AiResponse, OddRunsAreIgnored) {
    for (const auto* odd :
         {R"(3)", R"({})", R"({"model_id":"a/b","steps":-1,"runtime_ms":1})",
          R"({"model_id":7,"steps":1,"runtime_ms":1})",
          R"({"model_id":"a/b","steps":1e99,"runtime_ms":1})"}) {
        const auto read = read_ai_response(std::string(R"({"images":[],"framegrid":)") + odd + "}");
        ASSERT_TRUE(read) << odd;
        EXPECT_FALSE(read->run) << odd;
    }
}

TEST(AiResponse, Malformed) {
    for (const auto* bad :
         {"", "[]", "{}", R"({"images":3})", R"({"images":[3]})", R"({"images":[{}]})",
          R"({"images":[{"url":7}]})"}) {
        EXPECT_FALSE(read_ai_response(bad)) << bad;
    }
}

TEST(DataUrls, RoundTripAndRefusal) {
    const auto url = data_url("image/png", kPicture.view());
    EXPECT_TRUE(is_data_url(url));
    const auto data = parse_data_url(url);
    ASSERT_TRUE(data);
    EXPECT_EQ(data->content_type, "image/png");
    EXPECT_EQ(as_text(data->bytes), kPicture.text());
    for (const auto* bad :
         {"", "data:", "data:image/png,plain", "data:image/png;base64,!", "https://x;base64,AAAA"}) {
        EXPECT_FALSE(parse_data_url(bad)) << bad;
    }
}

TEST(AiJobs, RoundTripAndRefusal) {
    const TraceContext trace{"0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"};
    const auto text =
        write_ai_job({"upscale", "m", R"({"a":1})", true, 4}, api::Priority::kHigh, trace, "https://o/in");
    const auto job = read_ai_job("upscale", *text);
    ASSERT_TRUE(job);
    EXPECT_EQ(job->input_url, "https://o/in");
    EXPECT_EQ(job->work.model_id, "m");
    EXPECT_EQ(job->work.parameters, R"({"a":1})");
    EXPECT_TRUE(job->work.progress);
    EXPECT_EQ(job->work.preview_steps, 4);
    EXPECT_EQ(job->priority, api::Priority::kHigh);
    EXPECT_EQ(job->trace, trace);
    const auto of_a_peer =
        read_ai_job("upscale", R"({"input_url":"x","request":{},"framegrid":{"progress":1}})");
    ASSERT_TRUE(of_a_peer);
    EXPECT_FALSE(of_a_peer->work.progress);
    EXPECT_EQ(of_a_peer->priority, api::Priority::kNormal);
    for (const auto* bad : {"", "{}", R"({"request":[]})", R"({"input_url":"x"})"}) {
        EXPECT_FALSE(read_ai_job("upscale", bad)) << bad;
    }
}

}  // namespace
}  // namespace framegrid::wire
