#include <framegrid/workflow/run.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <framegrid/workflow/workflow_for_test.hpp>

namespace framegrid::workflow {
namespace {

using Flow = Run;  // GoogleTest's fixtures have a Run of their own

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::string_view kSegments = R"(workflow: segments
inputs: {v: video}
steps:
  - {id: cut, operation: split, inputs: {video: "${inputs.v}"}, parameters: {segment_ms: 2000}}
  - {id: big, pipeline: upscale, foreach: "${steps.cut.outputs}", inputs: {video: "${item}"}, retries: 1}
  - {id: smooth, pipeline: frame-interpolation, foreach: "${steps.big.outputs}", inputs: {video: "${item}"}}
  - {id: whole, operation: join, inputs: {segments: "${steps.smooth.outputs}"}}
outputs: {v: "${steps.whole.output}"}
)";

Run run_of(std::string_view text, Values inputs, RunSettings settings = {}) {
    const auto workflow = workflow_of(text);
    auto quote = make_quote(*workflow, inputs, 7, offer);
    EXPECT_TRUE(quote) << quote.error().message;
    auto run = Flow::make(workflow, std::move(inputs), 7, *quote, settings);
    EXPECT_TRUE(run) << run.error().message;
    return *std::move(run);
}

Values video() {
    return {{"v", film(64, 48, 6000, 180)}};
}

Artifact segment(std::string_view name) {
    Artifact out = film(64, 48, 2000, 60);
    out.digest = digest_of(name);
    return out;
}

Artifact twice(Artifact file, std::string_view name) {
    file.width *= 2;
    file.height *= 2;
    file.digest = digest_of(name);
    return file;
}

Error crash() {
    return make_error(Errc::kUnavailable, "the node went away");
}

TEST(Run, SegmentsStreamIntoTheNextStepAndKeepTheirOrder) {
    Flow run = run_of(kSegments, video());
    EXPECT_THAT(names_of(run.begin()), ElementsAre("cut/0"));
    const ItemId cut{"cut", 0};
    EXPECT_THAT(names_of(run.on(ItemOutput{cut, 1, 0, segment("a")})), ElementsAre("big/0"));
    EXPECT_THAT(names_of(run.on(ItemOutput{cut, 1, 2, segment("c")})), IsEmpty()) << "the second is missing";
    EXPECT_THAT(names_of(run.on(ItemOutput{cut, 1, 1, segment("b")})), ElementsAre("big/1", "big/2"));
    // The last segment is first in the next step, although the split is not done.
    const Artifact big_c = twice(segment("c"), "C");
    EXPECT_THAT(names_of(run.on(ItemDone{{"big", 2}, 1, {big_c}, 1, false})), ElementsAre("smooth/2"));
    EXPECT_THAT(
        names_of(run.on(ItemDone{cut, 1, {segment("a"), segment("b"), segment("c")}, 0, false})), IsEmpty()
    );
    run.on(ItemDone{{"big", 0}, 1, {twice(segment("a"), "A")}, 1, false});
    run.on(ItemDone{{"big", 1}, 1, {twice(segment("b"), "B")}, 1, false});
    run.on(ItemDone{{"smooth", 2}, 1, {twice(segment("c"), "3")}, 1, false});
    run.on(ItemDone{{"smooth", 0}, 1, {twice(segment("a"), "1")}, 1, false});
    const auto commands = run.on(ItemDone{{"smooth", 1}, 1, {twice(segment("b"), "2")}, 1, false});
    ASSERT_THAT(names_of(commands), ElementsAre("whole/0"));
    const auto join = starts_of(commands).at(0);
    const auto& files = join.work.inputs[0].files;
    ASSERT_THAT(files, SizeIs(3));
    EXPECT_EQ(files[0].digest, digest_of("1"));
    EXPECT_EQ(files[1].digest, digest_of("2"));
    EXPECT_EQ(files[2].digest, digest_of("3"));
    const auto last = run.on(done(join));
    ASSERT_THAT(last, SizeIs(1));
    EXPECT_EQ(std::get<Finish>(last[0]).wei, 6);
    EXPECT_EQ(run.state(), RunState::kSucceeded);
    EXPECT_EQ(run.wei(), 6);
}

TEST(Run, OnlyTheFailedItemIsRedoneWithTheSameWork) {
    Flow run = run_of(kSegments, video());
    run.begin();
    const auto both = starts_of(run.on(ItemDone{{"cut", 0}, 1, {segment("a"), segment("b")}, 0, false}));
    ASSERT_THAT(both, SizeIs(2));
    const auto again = starts_of(run.on(ItemFailed{{"big", 1}, 1, crash()}));
    ASSERT_THAT(again, SizeIs(1));
    EXPECT_EQ(again[0].id, (ItemId{"big", 1}));
    EXPECT_EQ(again[0].attempt, 2);
    EXPECT_EQ(again[0].key, both[1].key);
    EXPECT_EQ(again[0].work.parameters.to_json(), both[1].work.parameters.to_json());
    // The first attempt's late answer does nothing.
    EXPECT_THAT(run.on(ItemDone{{"big", 1}, 1, {segment("late")}, 1, false}), IsEmpty());
    // retries: 1 is used up.
    const auto end = run.on(ItemFailed{{"big", 1}, 2, crash()});
    ASSERT_THAT(end, SizeIs(2));
    EXPECT_EQ(std::get<Stop>(end[0]).id, (ItemId{"big", 0}));
    EXPECT_EQ(std::get<Fail>(end[1]).id, (ItemId{"big", 1}));
    EXPECT_EQ(std::get<Fail>(end[1]).error.message, "step big, item 1, attempt 2: the node went away");
    EXPECT_EQ(run.state(), RunState::kFailed);
    EXPECT_THAT(run.on(ItemDone{{"big", 0}, 1, {segment("late")}, 1, false}), IsEmpty());
}

TEST(Run, WhatIsAtFaultIsNotTriedAgain) {
    Flow run = run_of(kSegments, video());
    run.begin();
    const auto end = run.on(ItemFailed{{"cut", 0}, 1, make_error(Errc::kUnprocessable, "no keyframe")});
    ASSERT_THAT(end, SizeIs(1));
    EXPECT_EQ(std::get<Fail>(end[0]).error.message, "step cut: no keyframe");
}

TEST(Run, AResultOfTheWrongFormCountsAsFailure) {
    Flow run = run_of(kSegments, video());
    run.begin();
    EXPECT_THAT(names_of(run.on(ItemDone{{"cut", 0}, 1, {picture(8, 8)}, 0, false})), ElementsAre("cut/0"));
    EXPECT_THAT(names_of(run.on(ItemDone{{"cut", 0}, 2, {}, 0, false})), ElementsAre("cut/0"));
    EXPECT_THAT(names_of(run.on(ItemOutput{{"cut", 0}, 3, 0, picture(8, 8)})), IsEmpty());
    EXPECT_EQ(run.state(), RunState::kFailed);
}

TEST(Run, Cancel) {
    Flow run = run_of(kSegments, video());
    run.begin();
    const auto end = run.on(Cancel{});
    ASSERT_THAT(end, SizeIs(2));
    EXPECT_EQ(std::get<Stop>(end[0]).id, (ItemId{"cut", 0}));
    EXPECT_EQ(std::get<Fail>(end[1]).error.code, Errc::kCancelled);
    EXPECT_EQ(run.state(), RunState::kCancelled);
}

TEST(Run, NothingIsBoughtBeyondTheQuote) {
    Flow run = run_of(kSegments, video());
    run.begin();
    const auto end = run.on(ItemDone{{"cut", 0}, 1, {film(1000, 1000, 6000, 180)}, 0, false});
    ASSERT_THAT(end, SizeIs(1));
    EXPECT_EQ(std::get<Fail>(end[0]).error.code, Errc::kTooLarge);
    EXPECT_THAT(std::get<Fail>(end[0]).error.message, HasSubstr("step big would cost more than its quote"));
    EXPECT_EQ(run.wei(), 0);
}

TEST(Run, WhatIsToBeStartedWhenTheRunEndsNeverWas) {
    Flow run = run_of(kSegments, video());
    run.begin();
    // The first is fine, the second is beyond the quote: nothing is started and nothing has to be stopped.
    const auto end = run.on(ItemDone{{"cut", 0}, 1, {segment("a"), film(1000, 1000, 6000, 180)}, 0, false});
    ASSERT_THAT(end, SizeIs(1));
    EXPECT_TRUE(std::holds_alternative<Fail>(end[0]));
}

TEST(Run, WhatWasCachedCostsNothingAndNobodyChargesMore) {
    Flow run = run_of(kSegments, video());
    run.begin();
    const auto both = starts_of(run.on(ItemDone{{"cut", 0}, 1, {segment("a"), segment("b")}, 0, false}));
    run.on(ItemDone{both[0].id, 1, results_of(both[0]), both[0].wei_max, true});
    EXPECT_EQ(run.wei(), 0);
    run.on(ItemDone{both[1].id, 1, results_of(both[1]), both[1].wei_max + 1000, false});
    EXPECT_EQ(run.wei(), both[1].wei_max);
    EXPECT_EQ(both[1].wei_max, 64 * 48 * 60 / 1000 + 1);
}

constexpr std::string_view kConditions = R"(workflow: conditions
inputs: {photos: images}
steps:
  - id: big
    pipeline: upscale
    foreach: ${inputs.photos}
    when: ${item.width < 100 and item.index < 2}
    inputs: {image: "${item}"}
  - id: moving
    pipeline: image-to-video
    foreach: ${steps.big.outputs}
    when: ${item.width >= 100}
    inputs: {image: "${item}"}
  - {id: all, operation: join, inputs: {segments: "${steps.moving.outputs}"}}
outputs: {v: "${steps.all.output}", photos: "${steps.big.outputs}"}
)";

