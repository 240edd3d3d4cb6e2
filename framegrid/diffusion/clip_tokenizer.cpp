#include <framegrid/diffusion/clip_tokenizer.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <queue>
#include <utility>

#include <boost/json.hpp>

#include <framegrid/diffusion/json_reader.hpp>
#include <framegrid/diffusion/unicode_text.hpp>

namespace framegrid::diffusion {
namespace {

namespace json = boost::json;

constexpr std::string_view kVocabFile = "tokenizer/vocab.json";
constexpr std::string_view kMergesFile = "tokenizer/merges.txt";
constexpr std::string_view kConfigFile = "tokenizer/tokenizer_config.json";
constexpr std::string_view kSpecialFile = "tokenizer/special_tokens_map.json";
constexpr std::string_view kWordEnd = "</w>";
constexpr std::string_view kStartDefault = "<|startoftext|>";
constexpr std::string_view kEndDefault = "<|endoftext|>";
constexpr std::array<std::string_view, 7> kContractions{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

std::unexpected<Error> bad(std::string_view file, const std::string& what) {
    return fail(Errc::kInvalidArgument, field_name(file, what), std::string(file));
}

// The printable character that stands for a byte in vocab.json, as UTF-8.
std::array<std::string, 256> stand_ins() {
    std::array<std::string, 256> out;
    unsigned next = 256;
    for (unsigned byte = 0; byte < 256; ++byte) {
        const bool plain =
            (byte >= 33 && byte < 127) || (byte >= 161 && byte < 173) || (byte >= 174 && byte < 256);
        const unsigned point = plain ? byte : next++;
        std::string& text = out[byte];
        if (point < 0x80) {
            text.push_back(static_cast<char>(point));
        } else {
            text.push_back(static_cast<char>(0xC0U | (point >> 6U)));
            text.push_back(static_cast<char>(0x80U | (point & 0x3FU)));
        }
    }
    return out;
}

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32U | static_cast<std::uint32_t>(right);
}

// Cuts the next part that CLIP's pattern matches off `text`; empty when none is left.
std::string_view take_word(std::string_view& text) {
    while (!text.empty()) {
        for (const std::string_view contraction : kContractions) {
            if (text.starts_with(contraction)) {
                text.remove_prefix(contraction.size());
                return contraction;
            }
        }
        const std::string_view whole = text;
        const CharClass kind = classify(take_code_point(text));
        if (kind == CharClass::kSpace) {
            continue;
        }
        while (kind != CharClass::kNumber && !text.empty()) {
            std::string_view rest = text;
            if (classify(take_code_point(rest)) != kind) {
                break;
            }
            text = rest;
        }
        return whole.substr(0, whole.size() - text.size());
    }
    return {};
}

std::string_view take_line(std::string_view& text) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
}

bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// The parts of a line between blanks, at most three.
std::vector<std::string_view> split_line(std::string_view line) {
    std::vector<std::string_view> out;
    while (out.size() < 3) {
        while (!line.empty() && is_blank(line.front())) {
            line.remove_prefix(1);
        }
        if (line.empty()) {
            break;
        }
        const auto size = static_cast<std::size_t>(std::ranges::find_if(line, is_blank) - line.begin());
        out.push_back(line.substr(0, size));
        line.remove_prefix(size);
    }
    return out;
}

}  // namespace

// Which tokens are special, from the two configurations. Exports differ: a token is a string or an object,
// and newer ones list all of them under `added_tokens_decoder`, which then alone counts.
class ClipTokenizer::Configs {
  public:
    static Result<Configs> parse(const TokenizerFiles& files) {
        Configs out;
        if (!files.tokenizer_config.empty()) {
            FG_TRY(object, parse_json_object(files.tokenizer_config, kConfigFile, kConfigBytesMax));
            out.config_ = std::move(object);
        }
        if (!files.special_tokens_map.empty()) {
            FG_TRY(object, parse_json_object(files.special_tokens_map, kSpecialFile, kConfigBytesMax));
            out.special_ = std::move(object);
        }
        return out;
    }

    Result<int> max_length() const {
        JsonReader reader(config_, kConfigFile);
        // transformers writes 1e30 when there is no limit.
        const double length = reader.number("model_max_length", 77, 3, 1e31);
        FG_CHECK(reader.finish());
        return length > kTokensMax ? 77 : static_cast<int>(length);
    }

