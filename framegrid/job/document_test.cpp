#include <framegrid/job/document.hpp>

#include <framegrid/job/record.hpp>
#include <framegrid/runtime/seeded_random.hpp>

#include <gtest/gtest.h>

namespace framegrid::job {
namespace {

constexpr std::string_view kFile = "art_01jdkq3z8m4v7c2x9b5n6w0rth";

std::string error_of(std::string_view json) {
    const auto document = parse_document(json);
    return document ? "" : document.error().field + ": " + document.error().message;
}

TEST(Document, ReadsEverything) {
    constexpr std::string_view kText =
        R"({"pipeline":"image-to-image","model":"a/b","inputs":{"image":"art_01jdkq3z8m4v7c2x9b5n6w0rth"},
        "parameters":{"prompt":"a cat","seed":7,"strength":0.5},
        "max_price":"1200","deadline_ms":60000,"priority":"high","preview_steps":5,
        "constraints":{"orchestrators":["https://a.example:8935/"],"avoid":["https://b.example"]},
        "webhook":"https://example.com/hook","idempotency_key":"order-7","metadata":{"user":[1,null]}})";
    const auto document = parse_document(kText);
    ASSERT_TRUE(document) << document.error().message;
    EXPECT_EQ(document->model, "a/b");
    EXPECT_EQ(document->inputs.at("image"), kFile);
    EXPECT_EQ(document->max_price_wei, 1200);
    EXPECT_EQ(document->priority, 1);
    EXPECT_EQ(document->metadata, R"({"user":[1,null]})");
    EXPECT_TRUE(document->constraints.allow("https://a.example:8935"));
    EXPECT_FALSE(document->constraints.allow("https://b.example/"));
    EXPECT_FALSE(document->constraints.allow("https://c.example"));
    const auto again = parse_document(to_json(*document));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(to_json(*again), to_json(*document));
    EXPECT_EQ(again->parameters, document->parameters);
    EXPECT_EQ(again->constraints, document->constraints);
}

TEST(Document, TheMaskIsAnInput) {
    constexpr std::string_view kText = R"({"pipeline":"inpaint","parameters":{"prompt":"a cat"},"inputs":
        {"image":"https://a.example/i.png","mask":"art_01jdkq3z8m4v7c2x9b5n6w0rth"}})";
    const auto document = parse_document(kText);
    ASSERT_TRUE(document) << document.error().field << document.error().message;
    EXPECT_EQ(document->parameters.find("mask"), std::string::npos) << document->parameters;
    EXPECT_EQ(
        error_of(
            R"({"pipeline":"inpaint","inputs":{"image":"https://a.example/i.png"},"parameters":{"prompt":"x"}})"
        ),
        "inputs.mask: mask is missing: a picture that is white where to paint"
    );
}

TEST(Document, AWorkflowIsTextOrJson) {
    const auto as_text = parse_document(R"({"workflow":"workflow: x\nsteps: []","inputs":{"a":1,"b":"t",)"
                                        R"("c":["art_01jdkq3z8m4v7c2x9b5n6w0rth"]},)"
                                        R"("seed":9007199254740991,"max_price":"5"})");
    ASSERT_TRUE(as_text) << as_text.error().message;
    EXPECT_EQ(as_text->pipeline, kWorkflow);
    EXPECT_EQ(as_text->workflow, "workflow: x\nsteps: []");
    EXPECT_EQ(as_text->seed, (std::int64_t{1} << 53) - 1);
    EXPECT_EQ(to_json(*parse_document(to_json(*as_text))), to_json(*as_text));
    const auto as_json = parse_document(R"({"workflow":{"workflow":"x","steps":[]}})");
    ASSERT_TRUE(as_json);
    EXPECT_EQ(as_json->workflow, R"({"workflow":"x","steps":[]})");
    EXPECT_EQ(error_of(R"({"workflow":"x","model":"m"})").substr(0, 6), "model:");
    EXPECT_EQ(error_of(R"({"workflow":"x","seed":-1})").substr(0, 5), "seed:");
    EXPECT_EQ(error_of(R"({"workflow":"x","inputs":{"a":["no file"]}})").substr(0, 9), "inputs.a:");
    EXPECT_EQ(error_of(R"({"workflow":"x","inputs":{"a":{}}})").substr(0, 9), "inputs.a:");
    EXPECT_EQ(error_of(R"({"pipeline":"workflow"})").substr(0, 9), "workflow:");
}