TEST(Run, SkippedStepsPassTheirInputOnIfTheyCan) {
    Flow run = run_of(
        kConditions, {{"photos", std::vector<Artifact>{picture(60, 60), picture(200, 80), picture(50, 50)}}}
    );
    auto commands = run.begin();
    // 1 is large enough: it is passed on. 2 is not enlarged, so that it cannot move: nothing passes from an
    // image to a video.
    ASSERT_THAT(names_of(commands), ElementsAre("big/0", "moving/1"));
    const auto first = starts_of(commands);
    EXPECT_EQ(first[1].work.inputs[0].files[0].width, 200);
    EXPECT_TRUE(first[1].work.parameters.integer("seed"));
    EXPECT_FALSE(first[0].work.parameters.integer("seed"));
    commands = run.on(done(first[0]));
    ASSERT_THAT(names_of(commands), ElementsAre("moving/0"));
    run.on(done(starts_of(commands)[0]));
    commands = run.on(done(first[1]));
    ASSERT_THAT(names_of(commands), ElementsAre("all/0"));
    EXPECT_THAT(starts_of(commands)[0].work.inputs[0].files, SizeIs(2));
    commands = run.on(done(starts_of(commands)[0]));
    const auto outputs = std::get<Finish>(commands.at(0)).outputs;
    EXPECT_THAT(std::get<std::vector<Artifact>>(outputs.at("photos")), SizeIs(3));
    const auto progress = run.progress();
    EXPECT_EQ(progress[1].skipped, 1);
    EXPECT_EQ(progress[1].done, 2);
    EXPECT_TRUE(progress[1].complete);
}

