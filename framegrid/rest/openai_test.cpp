// The OpenAI-compatible routes and the API's description, on fakes.
#include <framegrid/rest/openapi.hpp>
#include <framegrid/rest/test_fakes.hpp>

#include <algorithm>
#include <set>

#include <boost/json.hpp>

#include <framegrid/api/memory_artifacts.hpp>
#include <framegrid/api/memory_job_store.hpp>
#include <framegrid/api/memory_uploads.hpp>
#include <framegrid/api/stored_files.hpp>
#include <framegrid/rest/openai_request.hpp>

namespace framegrid::rest {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using namespace std::string_literals;

constexpr std::string_view kPicture = "\x89PNG\r\n\x1a\n a picture";

// Tells of ten steps, then keeps one picture.
class FakeMaker final : public gateway::JobRunner {
  public:
    FakeMaker(api::StoredFiles files, Clock& clock) : files_(std::move(files)), clock_(clock) {}
    Task<Result<std::string>> run(job::Record record, gateway::JobTeller tell, Deadline) override {
        requests.push_back(record.request);
        if (failure) {
            co_return fail(*failure);
        }
        for (int step = 1; step <= 10; ++step) {
            co_await sleep_for(clock_, 1s);
            tell(
                "progress", json::serialize(json::object{{"step", step}, {"steps", 10}}), Blob::copy_of("p")
            );
        }
        job::ArtifactRecord about;
        about.owner = record.owner;
        const auto kept = co_await files_.keep(std::move(about), Blob::copy_of(kPicture));
        json::object output{
            {"artifact", kept->id}, {"sha256", kept->digest}, {"content_type", "image/png"}, {"seed", 7}
        };
        co_return json::serialize(json::object{{"outputs", json::array{std::move(output)}}});
    }
    std::optional<Error> failure;
    std::vector<std::string> requests;

  private:
    api::StoredFiles files_;
    Clock& clock_;
};

class NoWorkflows final : public gateway::WorkflowWork {
  public:
    Task<Result<bool>> serve() override { co_return true; }
    Task<Result<std::string>> quote(std::string, job::Document, Deadline) override { co_return "{}"; }
    Task<Result<std::string>> run(job::Record, gateway::JobTeller, Deadline) override { co_return "{}"; }
};

class NoSingles final : public gateway::JobWork {
  public:
    Task<Result<std::string>> quote(std::string, job::Document, Deadline) override { co_return "{}"; }
    Task<Result<std::string>> run(job::Record, gateway::JobTeller, Deadline) override { co_return "{}"; }
};

class NoSender final : public gateway::MessageSender {
  public:
    Task<Result<int>> send(job::Delivery, Deadline) override { co_return 200; }
};

class OpenAiTest : public RestTest {
  protected:
    OpenAiTest() {
        jobs_.emplace(JobPorts{*desk_, store_, objects_, index_, singles_, workflows_, {}, &uploads_});
        struct Serve {
            static Task<void> run(gateway::JobDesk& desk) { (void)co_await desk.serve(); }
        };
        group_.spawn(Serve::run(*desk_));
        poll();
    }
    ~OpenAiTest() override {
        group_.cancel();
        poll();
    }
    static json::object parsed(const Sent& sent) { return json::parse(sent.text()).as_object(); }
    std::unique_ptr<Sent> post(const std::string& path, std::string_view body) {
        return start("POST", path, {{"content-type", "application/json"}}, body);
    }
    void finish(const Sent& sent) {
        for (int i = 0; i < 600 && !sent.done; ++i) {
            clock_.advance(100ms);
            poll();
        }
        ASSERT_TRUE(sent.done);
    }

