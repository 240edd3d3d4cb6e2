// Upscale, echo, pages and limits as clients see them, on fakes.
#include <framegrid/rest/test_fakes.hpp>

#include <boost/json.hpp>

#include <framegrid/http/multipart.hpp>

namespace framegrid::rest {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

// A PNG's signature and header, `width` x `height`; no pixels.
std::string png(std::uint32_t width, std::uint32_t height) {
    std::string out = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"s;
    for (const std::uint32_t side : {width, height}) {
        for (int shift = 24; shift >= 0; shift -= 8) {
            out += static_cast<char>(side >> static_cast<unsigned>(shift));
        }
    }
    return out + "\x08\x02\0\0\0crc."s;
}

class RestApiTest : public RestTest {
  protected:
    using Form = std::vector<std::pair<std::string, std::string>>;
    static std::string form(const Form& fields) {
        std::string out;
        for (const auto& [name, value] : fields) {
            out += "--xyz\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n";
        }
        return out + "--xyz--\r\n";
    }
    std::unique_ptr<Sent> upscale(
        const Form& fields, Fields headers = {}, const std::string& path = "/upscale"
    ) {
        headers.push_back({"content-type", "multipart/form-data; boundary=xyz"});
        return send("POST", path, headers, form(fields));
    }
    static boost::json::object json(const Sent& sent) { return boost::json::parse(sent.text()).as_object(); }
    static std::string error_field(const Sent& sent) {
        const auto object = json(sent);
        const auto& error = object.at("error").as_object();
        const auto* field = error.if_contains("field");
        return std::string(error.at("code").as_string()) + ":" +
               (field == nullptr ? "" : field->as_string().c_str());
    }
    const api::AiWork& last_work() { return std::get<api::AiWork>(gateway_.jobs.back().work.kind); }
};

TEST_F(RestApiTest, UpscaleReturnsAnAbsoluteUrl) {
    const auto sent = upscale(
        {{"image", png(4, 3)},
         {"prompt", ""},
         {"model_id", ""},
         {"safety_check", "true"},
         {"seed", "42"},
         {"num_inference_steps", "75"}},
        {{"accept", "application/json"}}, "/upscale/"
    );
    ASSERT_EQ(sent->status(), 200) << sent->text();
    EXPECT_EQ(sent->header("content-type"), "application/json");
    const auto body = json(*sent);
    const auto& image = body.at("images").as_array().at(0).as_object();
    EXPECT_EQ(image.at("seed").as_int64(), 42);
    EXPECT_EQ(image.at("nsfw").as_bool(), false);
    const std::string url(image.at("url").as_string());
    const std::string origin = "https://gateway.test:9935";
    ASSERT_TRUE(url.starts_with(origin + "/stream/")) << url;
    EXPECT_EQ(last_work().model_id, "framegrid/sr-2x");
    EXPECT_EQ(gateway_.jobs.back().manifest_id, "upscale_framegrid/sr-2x");
    EXPECT_TRUE(gateway_.jobs.back().needs.has(job::Capability::kUpscale));
    EXPECT_EQ(
        last_work().parameters,
        R"({"model_id":"framegrid/sr-2x","num_inference_steps":75,"safety_check":true,"seed":42})"
    );

    const std::string path = url.substr(origin.size());
    EXPECT_EQ(path.size(), "/stream//image.png"s.size() + 32);
    const auto fetched = send("GET", path);
    EXPECT_EQ(fetched->status(), 200);
    EXPECT_EQ(fetched->text(), png(4, 3));
    EXPECT_EQ(fetched->header("content-type"), "image/png") << "by content, not by the peer's word";
    EXPECT_EQ(fetched->header("x-content-type-options"), "nosniff");
    EXPECT_EQ(send("GET", path + "x")->status(), 404);
    const auto head = send("HEAD", path);
    EXPECT_EQ(head->status(), 200);
    EXPECT_EQ(head->text(), "");
    EXPECT_EQ(head->header("content-length"), std::to_string(png(4, 3).size()));
    pass(3605s);
    EXPECT_EQ(send("GET", path)->status(), 404) << "results do not live for ever";
    EXPECT_EQ(rest().stats().results_bytes, 0u);
}

TEST_F(RestApiTest, UpscaleReturnsTheBytesWhenAsked) {
    settings_.public_url = "https://media.example/";
    const auto direct = upscale({{"image", png(4, 3)}, {"model_id", "a/b"}}, {{"accept", "image/png"}});
    EXPECT_EQ(direct->status(), 200);
    EXPECT_EQ(direct->header("content-type"), "image/png");
    EXPECT_EQ(direct->text(), png(4, 3));
    EXPECT_EQ(direct->header("x-nsfw"), "false");
    EXPECT_EQ(last_work().model_id, "a/b");
    EXPECT_EQ(rest().stats().results, 0u);
    const auto stored = upscale({{"image", png(4, 3)}}, {{"accept", "*/*"}});
    EXPECT_NE(stored->text().find("\"https://media.example/stream/"), std::string::npos) << stored->text();
    const std::string video = "\x47" + std::string(187, 'x') + "\x47" + std::string(187, 'y');
    const auto segment = upscale({{"video", video}}, {{"accept", "video/*"}});
    EXPECT_EQ(segment->header("content-type"), "video/mp2t");
    EXPECT_EQ(segment->text(), video);
}

TEST_F(RestApiTest, ARequestWithoutAModelGetsTheGatewaysDefault) {
    settings_.ai.default_models = {{"upscale", "acme/x4"}};
    EXPECT_EQ(upscale({{"image", png(4, 3)}, {"model_id", ""}})->status(), 200);
    EXPECT_EQ(last_work().model_id, "acme/x4");
    EXPECT_EQ(gateway_.jobs.back().manifest_id, "upscale_acme/x4");
}

TEST_F(RestApiTest, UpscaleNamesTheFieldAtFault) {
    const auto missing = upscale({{"prompt", "x"}});
    EXPECT_EQ(missing->status(), 400);
    EXPECT_EQ(error_field(*missing), "invalid_argument:image");
    EXPECT_TRUE(json(*missing).at("detail").as_object().contains("msg")) << "the SDK reads detail.msg";
    const std::vector<std::pair<std::string, std::string>> bad{
        {"seed", "many"},
        {"seed", "99999999999999999999"},
        {"num_inference_steps", "1.5"},
        {"safety_check", "maybe"},
        {"model_id", "a b"},
    };
    for (const auto& [name, value] : bad) {
        const auto sent = upscale({{name, value}, {"image", png(4, 3)}});
        EXPECT_EQ(sent->status(), 400);
        EXPECT_EQ(error_field(*sent), "invalid_argument:" + name);
    }
    EXPECT_EQ(error_field(*upscale({{"image", png(4, 3)}, {"image", png(4, 3)}})), "invalid_argument:image");
    EXPECT_EQ(error_field(*upscale({{"image", ""}})), "invalid_argument:image");
    EXPECT_EQ(error_field(*upscale({{"video", "text"}})), "unprocessable:video");
    const auto text = upscale({{"image", "not a picture"}});
    EXPECT_EQ(text->status(), 422);
    EXPECT_TRUE(json(*text).at("detail").is_array());
    const auto huge = upscale({{"image", png(100'000, 100'000)}});
    EXPECT_EQ(huge->status(), 413);
    EXPECT_EQ(error_field(*huge), "too_large:image");
    EXPECT_TRUE(gateway_.jobs.empty());
    EXPECT_EQ(rest().stats().memory_bytes, 0u);
}

TEST_F(RestTest, WhatIsNotThereBelowV1IsAProblemDocument) {
    for (const auto* method : {"GET", "PATCH"}) {
        const auto sent = send(method, "/v1/nothing");
        EXPECT_EQ(sent->status(), 404);
        EXPECT_EQ(sent->header("content-type"), "application/problem+json");
        for (const auto* part :
             {"\"code\":\"not_found\"", "\"what_to_do\":", "\"trace_id\":", "/openapi.json"}) {
            EXPECT_NE(sent->text().find(part), std::string::npos) << part << " in " << sent->text();
        }
    }
    EXPECT_EQ(send("GET", "/nothing")->header("content-type"), "application/json");
}

TEST_F(RestApiTest, UpscaleRefusesOtherBodies) {
    EXPECT_EQ(send("POST", "/upscale", {{"content-type", "application/json"}}, "{}")->status(), 400);
    EXPECT_EQ(send("POST", "/upscale")->status(), 400);
    const auto cut = send(
        "POST", "/upscale", {{"content-type", "multipart/form-data; boundary=xyz"}},
        "--xyz\r\nContent-Disposition: x"
    );
    EXPECT_EQ(cut->status(), 400);
    EXPECT_EQ(error_field(*cut), "invalid_argument:body");
    EXPECT_EQ(send("GET", "/upscale")->status(), 405);
}

TEST_F(RestApiTest, PicturesFromADescription) {
    const Fields as_json{{"content-type", "application/json"}};
    const auto bad = send("POST", "/text-to-image", as_json, R"({"prompt":"x","width":100})");
    EXPECT_EQ(error_field(*bad), "invalid_argument:width");
    EXPECT_EQ(error_field(*send("POST", "/text-to-image", as_json, "{}")), "invalid_argument:prompt");
    const std::string huge = R"({"prompt":")" + std::string(1'000'000, 'x') + "\"}";
    EXPECT_EQ(send("POST", "/text-to-image", as_json, huge)->status(), 413);
    EXPECT_TRUE(gateway_.jobs.empty());

