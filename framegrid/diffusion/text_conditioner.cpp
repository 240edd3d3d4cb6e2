#include <framegrid/diffusion/text_conditioner.hpp>

#include <algorithm>
#include <charconv>

#include <framegrid/diffusion/tensors.hpp>

namespace framegrid::diffusion {
namespace {

constexpr std::string_view kHiddenPrefix = "hidden_states.";

BytesView view(const PipelineFiles& files, std::string_view folder, std::string_view name) {
    const auto it = files.find(std::string(folder) + std::string(name));
    return it == files.end() ? BytesView{} : it->second.view();
}

// N of "hidden_states.N"; -1: another name.
int layer_of(std::string_view name) {
    int layer = -1;
    if (name.starts_with(kHiddenPrefix)) {
        name.remove_prefix(kHiddenPrefix.size());
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
        layer = error == std::errc{} && end == name.data() + name.size() ? layer : -1;
    }
    return layer;
}

// [rows, tokens, a] and [rows, tokens, b] to [rows, tokens, a + b].
api::Tensor join_widths(const api::Tensor& a, const api::Tensor& b) {
    const Shape flat_a{a.shape[0] * a.shape[1], a.shape[2]};
    const Shape flat_b{b.shape[0] * b.shape[1], b.shape[2]};
    const api::Tensor left = make_floats(flat_a, a.floats());
    const api::Tensor right = make_floats(flat_b, b.floats());
    api::Tensor out = concat_channels(std::vector<const api::Tensor*>{&left, &right});
    out.shape = {a.shape[0], a.shape[1], a.shape[2] + b.shape[2]};
    return out;
}

api::Tensor with_zeros_before(const api::Tensor& row) {
    const api::Tensor zeros = make_floats(row.shape);
    return concat_rows(std::vector<const api::Tensor*>{&zeros, &row});
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    return first == std::string_view::npos ? std::string_view()
                                           : text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// What the encoder number `index` of `count` is to read of a text.
std::string text_for(const std::string& text, std::size_t index, std::size_t count) {
    if (count < 2 || text.find('|') == std::string::npos) {
        return text;
    }
    std::string_view rest = text;
    const std::string_view first = trimmed(rest.substr(0, rest.find('|')));
    for (std::size_t i = 0; i < index; ++i) {
        const auto bar = rest.find('|');
        rest = bar == std::string_view::npos ? std::string_view() : rest.substr(bar + 1);
    }
    const std::string_view own = trimmed(rest.substr(0, rest.find('|')));
    return std::string(own.empty() ? first : own);
}

}  // namespace

Result<TextEncoder> TextEncoder::load(
    const PipelineFiles& files, std::string_view folder, Network network, bool penultimate, bool pooled
) {
    if (view(files, folder, "/vocab.json").empty() || view(files, folder, "/merges.txt").empty()) {
        std::string path(folder);
        path += "/vocab.json";
        return fail(Errc::kNotFound, "the pipeline has no " + path + " and merges.txt", path);
    }
    FG_TRY(
        tokenizer, ClipTokenizer::load({
                       .vocab = view(files, folder, "/vocab.json"),
                       .merges = view(files, folder, "/merges.txt"),
                       .tokenizer_config = view(files, folder, "/tokenizer_config.json"),
                       .special_tokens_map = view(files, folder, "/special_tokens_map.json"),
                   })
    );
    TextEncoder out(std::move(tokenizer), std::move(network));
    FG_CHECK(out.network_.expect_inputs({"input_ids"}, {"attention_mask"}));
    FG_CHECK(out.network_.expect_input("input_ids", false, {-1, -1}));
    if (out.network_.input("attention_mask") != nullptr) {
        FG_CHECK(out.network_.expect_input("attention_mask", false, {-1, -1}));
    }
    const std::int64_t declared = out.network_.input("input_ids")->shape[1];
    if (declared > kTokensMax || declared == 0 || declared == 1) {
        return out.network_.unsupported("input_ids", "has a length that is not supported");
    }
    out.length_ = declared > 0 ? static_cast<int>(declared) : out.tokenizer_.max_length();
    FG_CHECK(out.choose_outputs(penultimate, pooled));
    return out;
}

Result<void> TextEncoder::choose_outputs(bool penultimate, bool pooled) {
    if (penultimate) {
        int last = -1;
        for (const api::TensorInfo& info : network_.outputs()) {
            last = std::max(last, layer_of(info.name));
        }
        const auto found = network_.output(std::string(kHiddenPrefix) + std::to_string(last - 1));
        if (last < 1 || !found) {
            return network_.unsupported("hidden_states", "are missing from the outputs");
        }
        hidden_ = *found;
    } else {
        hidden_ = network_.output("last_hidden_state").value_or(0);
    }
    if (pooled) {
        const std::size_t index = network_.output("text_embeds").value_or(0);
        if (network_.outputs()[index].shape.size() != 2) {
            return network_.unsupported("text_embeds", "is missing from the outputs");
        }
        pooled_ = index;
    }
    return {};
}

Result<TextConditioning> TextEncoder::encode(const std::vector<std::string>& texts) const {
    std::vector<std::int64_t> ids;
    for (const std::string& text : texts) {
        FG_TRY(row, tokenizer_.encode_padded(text, length_));
        ids.insert(ids.end(), row.begin(), row.end());
    }
    const Shape shape{static_cast<std::int64_t>(texts.size()), length_};
    NamedTensors inputs{{"input_ids", make_integers(shape, std::move(ids))}};
    if (network_.input("attention_mask") != nullptr) {
        inputs.emplace_back(
            "attention_mask", make_integers(shape, std::vector<std::int64_t>(element_count(shape), 1))
        );
    }
    FG_TRY(hidden, network_.run_rows(inputs, hidden_, {length_, -1}, shape[0]));
    TextConditioning out{.hidden = std::move(hidden), .pooled = std::nullopt};
    if (pooled_) {
        FG_TRY(pooled, network_.run_rows(inputs, *pooled_, {-1}, shape[0]));
        out.pooled = std::move(pooled);
    }
    return out;
}

Result<TextConditioning> encode_prompts(
    const std::vector<TextEncoder>& encoders, const std::string& prompt,
    const std::optional<std::string>& negative, bool guided, bool zeros_for_empty
) {
    FG_ASSERT(!encoders.empty());
    const bool zeros = guided && zeros_for_empty && !negative;
    const auto texts_for = [&](std::size_t index) {
        std::vector<std::string> texts{text_for(prompt, index, encoders.size())};
        if (guided && !zeros) {
            texts.insert(texts.begin(), text_for(negative.value_or(""), index, encoders.size()));
        }
        return texts;
    };
    FG_TRY(out, encoders.front().encode(texts_for(0)));
    for (std::size_t i = 1; i < encoders.size(); ++i) {
        FG_TRY(more, encoders[i].encode(texts_for(i)));
        if (more.hidden.shape[1] != out.hidden.shape[1]) {
            return fail(
                Errc::kUnsupported, "the two text encoders take prompts of different lengths",
                "text_encoder_2: input_ids"
            );
        }
        out.hidden = join_widths(out.hidden, more.hidden);
        out.pooled = more.pooled ? std::move(more.pooled) : std::move(out.pooled);
    }
    if (zeros) {
        out.hidden = with_zeros_before(out.hidden);
        if (out.pooled) {
            out.pooled = with_zeros_before(*out.pooled);
        }
    }
    return out;
}

}  // namespace framegrid::diffusion