    api::MemoryJobStore store_{clock_};
    api::MemoryObjects objects_;
    api::MemoryArtifacts index_;
    api::MemoryUploads uploads_{objects_, clock_};
    FakeMaker maker_{{objects_, index_, clock_, random_, 1h, 1min}, clock_};
    NoSingles singles_;
    NoWorkflows workflows_;
    NoSender sender_;
    std::unique_ptr<gateway::JobDesk> desk_ =
        gateway::make_job_desk({loop_.get_executor(), clock_, random_, {}, store_, maker_, sender_, {}}, {});
};

TEST_F(OpenAiTest, AnImageIsADurableJob) {
    const auto sent =
        post("/v1/images/generations", R"({"prompt":"a circle","n":2,"size":"64x32","quality":"hd"})");
    finish(*sent);
    ASSERT_EQ(sent->status(), 200) << sent->text();
    const auto image = parsed(*sent).at("data").at(0).as_object();
    EXPECT_TRUE(image.at("url").as_string().starts_with("https://gateway.test:9935/v1/artifacts/art_"));
    EXPECT_TRUE(image.at("b64_json").as_string().starts_with("iVBORw0K"));
    const auto request = json::parse(maker_.requests.at(0));
    EXPECT_EQ(request.at("parameters").at("num_images_per_prompt").as_int64(), 2);
    EXPECT_EQ(request.at("parameters").at("width").as_int64(), 64);
    EXPECT_EQ(request.at("parameters").at("height").as_int64(), 32);
}

TEST_F(OpenAiTest, StreamsPartialPictures) {
    const auto sent =
        post("/v1/images/generations", R"({"prompt":"a circle","stream":true,"partial_images":2,"n":1})");
    finish(*sent);
    EXPECT_EQ(sent->header("content-type"), "text/event-stream");
    std::size_t partial = 0;
    for (auto at = sent->text().find("event: image_generation.partial_image"); at != std::string::npos;
         at = sent->text().find("event: image_generation.partial_image", at + 1)) {
        ++partial;
    }
    EXPECT_EQ(partial, 2U) << sent->text();
    EXPECT_NE(sent->text().find("event: image_generation.completed"), std::string::npos);
    EXPECT_EQ(json::parse(maker_.requests.at(0)).at("preview_steps").as_int64(), 1);
    maker_.failure = make_error(Errc::kUnprocessable, "no", "inputs.image");
    const auto failed = post("/v1/images/generations", R"({"prompt":"a circle","stream":true})");
    finish(*failed);
    EXPECT_NE(failed->text().find(R"(event: error)"), std::string::npos);
    EXPECT_NE(failed->text().find(R"("param":"image")"), std::string::npos);
}

TEST_F(OpenAiTest, ErrorsHaveItsForm) {
    const auto refused =
        [this](std::string_view body, int status, std::string_view code, std::string_view param) {
            const auto sent = post("/v1/images/generations", body);
            EXPECT_EQ(sent->status(), status) << body;
            EXPECT_EQ(sent->header("content-type"), "application/json");
            const auto error = parsed(*sent).at("error").as_object();
            EXPECT_EQ(error.at("code").as_string(), code) << body;
            EXPECT_EQ(error.at("param").is_null() ? "" : error.at("param").as_string(), param) << body;
            EXPECT_EQ(error.at("type").as_string(), "invalid_request_error");
        };
    refused("[]", 400, "invalid_argument", "body");
    refused("{}", 400, "invalid_argument", "prompt");
    refused(R"({"prompt":"x","n":0})", 400, "invalid_argument", "n");
    refused(R"({"prompt":"x","size":"33x32"})", 400, "invalid_argument", "size");
    refused(R"({"prompt":"x","size":7})", 400, "invalid_argument", "size");
    refused(R"({"prompt":"x","partial_images":4})", 400, "invalid_argument", "partial_images");
    refused(R"({"prompt":"x","background":"transparent"})", 400, "invalid_argument", "background");
    refused(R"({"prompt":"x","colour":"red"})", 400, "invalid_argument", "colour");
    refused(R"({"prompt":"x","model":"none"})", 404, "model_not_found", "model");
    EXPECT_EQ(parsed(*send("GET", "/v1/images/edits")).at("error").at("param").as_string(), "method");
    EXPECT_TRUE(maker_.requests.empty());
    maker_.failure = make_error(Errc::kForbidden, "that address", "inputs.image");
    const auto failed = post("/v1/images/generations", R"({"prompt":"x"})");
    finish(*failed);
    EXPECT_EQ(failed->status(), 403);
    EXPECT_EQ(parsed(*failed).at("error").at("type").as_string(), "permission_error");
}

TEST_F(OpenAiTest, ModelsAndWhatIsNotHere) {
    const auto list = parsed(*send("GET", "/v1/models"));
    EXPECT_EQ(list.at("data").at(0).at("id").as_string(), "framegrid/scenes");
    for (const auto* path : {"/v1/models/framegrid/scenes", "/v1/models/framegrid%2Fscenes"}) {
        EXPECT_EQ(parsed(*send("GET", path)).at("owned_by").as_string(), "framegrid");
    }
    EXPECT_EQ(parsed(*send("GET", "/v1/models/a/b")).at("error").at("code").as_string(), "model_not_found");
    for (const auto* path : {"/v1/chat/completions", "/v1/audio/speech", "/v1/audio/transcriptions"}) {
        const auto sent = send("POST", path, {}, "{}");
        EXPECT_EQ(sent->status(), 404);
        EXPECT_NE(sent->text().find("have not arrived"), std::string::npos);
    }
}

TEST_F(OpenAiTest, VideosAreJobsThatMakeThem) {
    const auto sent = post("/v1/videos", R"({"prompt":"a ball","seconds":"4","size":"96x64"})");
    ASSERT_EQ(sent->status(), 200) << sent->text();
    auto video = parsed(*sent);
    EXPECT_EQ(video.at("seconds").as_string(), "4");
    EXPECT_EQ(video.at("size").as_string(), "96x64");
    EXPECT_EQ(video.at("prompt").as_string(), "a ball");
    const std::string path = "/v1/videos/" + std::string(video.at("id").as_string());
    pass(4500ms);
    video = parsed(*send("GET", path));
    EXPECT_EQ(video.at("status").as_string(), "in_progress");
    EXPECT_EQ(video.at("progress").as_int64(), 40);
    EXPECT_EQ(send("GET", path + "/content")->status(), 404);
    pass(10s);
    video = parsed(*send("GET", path));
    EXPECT_EQ(video.at("status").as_string(), "completed") << json::serialize(video);
    EXPECT_EQ(video.at("progress").as_int64(), 100);
    EXPECT_EQ(send("GET", path + "/content")->text(), kPicture);
    EXPECT_EQ(send("GET", path + "/content?variant=thumbnail")->status(), 400);
    EXPECT_EQ(parsed(*send("GET", "/v1/videos?limit=1")).at("data").as_array().size(), 1U);
    EXPECT_EQ(parsed(*send("DELETE", path)).at("deleted").as_bool(), true);
    EXPECT_EQ(send("GET", path)->status(), 404);
    EXPECT_EQ(parsed(*send("GET", "/v1/videos")).at("data").as_array().size(), 0U);
    EXPECT_EQ(
        parsed(*post("/v1/videos", R"({"prompt":"x","seconds":"17"})")).at("error").at("param").as_string(),
        "seconds"
    );
}

// A route's pattern as the description writes it, without the parameters' names.
std::string without_names(std::string_view path) {
    std::string out;
    for (bool inside = false; const char c : path) {
        inside = c == '{' || (inside && c != '}');
        if (!inside || c == '{') {
            out += c;
        }
    }
    return out;
}

class AsyncVideoTest : public OpenAiTest {
  protected:
    std::unique_ptr<Sent> animate(const std::string& prefer) {
        const std::string picture = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x20\x08\x02\0\0\0crc."s;
        const std::string form =
            "--xyz\r\nContent-Disposition: form-data; name=\"model_id\"\r\n\r\nacme/film\r\n"
            "--xyz\r\nContent-Disposition: form-data; name=\"fps\"\r\n\r\n8\r\n"
            "--xyz\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n" +
            picture + "\r\n--xyz--\r\n";
        Fields headers{{"content-type", "multipart/form-data; boundary=xyz"}};
        if (!prefer.empty()) {
            headers.push_back({"prefer", prefer});
        }
        auto sent = start("POST", "/image-to-video", headers, form);
        finish(*sent);
        return sent;
    }
    std::string submitted() {
        const auto sent = animate("respond-async");
        EXPECT_EQ(sent->status(), 202) << sent->text();
        return std::string(parsed(*sent).at("request_id").as_string());
    }
    std::unique_ptr<Sent> ask(const std::string& id, const std::string& method = "POST") {
        auto sent = start(
            method, "/image-to-video/result", {{"content-type", "application/json"}},
            json::serialize(json::object{{"request_id", id}})
        );
        finish(*sent);
        return sent;
    }
};

TEST_F(AsyncVideoTest, IsADurableJobWhoseResultIsAskedFor) {
    const auto id = submitted();
    ASSERT_EQ(maker_.requests.size(), 1U);
    const auto request = json::parse(maker_.requests.at(0)).as_object();
    EXPECT_EQ(request.at("pipeline").as_string(), "image-to-video");
    EXPECT_EQ(request.at("model").as_string(), "acme/film");
    EXPECT_EQ(request.at("parameters").at("fps").as_int64(), 8);
    EXPECT_TRUE(request.at("inputs").at("image").as_string().starts_with("art_"));
    const auto early = ask(id);
    EXPECT_EQ(early->status(), 202);
    EXPECT_EQ(early->text(), R"({"status":"processing"})");
    for (int i = 0; i < 110; ++i) {
        clock_.advance(100ms);
        poll();
    }
    for (const auto* method : {"POST", "GET", "PUT"}) {
        const auto late = ask(id, method);
        ASSERT_EQ(late->status(), 200) << late->text();
        EXPECT_EQ(parsed(*late).at("status").as_string(), "complete");
        const auto image = parsed(*late).at("result").at("images").at(0).as_object();
        EXPECT_TRUE(image.at("url").as_string().starts_with("https://gateway.test:9935/v1/artifacts/art_"));
        EXPECT_EQ(image.at("seed").as_int64(), 7);
        EXPECT_EQ(image.at("nsfw").as_bool(), false);
    }
    EXPECT_EQ(send("GET", "/image-to-video/result?request_id=" + id)->status(), 200);
    EXPECT_TRUE(gateway_.jobs.empty());
}

TEST_F(AsyncVideoTest, SaysWhyItFailedAndWhatIsNoRequest) {
    maker_.failure = make_error(Errc::kUnprocessable, "too dark", "inputs.image");
    const auto failed = ask(submitted());
    EXPECT_EQ(failed->status(), 200);
    EXPECT_EQ(failed->text(), R"({"status":"complete","result":{"error":{"message":"too dark"}}})");
    for (const auto* id : {"", "x", "job_00000000000000000000000000"}) {
        EXPECT_EQ(ask(id)->status(), 400) << id;
    }
    EXPECT_EQ(send("GET", "/image-to-video/result")->status(), 400);
    maker_.failure.reset();
    const auto other = post("/v1/jobs", R"({"pipeline":"text-to-image","parameters":{"prompt":"x"}})");
    finish(*other);
    EXPECT_EQ(ask(std::string(parsed(*other).at("id").as_string()))->status(), 400) << "another kind of job";
}

TEST_F(AsyncVideoTest, WithoutThePreferenceItIsAnsweredAtOnce) {
    EXPECT_EQ(animate("")->status(), 200);
    EXPECT_EQ(gateway_.jobs.size(), 1U);
    EXPECT_TRUE(maker_.requests.empty());
}

TEST_F(OpenAiTest, TheDescriptionHasExactlyTheRoutes) {
    const auto document = json::parse(openapi_document()).as_object();
    EXPECT_EQ(document.at("openapi").as_string(), "3.1.0");
    std::set<std::string> described;
    std::set<std::string> operations;
    for (const auto& [path, methods] : document.at("paths").as_object()) {
        for (const auto& [method, operation] : methods.as_object()) {
            if (method == "parameters") {
                continue;
            }
            std::string name(method);
            std::ranges::transform(name, name.begin(), [](char c) {
                return static_cast<char>(c - 'a' + 'A');
            });
            described.insert(name + " " + without_names(path));
            EXPECT_TRUE(operations.emplace(operation.at("operationId").as_string()).second);
        }
    }
    std::set<std::string> served;
    for (const auto& name : rest().routes()) {
        if (name.find(" /v1/") != std::string::npos || name.ends_with("/openapi.json") ||
            name.ends_with("/healthz")) {
            served.insert(without_names(name));
        }
    }
    EXPECT_EQ(described, served);
    EXPECT_EQ(send("GET", "/openapi.json")->text(), openapi_document());
}

}  // namespace
}  // namespace framegrid::rest