TEST(Run, AllSkippedIsNothing) {
    Flow run = run_of(kConditions, {{"photos", std::vector<Artifact>{}}});
    const auto commands = run.begin();
    ASSERT_THAT(commands, SizeIs(1));
    EXPECT_TRUE(std::holds_alternative<std::monostate>(std::get<Finish>(commands[0]).outputs.at("v")));
    EXPECT_EQ(run.state(), RunState::kSucceeded);
}

TEST(Run, AWrongParameterOnlyKnownNowFailsItsStep) {
    Flow run = run_of(
        R"(workflow: w
inputs: {p: image}
steps:
  - {id: a, pipeline: upscale, inputs: {image: "${inputs.p}"}}
  - id: b
    pipeline: image-to-video
    inputs: {image: "${steps.a.output}"}
    parameters: {width: "${steps.a.output.width}"}
outputs: {v: "${steps.b.output}"}
)",
        {{"p", picture(32, 32)}}
    );
    const auto start = starts_of(run.begin()).at(0);
    const auto end = run.on(ItemDone{start.id, 1, {picture(61, 61)}, 0, false});
    EXPECT_EQ(std::get<Fail>(end.at(0)).error.field, "steps[1].parameters.width");
    EXPECT_EQ(std::get<Fail>(end.at(0)).id.step, "b");
}

