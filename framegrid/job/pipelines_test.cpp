#include <framegrid/job/pipelines.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace framegrid::job {
namespace {

const PipelineSpec& spec(std::string_view name) {
    const auto* found = find_pipeline(name);
    EXPECT_NE(found, nullptr) << name;
    return *found;
}

Error error_of(std::string_view pipeline, std::string_view json) {
    auto read = Parameters::from_json(spec(pipeline), json);
    EXPECT_FALSE(read.has_value()) << json;
    return read ? Error{} : read.error();
}

TEST(Pipelines, NamesAndNumbersAgreeWithTheCapabilities) {
    for (const auto& pipeline : pipelines()) {
        EXPECT_EQ(pipeline_of(pipeline.capability), pipeline.name);
        EXPECT_EQ(capability_of_pipeline(pipeline.name), pipeline.capability);
    }
    EXPECT_EQ(find_pipeline("text-to-tea"), nullptr);
}

TEST(Pipelines, TheRequestOfTheStockClient) {
    const auto read = Parameters::from_json(
        spec("text-to-image"),
        R"({"model_id":"","loras":"","prompt":"a red ball","height":576,"width":1024,"guidance_scale":7.5,)"
        R"("negative_prompt":"","safety_check":true,"num_inference_steps":50,)"
        R"("num_images_per_prompt":1,"x":[1]})"
    );
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->text("prompt"), "a red ball");
    EXPECT_EQ(read->integer("width"), 1024);
    EXPECT_EQ(read->number("guidance_scale"), 7.5);
    EXPECT_EQ(read->boolean("safety_check"), true);
    EXPECT_EQ(read->integer("seed"), std::nullopt);
    EXPECT_EQ(read->text("model_id"), "");
    EXPECT_EQ(
        read->to_json(),
        R"({"guidance_scale":7.5E0,"height":576,"num_images_per_prompt":1,"num_inference_steps":50,)"
        R"("prompt":"a red ball","safety_check":true,"width":1024})"
    );
    const auto again = Parameters::from_json(spec("text-to-image"), read->to_json());
    ASSERT_TRUE(again);
    EXPECT_EQ(again->to_json(), read->to_json());
}

TEST(Pipelines, FormsAndJsonMeanTheSame) {
    const auto form = Parameters::from_fields(
        spec("image-to-image"), {{"prompt", "p"},
                                 {"strength", "0.5"},
                                 {"seed", "42"},
                                 {"safety_check", "false"},
                                 {"loras", ""},
                                 {"n", "1"}}
    );
    ASSERT_TRUE(form) << form.error().message;
    const auto json = Parameters::from_json(
        spec("image-to-image"), R"({"prompt":"p","strength":"0.5","seed":42.0,"safety_check":"False"})"
    );
    ASSERT_TRUE(json) << json.error().message;
    EXPECT_EQ(form->to_json(), json->to_json());
}

TEST(Pipelines, EveryParameterOutOfRangeIsNamed) {
    const auto image = [](const std::string& rest) { return R"({"prompt":"x",)" + rest + "}"; };
    const std::vector<std::pair<std::string, std::string>> bad = {
        {R"("width":100)", "width"},
        {R"("width":0)", "width"},
        {R"("height":-64)", "height"},
        {R"("height":1000000000)", "height"},
        {R"("height":"sixty")", "height"},
        {R"("width":64.5)", "width"},
        {R"("width":18446744073709551615)", "width"},
        {R"("width":true)", "width"},
        {R"("num_inference_steps":1000000000)", "num_inference_steps"},
        {R"("num_inference_steps":"99999999999999999999")", "num_inference_steps"},
        {R"("guidance_scale":"nan")", "guidance_scale"},
        {R"("guidance_scale":"inf")", "guidance_scale"},
        {R"("guidance_scale":-1)", "guidance_scale"},
        {R"("guidance_scale":[])", "guidance_scale"},
        {R"("num_images_per_prompt":17)", "num_images_per_prompt"},
        {R"("seed":9007199254740992)", "seed"},
        {R"("safety_check":"maybe")", "safety_check"},
        {R"("output_format":"exe")", "output_format"},
        {R"("loras":"{\"a/b\":1}")", "loras"},
        {R"("negative_prompt":"\u0000")", "negative_prompt"},
    };
    for (const auto& [text, field] : bad) {
        const Error error = error_of("text-to-image", image(text));
        EXPECT_EQ(error.code, Errc::kInvalidArgument) << text;
        EXPECT_EQ(error.field, field) << text << ": " << error.message;
    }
}

TEST(Pipelines, WhatPeersTakeBelowTheRangesIsTaken) {
    const auto image = [](const std::string& rest) {
        const auto read = Parameters::from_json(spec("text-to-image"), R"({"prompt":"x",)" + rest + "}");
        EXPECT_TRUE(read) << rest;
        return read.value_or(Parameters{});
    };
    for (const auto* steps : {"0", "-3", R"("0")"}) {
        const auto read = image(R"("num_inference_steps":)" + std::string(steps));
        EXPECT_EQ(read.integer("num_inference_steps"), std::nullopt) << "the model's: " << steps;
    }
    EXPECT_EQ(image(R"("num_images_per_prompt":0)").integer("num_images_per_prompt"), 1);
    EXPECT_EQ(image(R"("num_images_per_prompt":-2)").integer("num_images_per_prompt"), 1);
    EXPECT_EQ(image(R"("seed":-1)").integer("seed"), (std::int64_t{1} << 52) - 1);
    EXPECT_EQ(image(R"("seed":"-7")").integer("seed"), (std::int64_t{1} << 52) - 7);
    EXPECT_EQ(image(R"("seed":-9223372036854775808)").integer("seed"), 0);
    const auto motion = [](std::string text) {
        const auto read = Parameters::from_fields(
            spec("image-to-video"), {{"motion_bucket_id", std::move(text)}, {"num_inference_steps", "0"}}
        );
        EXPECT_TRUE(read);
        EXPECT_EQ(read->integer("num_inference_steps"), std::nullopt);
        return read->integer("motion_bucket_id");
    };
    EXPECT_EQ(motion("0"), 0);
    EXPECT_EQ(motion("-1"), 0);
    EXPECT_EQ(error_of("image-to-video", R"({"motion_bucket_id":256})").field, "motion_bucket_id");
}

TEST(Pipelines, BooleansAreSpeltAsPeersSpellThem) {
    const auto check = [](std::string text) {
        const auto form = Parameters::from_fields(spec("upscale"), {{"safety_check", text}});
        const auto json = Parameters::from_json(spec("upscale"), R"({"safety_check":")" + text + "\"}");
        EXPECT_EQ(form.has_value(), json.has_value()) << text;
        EXPECT_TRUE(!form || form->boolean("safety_check") == json->boolean("safety_check")) << text;
        return form ? form->boolean("safety_check") : std::nullopt;
    };
    for (const auto* text : {"1", "t", "T", "TRUE", "true", "True"}) {
        EXPECT_EQ(check(text), true) << text;
    }
    for (const auto* text : {"0", "f", "F", "FALSE", "false", "False"}) {
        EXPECT_EQ(check(text), false) << text;
    }
    for (const auto* text : {"yes", "tRUE", "2", "on"}) {
        EXPECT_EQ(check(text), std::nullopt) << text;
    }
    const auto number = Parameters::from_json(spec("upscale"), R"({"safety_check":1})");
    ASSERT_TRUE(number) << "what the wire makes of a form's 1";
    EXPECT_EQ(number->boolean("safety_check"), true);
    EXPECT_EQ(error_of("upscale", R"({"safety_check":2})").field, "safety_check");
}