    gateway_.answer = [](const gateway::JobRequest& request) {
        auto out = FakeGateway::repeat_input(request);
        out->output.artifacts.assign(2, {});
        out->output.artifacts[0].bytes = Blob::copy_of(png(8, 8));
        out->output.artifacts[1].bytes = Blob::copy_of(png(9, 9));
        out->output.artifacts[1].seed = 70;
        out->output.artifacts[1].nsfw = true;
        out->output.ai = api::AiRun{"framegrid/scenes", "00ff", 12, 345};
        return out;
    };
    const auto sent = send(
        "POST", "/text-to-image", as_json,
        R"({"prompt":"a red ball","model_id":"","loras":"","seed":7,"num_images_per_prompt":2})"
    );
    ASSERT_EQ(sent->status(), 200) << sent->text();
    EXPECT_EQ(last_work().pipeline, "text-to-image");
    EXPECT_EQ(last_work().model_id, "framegrid/scenes");
    EXPECT_TRUE(gateway_.jobs.back().needs.has(job::Capability::kTextToImage));
    const auto body = json(*sent);
    ASSERT_EQ(body.at("images").as_array().size(), 2U);
    EXPECT_EQ(body.at("images").as_array()[0].as_object().at("seed").as_int64(), 7);
    EXPECT_EQ(body.at("images").as_array()[1].as_object().at("seed").as_int64(), 70);
    EXPECT_EQ(body.at("images").as_array()[0].as_object().at("nsfw").as_bool(), false);
    EXPECT_EQ(body.at("images").as_array()[1].as_object().at("nsfw").as_bool(), true);
    const auto& run = body.at("framegrid").as_object();
    EXPECT_EQ(run.at("model_digest").as_string(), "00ff");
    EXPECT_EQ(run.at("steps").as_int64(), 12);
    EXPECT_EQ(run.at("units").as_int64(), 512 * 512 * 2);
}

