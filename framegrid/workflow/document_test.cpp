#include <framegrid/workflow/document.hpp>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace framegrid::workflow {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kGood = R"(workflow: clip
seed: 7
inputs:
  prompt: {type: text, default: a red ball}
  photos: {type: images, max_count: 5}
steps:
  - id: big
    pipeline: upscale
    foreach: ${inputs.photos}
    when: ${item.width < 512}
    inputs: {image: "${item}"}
    parameters: {output_format: png}
    max_price: {wei: 5, units: 1000}
    deadline_s: 60
    retries: 1
    priority: -1
  - id: make
    pipeline: text-to-video
    parameters:
      prompt: ${inputs.prompt} no ${inputs.photos.count}
      num_frames: 16
  - id: smooth
    pipeline: frame-interpolation
    inputs: {video: "${steps.make.output}"}
    parameters: {multiplier: 2}
outputs:
  clip: ${steps.smooth.output}
  photos: ${steps.big.outputs}
)";

std::vector<std::string> problems_of(std::string_view text) {
    std::vector<std::string> out;
    for (const auto& problem : read(text).problems) {
        out.push_back(to_string(problem));
    }
    return out;
}

// kGood with one part replaced.
std::string with(std::string_view from, std::string_view to) {
    std::string text(kGood);
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

TEST(Document, IsReadWithItsTypes) {
    const auto reading = read(kGood);
    EXPECT_THAT(problems_of(kGood), IsEmpty());
    ASSERT_NE(reading.workflow, nullptr);
    const Workflow& w = *reading.workflow;
    EXPECT_EQ(w.name, "clip");
    EXPECT_EQ(w.seed, 7);
    ASSERT_EQ(w.steps.size(), 3U);
    const auto& big = w.steps[0];
    EXPECT_TRUE(big.has_each());
    EXPECT_FALSE(big.many());
    EXPECT_EQ(big.gives, Kind::kImage);
    EXPECT_EQ(big.model, "framegrid/sr-2x");
    EXPECT_EQ(big.max_price, (Price{5, 1000}));
    EXPECT_EQ(big.deadline_ms, 60'000);
    EXPECT_EQ(big.retries, 1);
    EXPECT_EQ(big.priority, -1);
    EXPECT_THAT(w.steps[2].needs, ElementsAre(1U));
    EXPECT_THAT(w.order, ElementsAre(0U, 1U, 2U));
    EXPECT_EQ(w.outputs[1].type, (Type{Kind::kImage, true}));
    EXPECT_EQ(w.find_input("photos")->bounds.count, 5);
}

TEST(Document, JsonIsTheSameFormat) {
    const auto reading = read(
        "{\"workflow\": \"j\", \"inputs\": {\"p\": \"image\"},\n"
        "\t\"steps\": [{\"id\": \"a\", \"pipeline\": \"upscale\", \"inputs\": {\"image\": "
        "\"${inputs.p}\"}}],\n"
        "  \"outputs\": {\"o\": \"${steps.a.output}\"}}"
    );
    ASSERT_NE(reading.workflow, nullptr) << to_string(reading.problems.front());
    EXPECT_THAT(
        problems_of("{\"workflow\": \"j\",\n \"step\": []}"),
        ElementsAre(
            "1:1: steps: is missing; a workflow has at least one step",
            "1:1: outputs: is missing; name at least one result",
            "2:2: step: unknown field; did you mean \"steps\"?"
        )
    );
}

TEST(Document, StepsMayStandInAnyOrder) {
    const auto reading = read(R"(workflow: w
inputs: {v: video}
steps:
  - {id: b, pipeline: upscale, inputs: {video: "${steps.a.output}"}}
  - {id: a, pipeline: upscale, inputs: {video: "${inputs.v}"}}
outputs: {o: "${steps.b.output}"}
)");
    ASSERT_NE(reading.workflow, nullptr) << to_string(reading.problems.front());
    EXPECT_THAT(reading.workflow->order, ElementsAre(1U, 0U));
    EXPECT_EQ(reading.workflow->steps[0].gives, Kind::kVideo);
}

TEST(Document, AllProblemsAtOnceWithTheirPlaces) {
    EXPECT_THAT(
        problems_of(R"(workflow: w
inputs:
  v: video
  p: pitcure
steps:
  - id: a
    pipeline: image-to-video
    inputs: {image: "${inputs.v}"}
    parameters: {width: 1001, fsp: 3}
    colour: red
  - id: a
    pipeline: upscail
outputs:
  o: ${steps.a.output}
)"),
        ElementsAre(
            "4:6: inputs.p: unknown type; known are text, integer, number, boolean, image, images, video, "
            "videos, "
            "times",
            "8:24: steps[0].inputs.image: image-to-video takes image here, and this is video; the operation "
            "frames "
            "takes pictures from a video",
            "9:25: steps[0].parameters.width: width must be a multiple of 8; pixels",
            "9:31: steps[0].parameters.fsp: image-to-video has no parameter \"fsp\"; did you mean \"fps\"?",
            "10:5: steps[0].colour: unknown field; known are id, pipeline, operation, model, foreach, when, "
            "inputs, "
            "parameters, max_price, deadline_s, priority, retries",
            "11:9: steps[1].id: step \"a\" is there twice, first in line 6; give one another name",
            "12:15: steps[1].pipeline: unknown pipeline \"upscail\"; did you mean \"upscale\"?"
        )
    );
}

TEST(Document, Cycles) {
    EXPECT_THAT(
        problems_of(R"(workflow: w
steps:
  - {id: a, pipeline: upscale, inputs: {video: "${steps.c.output}"}}
  - {id: b, pipeline: upscale, inputs: {video: "${steps.a.output}"}}
  - {id: c, pipeline: upscale, inputs: {video: "${steps.b.output}"}}
outputs: {o: "${steps.c.output}"}
)"),
        testing::Contains(
            "3:5: steps[0]: steps go in a circle: a needs c needs b needs a; remove one of the references"
        )
    );
    EXPECT_THAT(
        problems_of(R"(workflow: w
steps:
  - {id: a, pipeline: upscale, inputs: {image: "${steps.a.output}"}}
outputs: {o: "${steps.a.output}"}
)"),
        testing::Contains(HasSubstr("in a circle: a needs a"))
    );
}

struct Wrong {
    std::string_view from;
    std::string_view to;
    std::string_view problem;
};

TEST(Document, EachRule) {
    const std::vector<Wrong> cases = {
        {"text-to-video", "split", "split is an operation: write operation: split"},
        {"pipeline: upscale", "operation: upscale", "upscale is a pipeline: write pipeline: upscale"},
        {"pipeline: text-to-video\n", "\n", "a step has either a pipeline or an operation"},
        {"foreach: ${inputs.photos}", "foreach: ${inputs.photos[0]}", "foreach wants a list, not image"},
        {"foreach: ${inputs.photos}", "foreach: ${item}", "item outside of a step with foreach"},
        {"when: ${item.width < 512}", "when: ${item.width}", "when wants a condition, not integer"},
        {"image: \"${item}\"", "image: \"${inputs.photos}\"", "use ${item}"},
        {"{image: \"${item}\"}", "{}", "upscale needs image (image) or video (video)"},
        {"{image: \"${item}\"}", "{image: \"${item}\", video: \"${item}\"}", "more than one of"},
        {"{image: \"${item}\"}", "{picture: \"${item}\"}", "has no input \"picture\""},
        {"num_frames: 16", "num_frames: 1000", "num_frames must be between 1 and 128"},
        {"num_frames: 16", "num_frames: \"x\"", "num_frames must be a whole number"},
        {"num_frames: 16", "num_frames: ${inputs.prompt}", "num_frames cannot be text"},
        {"      prompt: ${inputs.prompt} no ${inputs.photos.count}\n", "", "text-to-video needs prompt"},
        {"num_frames: 16", "model_id: x", "write model: beside pipeline:"},
        {"multiplier: 2", "model: x", "write model: beside pipeline:"},
        {"output_format: png", "output_format: gif", "must be one of png|jpeg|webp"},
        {"  clip: ${steps.smooth.output}", "  clip: ${steps.make.output}",
         "nobody uses what step smooth makes"},
        {"  clip: ${steps.smooth.output}", "  clip: hello", "is text, not a file"},
        {"retries: 1", "retries: 11", "must be a whole number from 0 to 10"},
        {"deadline_s: 60", "deadline_s: soon", "must be a whole number"},
        {"max_price: {wei: 5, units: 1000}", "max_price: {wei: 5, units: 0}", "max_price.units"},
        {"max_price: {wei: 5, units: 1000}", "max_price: {units: 9}", "max_price.wei: is missing"},
        {"max_price: {wei: 5, units: 1000}", "model: \"a b\"", "printable characters without spaces"},
        {"id: big", "id: 7up", "not a name"},
        {"id: big", "name: big", "steps[0].id: is missing"},
        {"max_count: 5", "max_count: 5000", "must be a whole number from 1 to 4096"},
        {"default: a red ball", "default: [a]", "is not text"},
        {"type: images, max_count: 5", "type: images, default: x", "files have no default"},
        {"seed: 7", "seed: -1", "must be a whole number from 0"},
        {"seed: 7", "seed: 7\nseed: 8", "is there twice"},
        {"workflow: clip", "workflow: a clip", "not a name"},
    };
    for (const auto& one : cases) {
        EXPECT_THAT(problems_of(with(one.from, one.to)), testing::Contains(HasSubstr(one.problem))) << one.to;
        EXPECT_EQ(read(with(one.from, one.to)).workflow, nullptr);
    }
}

TEST(Document, WarningsDoNotStopIt) {
    const auto reading = read(with("  prompt: {", "  unused: image\n  prompt: {"));
    ASSERT_NE(reading.workflow, nullptr);
    ASSERT_EQ(reading.problems.size(), 1U);
    EXPECT_EQ(
        to_string(reading.problems[0]), "4:3: warning: inputs.unused: nobody uses this input; remove it"
    );
}

TEST(Document, HostileText) {
    EXPECT_THAT(problems_of(""), ElementsAre(HasSubstr("empty")));
    EXPECT_THAT(problems_of("- a"), ElementsAre(HasSubstr("a workflow is a map")));
    EXPECT_THAT(problems_of("a: &x 1\nb: *x"), ElementsAre(HasSubstr("anchors (&name) are not allowed")));
    EXPECT_THAT(
        problems_of("a: !!int 1"), ElementsAre("1:4: cannot be read: \"tags (!name) are not allowed\"")
    );
    EXPECT_THAT(problems_of("a: ["), ElementsAre(HasSubstr("cannot be read")));
    EXPECT_THAT(problems_of("a: 1\n---\nb: 2"), ElementsAre(HasSubstr("a second document starts here")));
    EXPECT_THAT(problems_of("[a]: 1"), ElementsAre(HasSubstr("a field's name must be plain text")));
    EXPECT_THAT(problems_of(std::string(2000, '[')), ElementsAre(HasSubstr("cannot be read")));
    EXPECT_THAT(problems_of(std::string(300'000, 'a')), ElementsAre(HasSubstr("longer than")));
    EXPECT_THAT(problems_of("a\xff"), ElementsAre(HasSubstr("not UTF-8")));
    std::string many = "a: [";
    for (int i = 0; i < 30'000; ++i) {
        many += "1,";
    }
    EXPECT_THAT(problems_of(many + "1]"), ElementsAre(HasSubstr("more than 20000 values")));
    EXPECT_THAT(
        problems_of(std::string(17, '[') + "1" + std::string(17, ']')), ElementsAre(HasSubstr("deeper"))
    );
}

TEST(Document, TooManyStepsAndProblems) {
    std::string text = "workflow: w\noutputs: {o: x}\nsteps:\n";
    for (std::size_t i = 0; i <= kStepsMax; ++i) {
        text += "  - {id: s" + std::to_string(i) + ", pipeline: text-to-image, parameters: {prompt: x}}\n";
    }
    EXPECT_THAT(problems_of(text), testing::Contains(HasSubstr("more than 200 steps")));
    std::string odd = "workflow: w\n";
    for (int i = 0; i < 500; ++i) {
        odd += "x" + std::to_string(i) + ": 1\n";
    }
    EXPECT_EQ(problems_of(odd).size(), kProblemsMax);
}

TEST(Document, WarningsNeverHideAnError) {
    std::string text = "workflow: w\ninputs: {v: video}\noutputs: {o: \"${steps.x.output}\"}\nsteps:\n";
    for (std::size_t i = 0; i < 2 * kProblemsMax; ++i) {
        text += "  - {id: s" + std::to_string(i) +
                ", operation: loop, inputs: {video: \"${inputs.v}\"}, max_price: {wei: 1}}\n";
    }
    const auto parsed = parse(text);
    ASSERT_FALSE(parsed);
    EXPECT_THAT(parsed.error().message, HasSubstr("there is no step \"x\""));
}

TEST(Document, ParseGivesTheFirstError) {
    const auto parsed = parse(with("num_frames: 16", "num_frames: 1000"));
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, Errc::kInvalidArgument);
    EXPECT_EQ(parsed.error().field, "steps[1].parameters.num_frames");
    EXPECT_THAT(parsed.error().message, HasSubstr("workflow 21:19: "));
    EXPECT_TRUE(parse(kGood));
}

}  // namespace
}  // namespace framegrid::workflow