TEST(Pipelines, Prompts) {
    EXPECT_EQ(error_of("text-to-image", "{}").field, "prompt");
    EXPECT_EQ(error_of("text-to-image", R"({"prompt":""})").field, "prompt");
    EXPECT_EQ(error_of("text-to-image", R"({"prompt":null})").field, "prompt");
    EXPECT_EQ(error_of("text-to-image", R"({"prompt":5})").field, "prompt");
    EXPECT_EQ(error_of("text-to-image", R"({"prompt":")" + std::string(20'000, 'x') + "\"}").field, "prompt");
    EXPECT_EQ(
        error_of("text-to-image", R"({"prompt":")" + std::string(1'000'000, 'x') + "\"}").code,
        Errc::kTooLarge
    );
    const auto broken = Parameters::from_fields(spec("text-to-image"), {{"prompt", "\xff\xfe"}});
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().field, "prompt");
    EXPECT_TRUE(Parameters::from_json(spec("upscale"), "")) << "no prompt is needed where it has no use";
    EXPECT_EQ(Parameters::from_json(spec("upscale"), R"({"prompt":" "})")->to_json(), "{}");
    EXPECT_EQ(error_of("inpaint", R"({"prompt":"x"})").field, "mask_image");
}

TEST(Pipelines, NotAnObject) {
    EXPECT_EQ(error_of("upscale", "[]").field, "parameters");
    EXPECT_EQ(error_of("upscale", "{").field, "parameters");
    EXPECT_EQ(error_of("upscale", std::string(100'000, '[')).field, "parameters");
}

TEST(Pipelines, PayableUnits) {
    const auto units = [](std::string_view name, std::string_view json, media::Size input) {
        const auto read = Parameters::from_json(spec(name), json);
        EXPECT_TRUE(read) << read.error().message;
        return payable_units(spec(name), *read, input).value;
    };
    EXPECT_EQ(units("text-to-image", R"({"prompt":"x"})", {}), 512 * 512);
    EXPECT_EQ(
        units("text-to-image", R"({"prompt":"x","width":1024,"height":576,"num_images_per_prompt":3})", {}),
        1024 * 576 * 3
    );
    EXPECT_EQ(
        units("image-to-image", R"({"prompt":"x","num_images_per_prompt":2})", {640, 480}), 640 * 480 * 2
    );
    EXPECT_EQ(units("image-to-video", "{}", {64, 64}), 1024 * 576 * 25);
    EXPECT_EQ(units("image-to-video", R"({"width":128,"height":64})", {64, 64}), 128 * 64 * 25);
    EXPECT_EQ(units("upscale", "{}", {640, 480}), 640 * 480);
    EXPECT_EQ(
        units("text-to-video", R"({"prompt":"x","width":64,"height":64,"num_frames":8})", {}), 64 * 64 * 8
    );
}

}  // namespace
}  // namespace framegrid::job
