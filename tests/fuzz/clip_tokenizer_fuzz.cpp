// Vocabularies, merges and tokenizer configurations of strangers, and prompts: never a crash, and ids stay in
// range.
#include <array>
#include <cstddef>
#include <cstdint>

#include <framegrid/diffusion/clip_tokenizer.hpp>

namespace {

using namespace framegrid;

// The input's parts end at zero bytes; the last one is the prompt.
std::array<BytesView, 5> split(BytesView bytes) {
    std::array<BytesView, 5> out;
    for (std::size_t i = 0; i < out.size(); ++i) {
        std::size_t size = bytes.size();
        if (i + 1 < out.size()) {
            size = static_cast<std::size_t>(std::ranges::find(bytes, 0) - bytes.begin());
        }
        out[i] = bytes.first(size);
        bytes = bytes.subspan(std::min(size + 1, bytes.size()));
    }
    return out;
}

void check(const diffusion::ClipTokenizer& tokenizer, std::string_view text) {
    const auto ids = tokenizer.encode(text);
    if (!ids) {
        FG_ASSERT(ids.error().field == "prompt");
        return;
    }
    FG_ASSERT(ids->size() >= 2 && ids->size() <= static_cast<std::size_t>(tokenizer.max_length()));
    for (const std::int64_t id : *ids) {
        FG_ASSERT(id >= 0 && id < tokenizer.ids_end());
    }
    FG_ASSERT(tokenizer.encode_padded(text, 7)->size() == 7);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace framegrid::diffusion;
    constexpr std::string_view kVocab =
        R"({"a":0,"b":1,"c</w>":2,"ab":3,"abc</w>":4,"<|startoftext|>":5,"<|endoftext|>":6})";
    constexpr std::string_view kMerges = "#version\na b\nab c</w>\n";
    const auto parts = split({data, size});
    const auto own = ClipTokenizer::load(
        {.vocab = parts[0], .merges = parts[1], .tokenizer_config = parts[2], .special_tokens_map = parts[3]}
    );
    const auto known = ClipTokenizer::load(
        {.vocab = as_bytes(kVocab),
         .merges = as_bytes(kMerges),
         .tokenizer_config = parts[2],
         .special_tokens_map = parts[3]}
    );
    for (const auto* tokenizer : {&own, &known}) {
        if (*tokenizer) {
            check(**tokenizer, as_text(parts[4]));
            check(**tokenizer, as_text({data, size}));
        } else {
            FG_ASSERT(!tokenizer->error().message.empty() && !tokenizer->error().field.empty());
        }
    }
    return 0;
}
