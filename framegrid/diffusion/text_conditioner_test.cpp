#include <framegrid/diffusion/text_conditioner.hpp>

#include <framegrid/diffusion/toy_networks_for_test.hpp>

namespace framegrid::diffusion {
namespace {

using testing::ToyPipeline;

TextEncoder toy_encoder(ToyPipeline& toy) {
    auto encoder = TextEncoder::load(toy.files, "tokenizer", Network("text_encoder", toy.text), false, false);
    EXPECT_TRUE(encoder) << encoder.error().message;
    return std::move(*encoder);
}

// One column of what encoders side by side gave, which is what one of them gives.
std::vector<float> column(const api::Tensor& hidden, std::size_t index) {
    std::vector<float> out;
    const auto width = static_cast<std::size_t>(hidden.shape[2]);
    for (std::size_t i = index; i < hidden.floats().size(); i += width) {
        out.push_back(hidden.floats()[i]);
    }
    return out;
}

TEST(text_conditioner, a_bar_gives_each_encoder_its_own_prompt) {
    ToyPipeline toy;
    std::vector<TextEncoder> two;
    two.push_back(toy_encoder(toy));
    two.push_back(toy_encoder(toy));
    const auto alone = [&](const std::vector<std::string>& texts) {
        return two[0].encode(texts).value().hidden.floats();
    };
    const struct {
        const char* prompt;
        const char* negative;
        std::vector<std::string> first;
        std::vector<std::string> second;
    } cases[] = {
        {"a red cat", "blurry", {"blurry", "a red cat"}, {"blurry", "a red cat"}},
        {"a red cat | in oil", "blurry", {"blurry", "a red cat"}, {"blurry", "in oil"}},
        {"a red cat|in oil|unread", " blurry | dark ", {"blurry", "a red cat"}, {"dark", "in oil"}},
        {"a red cat |", "|", {"", "a red cat"}, {"", "a red cat"}},
    };
    for (const auto& c : cases) {
        const auto both = encode_prompts(two, c.prompt, c.negative, true, false);
        ASSERT_TRUE(both) << both.error().message;
        EXPECT_EQ(column(both->hidden, 0), alone(c.first)) << c.prompt;
        EXPECT_EQ(column(both->hidden, 1), alone(c.second)) << c.prompt;
    }
}

TEST(text_conditioner, one_encoder_reads_bars) {
    ToyPipeline toy;
    std::vector<TextEncoder> one;
    one.push_back(toy_encoder(toy));
    const auto out = encode_prompts(one, "a cat | in oil", std::nullopt, false, false);
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_EQ(out->hidden.floats(), one[0].encode({"a cat | in oil"}).value().hidden.floats());
}

}  // namespace
}  // namespace framegrid::diffusion