TEST(Document, ATranscodeIsAWorkflowOfOneStep) {
    const auto document =
        parse_document(R"({"pipeline":"transcode","inputs":{"video":"art_01jdkq3z8m4v7c2x9b5n6w0rth"},)"
                       R"("parameters":{"profiles":[{"name":"small","width":160,"height":90}]}})");
    ASSERT_TRUE(document) << document.error().message;
    EXPECT_EQ(document->pipeline, kTranscode);
    EXPECT_NE(document->workflow.find("inputs.video"), std::string::npos);
    EXPECT_EQ(document->values, R"({"video":"art_01jdkq3z8m4v7c2x9b5n6w0rth"})");
    const auto again = parse_document(to_json(*document));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->workflow, document->workflow);
    EXPECT_EQ(
        error_of(R"({"pipeline":"transcode","parameters":{"profiles":"x"}})").substr(0, 13), "inputs.video:"
    );
    EXPECT_EQ(
        error_of(R"({"pipeline":"transcode","inputs":{"video":"https://a.example/v.mp4"}})").substr(0, 20),
        "parameters.profiles:"
    );
}

TEST(Document, NamesTheFieldAtFault) {
    EXPECT_EQ(error_of("nonsense").substr(0, 15), "body: not JSON:");
    EXPECT_EQ(error_of("[]"), "body: a job is a JSON object");
    EXPECT_EQ(error_of("{}"), "pipeline: pipeline is missing, for example \"text-to-image\"; or workflow");
    const auto unknown = error_of(R"({"pipeline":"make-coffee"})");
    EXPECT_TRUE(unknown.starts_with("pipeline: unknown pipeline make-coffee; there are: text-to-image, "))
        << unknown;
    EXPECT_TRUE(unknown.ends_with(", transcode, echo, workflow")) << unknown;
    EXPECT_EQ(error_of(R"({"pipeline":"echo","colour":1})").substr(0, 30), "colour: there is no such field");
    EXPECT_EQ(
        error_of(R"({"pipeline":"text-to-image","parameters":{"prompt":"x","width":33}})").substr(0, 17),
        "parameters.width:"
    );
    const auto wide = error_of(R"({"pipeline":"text-to-image","parameters":{"prompt":"x","wide":33}})");
    EXPECT_TRUE(wide.starts_with("parameters.wide: text-to-image has no such parameter; it has: ")) << wide;
    EXPECT_TRUE(wide.contains(", width")) << wide;
    EXPECT_EQ(error_of(R"({"pipeline":"upscale"})"), "inputs.image: image or video is missing");
    EXPECT_EQ(
        error_of(R"({"pipeline":"upscale","inputs":{"image":"/etc/passwd"}})"),
        "inputs.image: an input is the id of a stored file (art_...), an http(s) URL or a base64 data URL"
    );
    EXPECT_EQ(error_of(R"({"pipeline":"echo","priority":9})"), "priority: priority is low, normal or high");
    EXPECT_EQ(
        error_of(R"({"pipeline":"echo","deadline_ms":0})"),
        "deadline_ms: deadline_ms is a whole number from 1 to 604800000"
    );
    EXPECT_EQ(error_of(R"({"pipeline":"echo","max_price":"-1"})").substr(0, 10), "max_price:");
    EXPECT_EQ(error_of(R"({"pipeline":"echo","webhook":"ftp://x"})"), "webhook: webhook is an http(s) URL");
    EXPECT_EQ(error_of(R"({"pipeline":"echo","idempotency_key":"a b"})").substr(0, 16), "idempotency_key:");
    EXPECT_EQ(error_of(std::string(kDocumentBytesMax + 1, ' ')).substr(0, 2), ": ");
}

TEST(Document, SaysHowTheResultIsChecked) {
    const auto plain = parse_document(R"({"pipeline":"echo"})");
    ASSERT_TRUE(plain);
    EXPECT_FALSE(plain->verification.repeats());
    EXPECT_EQ(
        to_json(*parse_document(R"({"pipeline":"echo","verification":{"mode":"none"}})")), to_json(*plain)
    );
    const auto repeat = parse_document(R"({"pipeline":"echo","verification":{"mode":"repeat"}})");
    ASSERT_TRUE(repeat);
    EXPECT_TRUE(repeat->verification.repeats());
    EXPECT_EQ(repeat->verification.on_mismatch, OnMismatch::kFail);
    for (const char* text :
         {R"({"pipeline":"echo","verification":{"mode":"repeat","on_mismatch":"report"}})",
          R"({"workflow":"x","verification":{"mode":"repeat","on_mismatch":"report"}})",
          R"({"pipeline":"transcode","inputs":{"video":"https://a.example/v.mp4"},"parameters":{"profiles":"x"},)"
          R"("verification":{"mode":"repeat","on_mismatch":"report"}})"}) {
        const auto report = parse_document(text);
        ASSERT_TRUE(report) << report.error().message;
        EXPECT_EQ(report->verification.on_mismatch, OnMismatch::kReport);
        const auto again = parse_document(to_json(*report));
        ASSERT_TRUE(again);
        EXPECT_EQ(again->verification, report->verification);
    }
}

TEST(Document, RefusesAVerificationThatItDoesNotKnow) {
    const auto at = [](const std::string& verification, const std::string& rest = "") {
        const auto text = error_of(R"({"pipeline":"echo","verification":)" + verification + rest + "}");
        return text.substr(0, text.find(": "));
    };
    EXPECT_EQ(at(R"("repeat")"), "verification");
    EXPECT_EQ(at(R"([])"), "verification");
    EXPECT_EQ(at(R"({})"), "verification.mode");
    EXPECT_EQ(at(R"({"on_mismatch":"fail"})"), "verification.mode");
    EXPECT_EQ(at(R"({"mode":"thrice"})"), "verification.mode");
    EXPECT_EQ(at(R"({"mode":1})"), "verification.mode");
    EXPECT_EQ(at(R"({"mode":"repeat","on_mismatch":"shrug"})"), "verification.on_mismatch");
    EXPECT_EQ(at(R"({"mode":"repeat","seed":1})"), "verification.seed");
    const std::string one = R"(,"constraints":{"orchestrators":["https://a:1","https://a:1/"]})";
    EXPECT_EQ(at(R"({"mode":"repeat"})", one), "verification.mode");
    EXPECT_EQ(at(R"({"mode":"none"})", one), "");
    EXPECT_EQ(
        at(R"({"mode":"repeat"})", R"(,"constraints":{"orchestrators":["https://a:1","https://b:1"]})"), ""
    );
}

TEST(Record, IdsSortByTimeAndAreRecognised) {
    SeededRandom random(1);
    const auto early = make_id("job", 1'700'000'000'000, random);
    const auto late = make_id("job", 1'700'000'000'001, random);
    EXPECT_LT(early, late);
    EXPECT_TRUE(is_id("job", early)) << early;
    EXPECT_FALSE(is_id("art", early));
    EXPECT_FALSE(is_id("job", early + "0"));
    EXPECT_FALSE(is_id("job", "job_" + std::string(26, 'u')));
    for (const auto state :
         {State::kQueued, State::kRunning, State::kSucceeded, State::kFailed, State::kCancelled}) {
        EXPECT_EQ(parse_state(to_string(state)), state);
    }
}

}  // namespace
}  // namespace framegrid::job
