// The network that is called once per step, whatever its export calls its inputs.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include <framegrid/diffusion/network.hpp>
#include <framegrid/diffusion/pipeline_config.hpp>

namespace framegrid::diffusion {

// The inputs of one step of one generation, by the network's names; `rows` rows on axis 0 (the half without
// the prompt first).
struct StepInput {
    NamedTensors tensors;
    std::int64_t rows = 1;
    std::string batch{};  // steps of one pipeline with equal ones may share a call
};

// What a denoiser may be conditioned on besides sample and time; axis 0 is the row.
struct StepConditions {
    api::Tensor hidden;                           // encoder_hidden_states [rows, tokens, width]
    std::optional<api::Tensor> pooled{};          // text_embeds [rows, width]
    std::optional<api::Tensor> time_ids{};        // time_ids or added_time_ids [rows, n]
    std::optional<api::Tensor> guidance_embed{};  // timestep_cond [rows, width]
};

class Denoiser {
  public:
    static Result<Denoiser> load(const PipelineConfig& config, Network network);

    StepInput make_input(api::Tensor sample, float time, const StepConditions& conditions) const;
    // The shape that the network's declaration fixes for its sample (-1: free), rows first.
    const std::vector<std::int64_t>& sample_shape() const { return network_.input("sample")->shape; }
    // The predictions of several steps, in order. Steps that may share calls do, of at most `rows_max` rows.
    Result<std::vector<api::Tensor>> predict(std::span<const StepInput* const> steps, std::int64_t rows_max)
        const;

  private:
    explicit Denoiser(Network network) : network_(std::move(network)) {}
    Result<void> bind(const PipelineConfig& config);
    std::string batch_of(const StepInput& step) const;
    Result<void> predict_group(
        std::span<const StepInput* const> steps, std::span<const std::size_t> members, std::int64_t rows_max,
        std::vector<api::Tensor>& out
    ) const;

    Network network_;
    std::size_t output_ = 0;
    std::int64_t out_channels_ = 4;
    std::int64_t channel_axis_ = 1;
    bool time_is_float_ = true;
    bool one_time_ = false;  // the time has no axis, or one of size 1
    std::size_t time_rank_ = 1;
    std::string time_ids_;  // the name of that input; empty: none
};

}  // namespace framegrid::diffusion
