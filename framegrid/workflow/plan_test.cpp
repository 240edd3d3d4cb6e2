#include <framegrid/workflow/quote.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <framegrid/workflow/workflow_for_test.hpp>

namespace framegrid::workflow {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kChain = R"(workflow: chain
inputs:
  photos: {type: images, max_count: 3, max_width: 1024, max_height: 512}
steps:
  - {id: big, pipeline: upscale, foreach: "${inputs.photos}", inputs: {image: "${item}"}}
  - {id: huge, pipeline: upscale, foreach: "${steps.big.outputs}", inputs: {image: "${item}"}}
outputs: {photos: "${steps.huge.outputs}"}
)";

Work work_of(std::string_view pipeline, const Values& parameters, std::vector<WorkInput> inputs) {
    Work work;
    work.action = find_action(pipeline);
    auto read = read_parameters(*work.action, parameters);
    EXPECT_TRUE(read) << read.error().message;
    work.parameters = *read;
    work.inputs = std::move(inputs);
    return work;
}

TEST(Quote, IsExactWhenTheFilesAreKnown) {
    const auto workflow = workflow_of(kChain);
    const Values inputs{{"photos", std::vector<Artifact>{picture(100, 100), picture(200, 50)}}};
    const auto quote = make_quote(*workflow, inputs, 1, offer);
    ASSERT_TRUE(quote) << quote.error().message;
    EXPECT_TRUE(quote->exact);
    EXPECT_EQ(quote->lines[0].items, 2);
    EXPECT_EQ(quote->lines[0].units.value, 20'000);
    EXPECT_EQ(quote->lines[0].wei, 20);
    EXPECT_EQ(quote->lines[1].units.value, 80'000);  // of pictures that are twice as large
    EXPECT_EQ(quote->wei, 100);
}

TEST(Quote, AssumesTheMostWhenTheyAreNot) {
    const auto quote = make_quote(*workflow_of(kChain), {}, 1, offer);
    ASSERT_TRUE(quote) << quote.error().message;
    EXPECT_FALSE(quote->exact);
    EXPECT_EQ(quote->lines[0].items, 3);
    EXPECT_EQ(quote->lines[0].units.value, 3 * 1024 * 512);
    EXPECT_THAT(quote->lines[0].note, HasSubstr("at their most"));
}

TEST(Quote, EachItemIsRoundedUp) {
    const Values inputs{{"photos", std::vector<Artifact>{picture(40, 40), picture(40, 40)}}
    };  // 1600 units each
    const auto quote = make_quote(*workflow_of(kChain), inputs, 1, offer);
    ASSERT_TRUE(quote);
    EXPECT_EQ(quote->lines[0].wei, 4);
}

TEST(Quote, SegmentsCostWhatTheWholeCosts) {
    const auto workflow = workflow_of(R"(workflow: w
inputs: {v: video}
steps:
  - {id: cut, operation: split, inputs: {video: "${inputs.v}"}, parameters: {segment_ms: 2000}}
  - {id: big, pipeline: upscale, foreach: "${steps.cut.outputs}", inputs: {video: "${item}"}}
  - {id: whole, operation: join, inputs: {segments: "${steps.big.outputs}"}}
outputs: {v: "${steps.whole.output}"}
)");
    const auto quote = make_quote(*workflow, {{"v", film(100, 100, 10'000, 300)}}, 1, offer);
    ASSERT_TRUE(quote) << quote.error().message;
    EXPECT_EQ(quote->lines[0].wei, 0);
    EXPECT_EQ(quote->lines[1].items, 5);
    EXPECT_EQ(quote->lines[1].units.value, 100 * 100 * 300);
    EXPECT_FALSE(quote->lines[1].exact);
}

TEST(Quote, Refusals) {
    const auto workflow = workflow_of(kChain);
    const Values good{{"photos", std::vector<Artifact>{picture(100, 100)}}};
    const auto error = [&](const Values& inputs, const OfferFor& offers) {
        const auto quote = make_quote(*workflow, inputs, 1, offers);
        return quote ? "none" : quote.error().field + ": " + quote.error().message;
    };
    EXPECT_EQ(
        error(good, [](auto, auto) { return std::nullopt; }),
        "steps[0]: step big: nobody offers upscale with model framegrid/sr-2x"
    );
    EXPECT_THAT(
        error(good, [](auto, auto) { return Offer{{std::int64_t{1} << 62, 1}, {}, 2}; }),
        HasSubstr("too large")
    );
    EXPECT_EQ(error({{"photo", picture(1, 1)}}, offer), "inputs.photo: the workflow has no such input");
    EXPECT_THAT(
        error({{"photos", picture(1, 1)}}, offer), HasSubstr("inputs.photos: input photos must be images")
    );
    EXPECT_THAT(
        error({{"photos", std::vector<Artifact>{picture(2000, 10)}}}, offer),
        HasSubstr("is larger than 1024x512")
    );
    EXPECT_THAT(
        error({{"photos", std::vector<Artifact>(4, picture(10, 10))}}, offer), HasSubstr("more than 3 files")
    );
    EXPECT_THAT(
        error({{"photos", std::vector<Artifact>{film(10, 10, 10, 1)}}}, offer), HasSubstr("must be images")
    );
    const auto capped = workflow_of(R"(workflow: w
inputs: {p: image}
steps:
  - {id: a, pipeline: upscale, inputs: {image: "${inputs.p}"}, max_price: {wei: 1, units: 1001}}
outputs: {p: "${steps.a.output}"}
)");
    const auto dear = make_quote(*capped, {}, 1, offer);
    ASSERT_FALSE(dear);
    EXPECT_EQ(dear.error().code, Errc::kUnavailable);
    EXPECT_EQ(dear.error().field, "steps[0].max_price");
}

TEST(Quote, TooManyRuns) {
    std::string text = "workflow: w\ninputs: {p: {type: images, max_count: 4096}}\nsteps:\n";
    std::string outputs = "outputs:\n";
    for (int i = 0; i < 6; ++i) {
        const auto id = "s" + std::to_string(i);
        text += "  - {id: " + id +
                ", pipeline: upscale, foreach: \"${inputs.p}\", inputs: {image: \"${item}\"}}\n";
        outputs += "  o" + std::to_string(i) + ": ${steps." + id + ".outputs}\n";
    }
    const auto quote = make_quote(*workflow_of(text + outputs), {}, 1, offer);
    ASSERT_FALSE(quote);
    EXPECT_THAT(quote.error().message, HasSubstr("too often"));
}

TEST(Plan, TheKeyIsWhatDecidesTheResult) {
    const auto base = work_of("upscale", {}, {{"image", {picture(8, 8, "a")}}});
    const auto key = content_key(base, "m1");
    EXPECT_EQ(key, content_key(base, "m1"));
    EXPECT_EQ(key.size(), 64U);
    EXPECT_NE(key, content_key(base, "m2"));
    auto other = base;
    other.inputs[0].files[0] = picture(8, 8, "b");
    EXPECT_NE(key, content_key(other, "m1"));
    other = base;
    other.inputs[0].files[0].content_type = "image/webp";  // said of the same bytes
    EXPECT_EQ(key, content_key(other, "m1"));
    other = work_of("upscale", {{"output_format", std::string("jpeg")}}, base.inputs);
    EXPECT_NE(key, content_key(other, "m1"));
    other = base;
    other.inputs[0].files.push_back(other.inputs[0].files[0]);
    EXPECT_NE(key, content_key(other, "m1"));
}

TEST(Plan, SeedsComeFromThePlaceInTheWorkflow) {
    EXPECT_EQ(derive_seed(1, "a", 0), derive_seed(1, "a", 0));
    EXPECT_NE(derive_seed(1, "a", 0), derive_seed(2, "a", 0));
    EXPECT_NE(derive_seed(1, "a", 0), derive_seed(1, "a", 1));
    EXPECT_NE(derive_seed(1, "a", 0), derive_seed(1, "b", 0));
    for (int i = 0; i < 100; ++i) {
        EXPECT_GE(derive_seed(i, "a", 0), 0);
        EXPECT_LT(derive_seed(i, "a", 0), std::int64_t{1} << 53);
    }
}

TEST(Plan, Units) {
    const auto video = film(100, 50, 2000, 60);
    EXPECT_EQ(payable_units(work_of("upscale", {}, {{"image", {picture(100, 50)}}})).value, 5000);
    EXPECT_EQ(payable_units(work_of("upscale", {}, {{"video", {video}}})).value, 5000 * 60);
    EXPECT_EQ(payable_units(work_of("split", {}, {{"video", {video}}})).value, 0);
    const Values film_of{{"prompt", std::string("x")}, {"num_frames", std::int64_t{8}}};
    EXPECT_EQ(payable_units(work_of("text-to-video", film_of, {})).value, 512 * 512 * 8);
    const Values ladder{{"profiles", std::string("P240p30fps16x9")}};
    EXPECT_EQ(payable_units(work_of("transcode", ladder, {{"video", {video}}})).value, 426 * 240 * 30 * 2);
    EXPECT_EQ(wei_for({1001}, {1, 1000}), 2);
    EXPECT_EQ(wei_for({std::int64_t{1} << 60}, {1000, 1}), std::nullopt);
}

TEST(Plan, WhatIsExpected) {
    const Offer its_offer{{1, 1}, {}, 4};
    const auto video = film(100, 50, 2000, 60);
    const auto one = [&](const Work& work) { return expected_results(work, its_offer).files.at(0); };
    EXPECT_EQ(one(work_of("upscale", {}, {{"video", {video}}})).width, 400);
    EXPECT_EQ(
        one(work_of("frame-interpolation", {{"multiplier", std::int64_t{3}}}, {{"video", {video}}})).frames,
        180
    );
    EXPECT_EQ(
        one(work_of("frame-interpolation", {{"fps", std::int64_t{50}}}, {{"video", {video}}})).frames, 101
    );
    EXPECT_EQ(
        one(work_of("loop", {{"mode", std::string("there-and-back")}}, {{"video", {video}}})).frames, 120
    );
    EXPECT_EQ(one(work_of("join", {}, {{"segments", {video, video}}})).duration_ms, 4000);
    EXPECT_EQ(one(work_of("hls", {}, {{"renditions", {video}}})).kind, Kind::kPlaylist);
    EXPECT_EQ(one(work_of("scene-cuts", {}, {{"video", {video}}})).kind, Kind::kTimes);
    const auto sheet =
        one(work_of("contact-sheet", {}, {{"images", std::vector<Artifact>(5, picture(640, 360))}}));
    EXPECT_EQ(sheet.width, 1280);
    EXPECT_EQ(sheet.height, 360);
    const Values four{{"prompt", std::string("x")}, {"num_images_per_prompt", std::int64_t{4}}};
    EXPECT_EQ(expected_results(work_of("text-to-image", four, {}), its_offer).files.size(), 4U);
}

}  // namespace
}  // namespace framegrid::workflow
