#include <framegrid/engine/parameters.hpp>

#include <gtest/gtest.h>

namespace framegrid::engine {
namespace {

std::string field_of(std::string_view json) {
    const auto result = parse_upscale_parameters(json);
    EXPECT_FALSE(result.has_value()) << json;
    return result ? "" : result.error().field;
}

TEST(UpscaleParameters, TypedValues) {
    const auto p = parse_upscale_parameters(
        R"({"prompt":"a cat","model_id":"framegrid/sr-4x","safety_check":false,"seed":7,)"
        R"("num_inference_steps":20,"x":[1]})"
    );
    ASSERT_TRUE(p) << p.error().message;
    EXPECT_EQ(p->prompt, "a cat");
    EXPECT_EQ(p->model_id, "framegrid/sr-4x");
    EXPECT_FALSE(p->safety_check);
    EXPECT_EQ(p->seed, 7);
    EXPECT_EQ(p->num_inference_steps, 20);
}

TEST(UpscaleParameters, TextAsFormFieldsGiveIt) {
    const auto p = parse_upscale_parameters(
        R"({"safety_check":"true","seed":"42","num_inference_steps":"0","model_id":""})"
    );
    ASSERT_TRUE(p) << p.error().message;
    EXPECT_TRUE(p->safety_check);
    EXPECT_EQ(p->seed, 42);
    EXPECT_EQ(p->num_inference_steps, 75);
    EXPECT_EQ(p->model_id, "");
}

TEST(UpscaleParameters, EmptyAndNullMeanAbsent) {
    for (const char* json : {"", "{}", R"({"seed":"","safety_check":null,"prompt":null,"seed":0})"}) {
        const auto p = parse_upscale_parameters(json);
        ASSERT_TRUE(p) << json;
        EXPECT_FALSE(p->seed);
        EXPECT_TRUE(p->safety_check);
    }
}

TEST(UpscaleParameters, WrongTypesNameTheField) {
    EXPECT_EQ(field_of(R"({"prompt":3})"), "prompt");
    EXPECT_EQ(field_of(R"({"model_id":{}})"), "model_id");
    EXPECT_EQ(field_of(R"({"safety_check":"maybe"})"), "safety_check");
    EXPECT_EQ(field_of(R"({"safety_check":1})"), "safety_check");
    EXPECT_EQ(field_of(R"({"seed":"12x"})"), "seed");
    EXPECT_EQ(field_of(R"({"seed":1.5})"), "seed");
    EXPECT_EQ(field_of(R"({"seed":18446744073709551615})"), "seed");
    EXPECT_EQ(field_of(R"({"seed":1e300})"), "seed");
    EXPECT_EQ(field_of(R"({"num_inference_steps":[]})"), "num_inference_steps");
    EXPECT_EQ(field_of(R"({"num_inference_steps":"99999999999999999999"})"), "num_inference_steps");
    EXPECT_EQ(field_of("[]"), "parameters");
    EXPECT_EQ(field_of("{"), "parameters");
    EXPECT_EQ(field_of(std::string(1000, '[')), "parameters");
    EXPECT_EQ(field_of(std::string(kParametersBytesMax + 1, ' ')), "parameters");
}

}  // namespace
}  // namespace framegrid::engine
