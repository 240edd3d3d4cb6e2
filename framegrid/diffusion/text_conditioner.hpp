// A prompt to what the denoiser is conditioned on: one text encoder, or two side by side (SDXL).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/diffusion/clip_tokenizer.hpp>
#include <framegrid/diffusion/network.hpp>
#include <framegrid/diffusion/pipeline_config.hpp>

namespace framegrid::diffusion {

struct TextConditioning {
    api::Tensor hidden;                 // [rows, tokens, width]
    std::optional<api::Tensor> pooled;  // SDXL: [rows, width]
};

class TextEncoder {
  public:
    // `folder` holds the tokenizer's files. `penultimate`: the last layer but one instead of the last hidden
    // state; `pooled`: also the projected embedding of the whole text.
    static Result<TextEncoder> load(
        const PipelineFiles& files, std::string_view folder, Network network, bool penultimate, bool pooled
    );
    // One row per text. kInvalidArgument, kTooLarge: a text; kUnprocessable: the network.
    Result<TextConditioning> encode(const std::vector<std::string>& texts) const;

  private:
    TextEncoder(ClipTokenizer tokenizer, Network network)
        : tokenizer_(std::move(tokenizer)), network_(std::move(network)) {}
    Result<void> choose_outputs(bool penultimate, bool pooled);

    ClipTokenizer tokenizer_;
    Network network_;
    int length_ = 77;
    std::size_t hidden_ = 0;
    std::optional<std::size_t> pooled_;
};

// The halves for classifier-free guidance: row 0 without the prompt, row 1 with it; one row without guidance.
// `negative`: absent is the empty text, or zeros where the pipeline wants that. With several encoders "a | b"
// is "a" for the first and "b" for the second, in both texts (the network's AI API); those that get no text
// of their own take the first one.
Result<TextConditioning> encode_prompts(
    const std::vector<TextEncoder>& encoders, const std::string& prompt,
    const std::optional<std::string>& negative, bool guided, bool zeros_for_empty
);

}  // namespace framegrid::diffusion