TEST_F(RestApiTest, MasksTravelWithTheParameters) {
    const auto missing = upscale({{"image", png(4, 3)}, {"prompt", "x"}}, {}, "/inpaint");
    EXPECT_EQ(error_field(*missing), "invalid_argument:mask_image");
    const auto text = upscale({{"image", png(4, 3)}, {"mask", "text"}, {"prompt", "x"}}, {}, "/inpaint");
    EXPECT_EQ(error_field(*text), "unprocessable:mask");
    const std::string large = png(4, 3) + std::string(300'000, 'p');
    const auto big = upscale({{"image", png(4, 3)}, {"mask", large}, {"prompt", "x"}}, {}, "/inpaint");
    EXPECT_EQ(error_field(*big), "too_large:mask");
    EXPECT_TRUE(gateway_.jobs.empty());
    const auto sent = upscale({{"image", png(4, 3)}, {"mask", png(4, 3)}, {"prompt", "x"}}, {}, "/inpaint");
    EXPECT_EQ(sent->status(), 200) << sent->text();
    EXPECT_NE(last_work().parameters.find("\"mask_image\":\"data:image"), std::string::npos);
    EXPECT_TRUE(gateway_.jobs.back().needs.has(job::Capability::kInpaint));
}

TEST_F(RestApiTest, LargeFormsAreReadToo) {
    std::string image = png(4, 3) + std::string(600'000, 'p');
    const auto sent = upscale({{"image", image}}, {{"accept", "image/*"}});
    EXPECT_EQ(sent->text(), image);
}

TEST_F(RestApiTest, UpscaleWithAModelThatNobodyHasIs503) {
    gateway_.answer = [](const gateway::JobRequest&) -> Result<gateway::JobResult> {
        return fail(Errc::kUnavailable, "no orchestrator offers what this job needs");
    };
    const auto sent = upscale({{"image", png(4, 3)}, {"model_id", "x/unknown"}});
    EXPECT_EQ(sent->status(), 503);
    EXPECT_NE(sent->text().find("x/unknown"), std::string::npos);
    EXPECT_EQ(sent->header("retry-after"), "1");
}

TEST_F(RestApiTest, GarbageFromAnOrchestratorIs502) {
    gateway_.answer = [](const gateway::JobRequest& request) {
        auto out = FakeGateway::repeat_input(request);
        out->output.artifacts[0].bytes = Blob::copy_of(std::string_view("<html>"));
        return out;
    };
    EXPECT_EQ(upscale({{"image", png(4, 3)}}, {{"accept", "image/png"}})->status(), 502);
}

TEST_F(RestApiTest, UnknownPathsAndPipelinesAre404) {
    const auto pipeline = send("POST", "/text-to-tea", {}, "{}");
    EXPECT_EQ(pipeline->status(), 404);
    EXPECT_EQ(error_field(*pipeline), "not_found:pipeline");
    EXPECT_EQ(send("GET", "/nothing/here")->status(), 404);
    EXPECT_EQ(send("GET", "/%ff\"")->status(), 404);
}

TEST_F(RestApiTest, Pages) {
    EXPECT_EQ(send("GET", "/healthz")->status(), 200);
    EXPECT_NE(send("GET", "/")->text().find("/upscale"), std::string::npos);
    clock_.advance(5s);
    const auto status = json(*send("GET", "/status"));
    EXPECT_EQ(status.at("uptime_s").as_int64(), 5);
    EXPECT_EQ(status.at("orchestrators").as_array().at(0).as_object().at("capacity").as_int64(), 4);
    EXPECT_EQ(status.at("jobs").as_object().at("done").to_number<int>(), 0);
    const auto metrics = send("GET", "/metrics");
    EXPECT_NE(
        metrics->text().find("framegrid_rest_requests_total{result=\"answered\"} 3\n"), std::string::npos
    );
    EXPECT_NE(metrics->text().find("framegrid_gateway_"), std::string::npos);
}

TEST_F(RestApiTest, ReadyMeansThatAJobCouldBeDone) {
    const auto not_yet = send("GET", "/readyz");
    EXPECT_EQ(not_yet->status(), 503);
    EXPECT_NE(json(*not_yet).at("detail").as_string().find("no orchestrator answers"), std::string::npos);
    gateway_.usable = 1;
    EXPECT_EQ(send("GET", "/readyz")->status(), 200);
}

TEST_F(RestApiTest, RequestIdsComeBack) {
    EXPECT_EQ(send("GET", "/healthz", {{"x-request-id", "abc-1"}})->header("x-request-id"), "abc-1");
    EXPECT_EQ(send("GET", "/healthz", {{"x-request-id", "a b"}})->header("x-request-id").size(), 16u);
    EXPECT_EQ(send("GET", "/nothing")->header("x-request-id").size(), 16u);
}

TEST_F(RestApiTest, CorsIsOffByDefault) {
    const auto off = send("OPTIONS", "/upscale");
    EXPECT_EQ(off->status(), 204);
    EXPECT_EQ(off->header("allow"), "POST, OPTIONS");
    EXPECT_EQ(off->header("access-control-allow-origin"), "(none)");
    EXPECT_EQ(off->header("content-length"), "(none)");
    rest_.reset();
    settings_.cors_origins = {"*"};
    const auto on = send("OPTIONS", "/upscale", {{"access-control-request-headers", "content-type"}});
    EXPECT_EQ(on->header("access-control-allow-origin"), "*");
    EXPECT_NE(on->header("access-control-allow-headers").find("content-type"), std::string::npos);
    EXPECT_EQ(on->header("access-control-allow-methods"), "POST");
    EXPECT_EQ(send("GET", "/nothing")->header("access-control-allow-origin"), "*");
}

TEST_F(RestApiTest, EchoComesBackAsItIs) {
    const auto sent = send("POST", "/echo", {{"content-type", "text/html"}}, "<b>hi</b>");
    EXPECT_EQ(sent->status(), 200);
    EXPECT_EQ(sent->text(), "<b>hi</b>");
    EXPECT_EQ(sent->header("content-type"), "application/octet-stream");
    EXPECT_EQ(last_work().pipeline, "echo");
    EXPECT_EQ(send("POST", "/echo")->text(), "");
    EXPECT_EQ(rest().stats().bytes_in, 9u);
}

TEST_F(RestApiTest, JobsAtOnceAreBounded) {
    settings_.jobs_max = 1;
    gateway_.gate.emplace();
    const auto first = start("POST", "/echo", {}, "1");
    const auto second = send("POST", "/echo", {}, "2");
    EXPECT_EQ(second->status(), 503);
    EXPECT_EQ(second->header("retry-after"), "1");
    EXPECT_EQ(send("GET", "/healthz")->status(), 200) << "pages are always answered";
    gateway_.gate->fire();
    poll();
    EXPECT_EQ(first->text(), "1");
    gateway_.gate.reset();
    EXPECT_EQ(send("POST", "/echo", {}, "3")->status(), 200);
}

TEST_F(RestApiTest, BytesInMemoryAreBounded) {
    settings_.memory_bytes_max = 10;
    gateway_.gate.emplace();
    const auto first = start("POST", "/echo", {}, "12345678");
    EXPECT_EQ(send("POST", "/echo", {}, "12345")->status(), 503);
    const auto declared = send("POST", "/echo", {{"content-length", "3"}}, "123");
    EXPECT_EQ(declared->status(), 503);
    EXPECT_EQ(declared->body.pieces_read(), 0u);
    gateway_.gate->fire();
    poll();
    EXPECT_EQ(first->text(), "12345678");
    EXPECT_EQ(rest().stats().memory_bytes, 0u);
}

}  // namespace
}  // namespace framegrid::rest
