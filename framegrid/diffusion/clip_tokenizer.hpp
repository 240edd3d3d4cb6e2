// CLIP's tokenizer: byte-level byte-pair encoding, from the files of a hub export.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::diffusion {

// The files of a `tokenizer/` folder. The last two may be empty (CLIP's defaults).
struct TokenizerFiles {
    BytesView vocab;               // vocab.json: token to id
    BytesView merges;              // merges.txt: one pair per line, the best first
    BytesView tokenizer_config;    // tokenizer_config.json
    BytesView special_tokens_map;  // special_tokens_map.json
};

inline constexpr std::size_t kVocabBytesMax = 8 * 1024 * 1024;
inline constexpr std::size_t kVocabTokensMax = 200'000;
inline constexpr std::size_t kTokenBytesMax = 1024;
inline constexpr std::size_t kMergesBytesMax = 8 * 1024 * 1024;
inline constexpr std::size_t kMergesMax = 48'894;  // as many as transformers reads
inline constexpr int kTokensMax = 4096;            // of model_max_length
inline constexpr std::size_t kPromptBytesMax = 16 * 1024;

// Gives the ids that transformers' CLIPTokenizerFast gives (README.md says where Unicode versions differ).
// Immutable: may be shared between threads.
class ClipTokenizer {
  public:
    // kTooLarge, kInvalidArgument (the field names file and key), kUnsupported: an option that nobody uses
    // with CLIP.
    static Result<ClipTokenizer> load(const TokenizerFiles& files);

    // The ids of a prompt: start, text, end. At most max_length() of them (the text is cut), and not padded.
    // kInvalidArgument: not UTF-8; kTooLarge: over kPromptBytesMax.
    Result<std::vector<std::int64_t>> encode(std::string_view text) const;
    // The same, padded to `length` ids (cut to them when it is shorter; at least 2).
    Result<std::vector<std::int64_t>> encode_padded(std::string_view text, int length) const;

    int max_length() const { return max_length_; }
    std::int64_t pad_id() const { return pad_; }
    std::int64_t end_id() const { return end_; }
    std::int64_t ids_end() const { return ids_end_; }  // one more than the largest id

  private:
    struct Merge {
        std::uint32_t rank = 0;
        std::int32_t merged = 0;
    };
    // A token that stands for itself in the text.
    struct Special {
        std::string content;
        std::int64_t id = 0;
        bool normalized = false;  // looked for after normalisation
    };
    class Configs;

    Result<void> read_vocab(BytesView bytes);
    Result<void> read_merges(BytesView bytes);
    Result<void> add_merge(std::string_view left, std::string_view right);
    void index_bytes();
    void append_text(std::string_view text, bool normalized, std::vector<std::int64_t>& ids) const;
    void append_words(std::string_view text, std::vector<std::int64_t>& ids) const;
    void append_word(std::string_view bytes, std::vector<std::int64_t>& ids) const;
    const Special* find_special(std::string_view text, bool normalized, std::size_t& at) const;

    std::unordered_map<std::string, std::int32_t> vocab_;
    std::unordered_map<std::uint64_t, Merge> merges_;  // key: left id << 32 | right id
    std::vector<std::int32_t> byte_ids_;               // 256 bytes, then 256 that end a word; -1: unknown
    std::vector<Special> specials_;
    std::int64_t start_ = 0;
    std::int64_t end_ = 0;
    std::int64_t pad_ = 0;
    std::int64_t unknown_ = 0;
    std::int64_t ids_end_ = 0;
    int max_length_ = 77;
};

}  // namespace framegrid::diffusion