    // `key`: "bos_token", ...
    Result<Special> token(std::string_view key, std::string_view fallback, bool text_is_normalized) const {
        const json::object* decoder = added_tokens();
        const bool from_map = decoder == nullptr && special_.contains(key) && !special_.at(key).is_null();
        const json::object& source = from_map ? special_ : config_;
        const std::string field = field_name(from_map ? kSpecialFile : kConfigFile, key);
        Special out{.content = std::string(fallback), .id = 0, .normalized = text_is_normalized};
        if (const json::value* value = source.if_contains(key); value != nullptr && !value->is_null()) {
            if (value->is_object()) {
                FG_TRY(read, added_token(value->get_object(), field, !from_map));
                out = std::move(read);
            } else if (value->is_string()) {
                out.content = std::string(value->get_string());
            } else {
                return fail(Errc::kInvalidArgument, field + " must be a string or an object", field);
            }
        }
        if (decoder != nullptr) {
            FG_TRY(listed, find_listed(*decoder, out.content));
            out = listed ? std::move(*listed) : std::move(out);
        }
        if (out.content.empty() || out.content.size() > kTokenBytesMax) {
            return fail(Errc::kInvalidArgument, field + " must have 1 to 1024 bytes", field);
        }
        return out;
    }

    // Every listed token, also those that have no role.
    Result<std::vector<Special>> listed() const {
        std::vector<Special> out;
        if (const json::object* decoder = added_tokens()) {
            for (const auto& item : *decoder) {
                if (!item.value().is_object() || out.size() == 1024) {
                    return bad(kConfigFile, "added_tokens_decoder must hold at most 1024 objects");
                }
                FG_TRY(
                    read, added_token(
                              item.value().get_object(), field_name(kConfigFile, "added_tokens_decoder"), true
                          )
                );
                out.push_back(std::move(read));
            }
        }
        return out;
    }

  private:
    const json::object* added_tokens() const {
        const json::value* value = config_.if_contains("added_tokens_decoder");
        return value != nullptr && value->is_object() ? &value->get_object() : nullptr;
    }

    static Result<std::optional<Special>> find_listed(const json::object& decoder, std::string_view content) {
        for (const auto& item : decoder) {
            const json::object* object = item.value().if_object();
            const json::value* text = object == nullptr ? nullptr : object->if_contains("content");
            if (text != nullptr && text->is_string() && text->get_string() == content) {
                return added_token(*object, field_name(kConfigFile, "added_tokens_decoder"), true);
            }
        }
        return std::nullopt;
    }

    static Result<Special> added_token(const json::object& object, std::string_view field, bool plain) {
        JsonReader reader(object, field);
        for (const std::string_view key : {"lstrip", "rstrip", "single_word"}) {
            reader.expect(key, false);
        }
        Special out;
        out.content = reader.text("content", "", kTokenBytesMax);
        const bool special = !plain || reader.boolean("special", false);
        out.normalized = reader.boolean("normalized", !special);
        if (out.content.empty()) {
            reader.wrong("content", "must not be empty");
        }
        FG_CHECK(reader.finish());
        return out;
    }

    json::object config_;
    json::object special_;
};

Result<ClipTokenizer> ClipTokenizer::load(const TokenizerFiles& files) {
    ClipTokenizer out;
    FG_CHECK(out.read_vocab(files.vocab));
    FG_CHECK(out.read_merges(files.merges));
    out.index_bytes();
    FG_TRY(configs, Configs::parse(files));
    FG_TRY(max_length, configs.max_length());
    out.max_length_ = max_length;
    FG_TRY(found, configs.listed());
    // Where two name the same token, the first one's kind counts.
    for (const auto& [key, fallback, normalized, id] :
         {std::tuple{"bos_token", kStartDefault, true, &out.start_},
          std::tuple{"eos_token", kEndDefault, true, &out.end_},
          std::tuple{"unk_token", kEndDefault, true, &out.unknown_},
          std::tuple{"pad_token", kEndDefault, false, &out.pad_}}) {
        FG_TRY(special, configs.token(key, fallback, normalized));
        const auto known = out.vocab_.find(special.content);
        if (known == out.vocab_.end()) {
            return fail(
                Errc::kUnsupported, std::string(key) + " is not in vocab.json", field_name(kConfigFile, key)
            );
        }
        *id = known->second;
        found.push_back(std::move(special));
    }
    for (Special& special : found) {
        const auto known = out.vocab_.find(special.content);
        if (known == out.vocab_.end()) {
            return fail(
                Errc::kUnsupported, "an added token is not in vocab.json",
                field_name(kConfigFile, "added_tokens_decoder")
            );
        }
        special.id = known->second;
        const auto same = [&](const Special& other) { return other.id == special.id; };
        if (std::ranges::none_of(out.specials_, same)) {
            special.content = special.normalized ? compose_and_lower(special.content) : special.content;
            out.specials_.push_back(std::move(special));
        }
    }
    return out;
}