TEST(Run, LimitsHowMuchRunsAtOnce) {
    RunSettings settings;
    settings.running_max = 2;
    Flow run = run_of(kConditions, {{"photos", std::vector<Artifact>(5, picture(500, 500))}}, settings);
    const auto first = starts_of(run.begin());
    ASSERT_THAT(first, SizeIs(2));
    EXPECT_THAT(names_of(run.on(done(first[0]))), ElementsAre("moving/2"));
}

TEST(Run, ARestoredRunStartsWhatWasRunningAndIsOtherwiseTheSame) {
    Flow run = run_of(kSegments, video());
    run.begin();
    const ItemId cut{"cut", 0};
    run.on(ItemOutput{cut, 1, 0, segment("a")});
    run.on(ItemFailed{{"big", 0}, 1, crash()});
    auto restored = Flow::from_json(run.to_json());
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(restored->to_json(), run.to_json());
    EXPECT_EQ(restored->quote(), run.quote());
    const auto again = starts_of(restored->begin());
    ASSERT_THAT(again, SizeIs(2));
    EXPECT_EQ(again[0].id, cut);
    EXPECT_EQ(again[1].id, (ItemId{"big", 0}));
    EXPECT_EQ(again[1].attempt, 2);
    EXPECT_EQ(restored->to_json(), run.to_json());
    // An end is told again, because it may not have been heard.
    restored->on(Cancel{});
    auto ended = Flow::from_json(restored->to_json());
    ASSERT_TRUE(ended);
    EXPECT_EQ(std::get<Fail>(ended->begin().at(0)).error.code, Errc::kCancelled);
}

TEST(Run, OtherTextIsNotAState) {
    for (const std::string_view text :
         {"", "{", "[]", "{}", R"({"version":2})", R"({"version":1,"document":"x"})"}) {
        EXPECT_FALSE(Flow::from_json(text)) << text;
    }
    Flow run = run_of(kSegments, video());
    run.begin();
    const std::string good = run.to_json();
    const auto with = [&](std::string_view from, std::string_view to) {
        std::string text = good;
        const auto at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        return text.replace(at, from.size(), to);
    };
    EXPECT_FALSE(Flow::from_json(with(R"("closed":true)", R"("closed":1)")));
    EXPECT_FALSE(Flow::from_json(with(R"("steps":[{)", R"("steps":[{"closed":true,"items":[]},{)")));
    EXPECT_FALSE(Flow::from_json(with(R"({"state":1)", R"({"state":2)"))) << "done without files";
    EXPECT_FALSE(Flow::from_json(with(R"({"state":1)", R"({"state":9)")));
    EXPECT_FALSE(Flow::from_json(with(R"("step":"cut")", R"("step":"cat")")));
    EXPECT_FALSE(Flow::from_json(with(R"("kind":"video")", R"("kind":"image")")))
        << "an input of another type";
}

}  // namespace
}  // namespace framegrid::workflow
