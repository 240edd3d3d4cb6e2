#include <framegrid/diffusion/clip_tokenizer.hpp>

#include <fstream>
#include <iterator>

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace framegrid::diffusion {
namespace {

namespace json = boost::json;

const std::string kFixtures = FG_DIFFUSION_FIXTURES "/tokenizer/";

std::string read(const std::string& name) {
    std::ifstream file(kFixtures + name, std::ios::binary);
    EXPECT_TRUE(file) << name;
    return {std::istreambuf_iterator<char>(file), {}};
}

Result<ClipTokenizer> load(
    const std::string& vocab, const std::string& merges, const std::string& config, const std::string& special
) {
    return ClipTokenizer::load(
        {.vocab = as_bytes(vocab),
         .merges = as_bytes(merges),
         .tokenizer_config = as_bytes(config),
         .special_tokens_map = as_bytes(special)}
    );
}

Result<ClipTokenizer> load_variant(const std::string& name) {
    return load(
        read("vocab.json"), read("merges.txt"), read(name + ".tokenizer_config.json"),
        read(name + ".special_tokens_map.json")
    );
}

// The same strings as tokenizer_fixture.py makes.
class HostileStrings {
  public:
    HostileStrings() {
        const json::value parts = json::parse(read("fragments.json"));
        for (const auto& part : parts.as_array()) {
            fragments_.emplace_back(part.as_string());
        }
    }
    std::string next() {
        std::string out;
        for (std::uint64_t parts = 1 + below(24); parts > 0; --parts) {
            out += fragments_[below(fragments_.size())];
            out += below(3) == 0 ? " " : "";
        }
        return out;
    }

  private:
    std::uint64_t below(std::uint64_t limit) {
        state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
        return (state_ >> 33U) % limit;
    }
    std::vector<std::string> fragments_;
    std::uint64_t state_ = 20261126;
};

std::uint32_t hash_ids(const std::vector<std::int64_t>& ids) {
    std::uint32_t value = 2166136261U;
    for (const std::int64_t id : ids) {
        for (unsigned shift = 0; shift < 32; shift += 8) {
            value = (value ^ (static_cast<std::uint32_t>(id) >> shift & 0xFFU)) * 16777619U;
        }
    }
    return value;
}

class Variants : public testing::TestWithParam<const char*> {};

TEST_P(Variants, ten_thousand_hostile_strings_as_transformers_has_them) {
    const std::string name = GetParam();
    const auto tokenizer = load_variant(name);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    const std::string hashes = read(name + ".hashes");
    const json::value expected = json::parse(read(name + ".expected.json"));
    const auto& shown = expected.at("shown").as_array();
    HostileStrings strings;
    int wrong = 0;
    for (std::size_t i = 0; i < hashes.size() / 4 && wrong < 5; ++i) {
        const std::string text = strings.next();
        const auto ids = tokenizer->encode_padded(text, tokenizer->max_length());
        ASSERT_TRUE(ids) << ids.error().message;
        std::uint32_t hash = 0;
        std::memcpy(&hash, hashes.data() + 4 * i, 4);
        if (hash_ids(*ids) != hash) {
            ++wrong;
            ADD_FAILURE() << name << " " << i << ": " << text << "\n got "
                          << json::serialize(json::value_from(*ids)) << "\nwant "
                          << (i < shown.size() ? json::serialize(shown[i]) : "");
        }
    }
    EXPECT_EQ(hashes.size(), 40'000U);
}

INSTANTIATE_TEST_SUITE_P(
    clip_tokenizer, Variants, testing::Values("sd15", "sd21", "modern", "short"),
    [](const auto& variant) { return std::string(variant.param); }
);

TEST(clip_tokenizer, pads_with_the_configured_token) {
    const auto sd15 = load_variant("sd15");
    const auto sd21 = load_variant("sd21");
    ASSERT_TRUE(sd15 && sd21);
    EXPECT_EQ(sd15->pad_id(), sd15->end_id());
    EXPECT_EQ(sd21->pad_id(), 0);
    EXPECT_EQ(sd21->encode_padded("", 4).value(), (std::vector<std::int64_t>{899, 900, 0, 0}));
    EXPECT_EQ(sd15->encode("").value(), (std::vector<std::int64_t>{899, 900}));
    EXPECT_EQ(load_variant("short")->encode(std::string(3000, '9')).value().size(), 32U);
    EXPECT_EQ(sd15->encode_padded(std::string(3000, '9'), 16).value().back(), 900);
}

TEST(clip_tokenizer, refuses_prompts_that_are_not_text) {
    const auto tokenizer = load_variant("sd15");
    ASSERT_TRUE(tokenizer);
    for (const char* text : {"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "\x80"}) {
        const auto ids = tokenizer->encode(text);
        ASSERT_FALSE(ids) << text;
        EXPECT_EQ(ids.error().code, Errc::kInvalidArgument);
        EXPECT_EQ(ids.error().field, "prompt");
    }
    EXPECT_EQ(tokenizer->encode(std::string(kPromptBytesMax + 1, 'a')).error().code, Errc::kTooLarge);
    EXPECT_TRUE(tokenizer->encode(std::string(kPromptBytesMax, 'a')));
    EXPECT_TRUE(tokenizer->encode(std::string("a\0b", 3)));
}

TEST(clip_tokenizer, damaged_files_are_named) {
    const std::string vocab = read("vocab.json");
    const std::string merges = read("merges.txt");
    const struct {
        std::string vocab, merges, config, special, field;
        Errc code = Errc::kInvalidArgument;
    } cases[] = {
        {"[]", merges, "", "", "tokenizer/vocab.json"},
        {"{", merges, "", "", "tokenizer/vocab.json"},
        {"{}", merges, "", "", "tokenizer/vocab.json"},
        {R"({"a":-1})", merges, "", "", "tokenizer/vocab.json"},
        {R"({"a":"b"})", merges, "", "", "tokenizer/vocab.json"},
        {std::string(kVocabBytesMax + 1, ' '), merges, "", "", "tokenizer/vocab.json", Errc::kTooLarge},
        {vocab, "v\na b c", "", "", "tokenizer/merges.txt"},
        {vocab, "v\nzz", "", "", "tokenizer/merges.txt"},
        {vocab, "v\nzzzz qqqq", "", "", "tokenizer/merges.txt"},
        {vocab, std::string(kMergesBytesMax + 1, 'a'), "", "", "tokenizer/merges.txt", Errc::kTooLarge},
        {vocab, merges, "[", "", "tokenizer/tokenizer_config.json"},
        {vocab, merges, R"({"model_max_length":1})", "", "tokenizer/tokenizer_config.json: model_max_length"},
        {vocab, merges, R"({"bos_token":7})", "", "tokenizer/tokenizer_config.json: bos_token"},
        {vocab, merges, R"({"pad_token":"nobody"})", "", "tokenizer/tokenizer_config.json: pad_token",
         Errc::kUnsupported},
        {vocab, merges, R"({"bos_token":{"content":"a","lstrip":true}})", "",
         "tokenizer/tokenizer_config.json: bos_token: lstrip", Errc::kUnsupported},
        {vocab, merges, "", R"({"eos_token":""})", "tokenizer/special_tokens_map.json: eos_token"},
    };
    for (const auto& c : cases) {
        const auto result = load(c.vocab, c.merges, c.config, c.special);
        ASSERT_FALSE(result) << c.field;
        EXPECT_EQ(result.error().field, c.field) << result.error().message;
        EXPECT_EQ(result.error().code, c.code) << result.error().message;
    }
    EXPECT_TRUE(load(vocab, merges, R"({"model_max_length":1e30})", ""));
}

}  // namespace
}  // namespace framegrid::diffusion