Result<void> ClipTokenizer::read_vocab(BytesView bytes) {
    FG_TRY(object, parse_json_object(bytes, kVocabFile, kVocabBytesMax));
    if (object.empty() || object.size() > kVocabTokensMax) {
        return bad(kVocabFile, "must hold 1 to " + std::to_string(kVocabTokensMax) + " tokens");
    }
    vocab_.reserve(object.size());
    for (const auto& item : object) {
        if (item.key().size() > kTokenBytesMax || !item.value().is_int64() || item.value().get_int64() < 0 ||
            item.value().get_int64() >= static_cast<std::int64_t>(kVocabTokensMax)) {
            return bad(kVocabFile, "must map tokens of at most 1024 bytes to ids below 200000");
        }
        const std::int64_t id = item.value().get_int64();
        vocab_.emplace(std::string(item.key()), static_cast<std::int32_t>(id));
        ids_end_ = std::max(ids_end_, id + 1);
    }
    return {};
}

Result<void> ClipTokenizer::read_merges(BytesView bytes) {
    if (bytes.size() > kMergesBytesMax) {
        return fail(Errc::kTooLarge, "tokenizer/merges.txt is over its limit", std::string(kMergesFile));
    }
    std::string_view text = as_text(bytes);
    while (!text.empty() && is_blank(text.back())) {
        text.remove_suffix(1);
    }
    take_line(text);  // the version
    for (std::size_t count = 0; count < kMergesMax && !text.empty(); ++count) {
        const auto parts = split_line(take_line(text));
        if (parts.size() != 2) {
            return bad(kMergesFile, "line " + std::to_string(count + 2) + " must hold two tokens");
        }
        if (auto added = add_merge(parts[0], parts[1]); !added) {
            return fail(std::move(added).error().with_context("line " + std::to_string(count + 2)));
        }
    }
    return {};
}

Result<void> ClipTokenizer::add_merge(std::string_view left, std::string_view right) {
    if (left.size() + right.size() > kTokenBytesMax) {
        return bad(kMergesFile, "a token is too long");
    }
    std::array<std::int32_t, 3> ids{};
    const std::array<std::string, 3> tokens{
        std::string(left), std::string(right), std::string(left) + std::string(right)
    };
    for (std::size_t i = 0; i < 3; ++i) {
        const auto known = vocab_.find(tokens[i]);
        if (known == vocab_.end()) {
            return bad(kMergesFile, "a token is not in vocab.json");
        }
        ids[i] = known->second;
    }
    merges_.emplace(
        pair_key(ids[0], ids[1]), Merge{.rank = static_cast<std::uint32_t>(merges_.size()), .merged = ids[2]}
    );
    return {};
}

void ClipTokenizer::index_bytes() {
    const auto names = stand_ins();
    byte_ids_.assign(512, -1);
    for (std::size_t i = 0; i < 512; ++i) {
        const auto known = vocab_.find(i < 256 ? names[i] : names[i - 256] + std::string(kWordEnd));
        byte_ids_[i] = known == vocab_.end() ? -1 : known->second;
    }
}

Result<std::vector<std::int64_t>> ClipTokenizer::encode(std::string_view text) const {
    if (text.size() > kPromptBytesMax) {
        return fail(
            Errc::kTooLarge, "the prompt is over " + std::to_string(kPromptBytesMax) + " bytes", "prompt"
        );
    }
    if (!is_utf8(text)) {
        return fail(Errc::kInvalidArgument, "the prompt is not UTF-8", "prompt");
    }
    std::vector<std::int64_t> ids{start_};
    append_text(text, false, ids);
    if (ids.size() > static_cast<std::size_t>(max_length_ - 1)) {
        ids.resize(static_cast<std::size_t>(max_length_ - 1));
    }
    ids.push_back(end_);
    return ids;
}

Result<std::vector<std::int64_t>> ClipTokenizer::encode_padded(std::string_view text, int length) const {
    FG_ASSERT(length >= 2);
    FG_TRY(ids, encode(text));
    if (ids.size() > static_cast<std::size_t>(length)) {
        ids.resize(static_cast<std::size_t>(length) - 1);
        ids.push_back(end_);
    }
    ids.resize(static_cast<std::size_t>(length), pad_);
    return ids;
}

// First the tokens that are looked for as written, then, in what is between them and normalised, the others.
void ClipTokenizer::append_text(std::string_view text, bool normalized, std::vector<std::int64_t>& ids)
    const {
    while (!text.empty()) {
        std::size_t at = 0;
        const Special* special = find_special(text, normalized, at);
        const std::string_view before = text.substr(0, at);
        if (normalized) {
            append_words(before, ids);
        } else if (!before.empty()) {
            append_text(compose_and_lower(before), true, ids);
        }
        if (special == nullptr) {
            return;
        }
        ids.push_back(special->id);
        text.remove_prefix(at + special->content.size());
    }
}

// The leftmost special token, the longest of those at one place; `at` is the text's size when there is none.
const ClipTokenizer::Special* ClipTokenizer::find_special(
    std::string_view text, bool normalized, std::size_t& at
) const {
    const Special* found = nullptr;
    at = text.size();
    for (const Special& special : specials_) {
        if (special.normalized != normalized) {
            continue;
        }
        const std::size_t place = text.find(special.content);
        if (place < at ||
            (place == at && found != nullptr && special.content.size() > found->content.size())) {
            found = &special;
            at = place;
        }
    }
    return found;
}

void ClipTokenizer::append_words(std::string_view text, std::vector<std::int64_t>& ids) const {
    while (true) {
        const std::string_view word = take_word(text);
        if (word.empty()) {
            return;
        }
        append_word(word, ids);
    }
}

// The bytes as a linked list; the best pair is joined first, the leftmost of equals, until none is left.
void ClipTokenizer::append_word(std::string_view bytes, std::vector<std::int64_t>& ids) const {
    struct Symbol {
        std::int32_t id = 0;
        std::int32_t before = -1;
        std::int32_t after = -1;
        bool alive = true;
    };
    struct Candidate {
        std::uint32_t rank = 0;
        std::int32_t at = 0;
        std::uint64_t key = 0;
        // The greatest of a std::priority_queue is the best.
        bool operator<(const Candidate& other) const {
            return std::pair(rank, at) > std::pair(other.rank, other.at);
        }
    };
    std::vector<Symbol> symbols(bytes.size());
    std::priority_queue<Candidate> queue;
    const auto consider = [&](std::int32_t at) {
        const Symbol& left = symbols[static_cast<std::size_t>(at)];
        const auto key = pair_key(left.id, symbols[static_cast<std::size_t>(left.after)].id);
        if (const auto merge = merges_.find(key); merge != merges_.end()) {
            queue.push({.rank = merge->second.rank, .at = at, .key = key});
        }
    };
    const auto count = static_cast<std::int32_t>(bytes.size());
    for (std::int32_t i = 0; i < count; ++i) {
        const auto byte = static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
        const std::int32_t id = byte_ids_[i + 1 == count ? byte + 256U : byte];
        symbols[static_cast<std::size_t>(i)] = {
            .id = id < 0 ? static_cast<std::int32_t>(unknown_) : id,
            .before = i - 1,
            .after = i + 1 == count ? -1 : i + 1
        };
    }
    for (std::int32_t i = 0; i + 1 < count; ++i) {
        consider(i);
    }
    while (!queue.empty()) {
        const Candidate best = queue.top();
        queue.pop();
        Symbol& left = symbols[static_cast<std::size_t>(best.at)];
        if (!left.alive || left.after < 0 ||
            pair_key(left.id, symbols[static_cast<std::size_t>(left.after)].id) != best.key) {
            continue;
        }
        Symbol& right = symbols[static_cast<std::size_t>(left.after)];
        left.id = merges_.at(best.key).merged;
        left.after = right.after;
        right.alive = false;
        if (left.after >= 0) {
            symbols[static_cast<std::size_t>(left.after)].before = best.at;
            consider(best.at);
        }
        if (left.before >= 0) {
            consider(left.before);
        }
    }
    for (const Symbol& symbol : symbols) {
        if (symbol.alive) {
            ids.push_back(symbol.id);
        }
    }
}

}  // namespace framegrid::diffusion
