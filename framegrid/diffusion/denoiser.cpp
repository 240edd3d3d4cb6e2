#include <framegrid/diffusion/denoiser.hpp>

#include <algorithm>

#include <framegrid/diffusion/tensors.hpp>

#include <fmt/format.h>

namespace framegrid::diffusion {
namespace {

constexpr std::string_view kSample = "sample";
constexpr std::string_view kTime = "timestep";
constexpr std::string_view kHidden = "encoder_hidden_states";
constexpr std::string_view kPooled = "text_embeds";
constexpr std::string_view kTimeIds = "time_ids";
constexpr std::string_view kAddedTimeIds = "added_time_ids";
constexpr std::string_view kGuidance = "timestep_cond";

}  // namespace

Result<Denoiser> Denoiser::load(const PipelineConfig& config, Network network) {
    Denoiser out(std::move(network));
    FG_CHECK(out.bind(config));
    return out;
}

Result<void> Denoiser::bind(const PipelineConfig& config) {
    const bool is_xl = config.kind == PipelineKind::kStableDiffusionXl;
    const bool is_svd = config.kind == PipelineKind::kStableVideoDiffusion;
    if (is_xl) {
        FG_CHECK(network_.expect_inputs({kSample, kTime, kHidden, kPooled, kTimeIds}, {kGuidance}));
        FG_CHECK(network_.expect_input(kPooled, true, {-1, -1}));
        FG_CHECK(network_.expect_input(kTimeIds, true, {-1, 6}));
        time_ids_ = kTimeIds;
    } else if (is_svd) {
        FG_CHECK(network_.expect_inputs({kSample, kTime, kHidden, kAddedTimeIds}, {}));
        FG_CHECK(network_.expect_input(kAddedTimeIds, true, {-1, 3}));
        time_ids_ = kAddedTimeIds;
    } else {
        FG_CHECK(network_.expect_inputs({kSample, kTime, kHidden}, {kGuidance}));
    }
    const std::int64_t in = config.unet.in_channels;
    channel_axis_ = is_svd ? 2 : 1;
    const Shape sample = is_svd              ? Shape{-1, -1, in, -1, -1}
                         : config.is_video() ? Shape{-1, in, -1, -1, -1}
                                             : Shape{-1, in, -1, -1};
    FG_CHECK(network_.expect_input(kSample, true, sample));
    FG_CHECK(network_.expect_input(kHidden, true, {-1, -1, -1}));
    if ((network_.input(kGuidance) != nullptr) != (config.unet.time_cond_width > 0)) {
        return network_.unsupported(kGuidance, "must be an input exactly if time_cond_proj_dim is set");
    }
    const api::TensorInfo* time = network_.input(kTime);
    time_is_float_ = time->is_float;
    time_rank_ = time->shape.size();
    if (time_rank_ > 1) {
        return network_.unsupported(kTime, "must have at most one axis");
    }
    one_time_ = time_rank_ == 0 || (time->shape[0] == 1 && network_.fixed_rows(kSample) != 1);
    output_ = network_.output("out_sample").value_or(0);
    out_channels_ = config.unet.out_channels;
    return {};
}

StepInput Denoiser::make_input(api::Tensor sample, float time, const StepConditions& conditions) const {
    const std::int64_t rows = sample.shape[0];
    const Shape shape = time_rank_ == 0 ? Shape{} : Shape{one_time_ ? 1 : rows};
    StepInput out{.tensors = {}, .rows = rows};
    out.tensors.emplace_back(kSample, std::move(sample));
    if (time_is_float_) {
        out.tensors.emplace_back(kTime, make_floats(shape, time));
    } else {
        const auto whole = static_cast<std::int64_t>(time);
        out.tensors.emplace_back(
            kTime, make_integers(shape, std::vector<std::int64_t>(element_count(shape), whole))
        );
    }
    out.tensors.emplace_back(kHidden, conditions.hidden);
    if (conditions.pooled && network_.input(kPooled) != nullptr) {
        out.tensors.emplace_back(kPooled, *conditions.pooled);
    }
    if (conditions.time_ids && !time_ids_.empty()) {
        out.tensors.emplace_back(time_ids_, *conditions.time_ids);
    }
    if (conditions.guidance_embed && network_.input(kGuidance) != nullptr) {
        out.tensors.emplace_back(kGuidance, *conditions.guidance_embed);
    }
    out.batch = batch_of(out);
    return out;
}

// Rows of equal shapes can be put under each other; the time has to agree where the network takes only one.
std::string Denoiser::batch_of(const StepInput& step) const {
    std::string out;
    for (const auto& [name, tensor] : step.tensors) {
        out += name;
        for (std::size_t axis = 1; axis < tensor.shape.size(); ++axis) {
            out += fmt::format(" {}", tensor.shape[axis]);
        }
        if (name == kTime && one_time_) {
            std::visit(
                [&](const auto& values) { out += fmt::format(" at {}", values.front()); }, tensor.values
            );
        }
        out += ';';
    }
    return out;
}

Result<std::vector<api::Tensor>> Denoiser::predict(
    std::span<const StepInput* const> steps, std::int64_t rows_max
) const {
    std::vector<api::Tensor> out(steps.size());
    std::vector<bool> done(steps.size());
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (done[i]) {
            continue;
        }
        std::vector<std::size_t> members;
        for (std::size_t k = i; k < steps.size(); ++k) {
            if (!done[k] && steps[k]->batch == steps[i]->batch) {
                members.push_back(k);
                done[k] = true;
            }
        }
        FG_CHECK(predict_group(steps, members, rows_max, out));
    }
    return out;
}

Result<void> Denoiser::predict_group(
    std::span<const StepInput* const> steps, std::span<const std::size_t> members, std::int64_t rows_max,
    std::vector<api::Tensor>& out
) const {
    const auto& first = steps[members.front()]->tensors;
    NamedTensors inputs;
    for (std::size_t t = 0; t < first.size(); ++t) {
        const auto& name = first[t].first;
        if (members.size() == 1 || (name == kTime && one_time_)) {
            inputs.push_back(first[t]);
            continue;
        }
        std::vector<const api::Tensor*> parts;
        for (const std::size_t member : members) {
            parts.push_back(&steps[member]->tensors[t].second);
        }
        inputs.emplace_back(name, concat_rows(parts));
    }
    Shape row = inputs.front().second.shape;
    row[static_cast<std::size_t>(channel_axis_)] = out_channels_;
    row.erase(row.begin());
    FG_TRY(all, network_.run_rows(inputs, output_, row, rows_max));
    std::int64_t begin = 0;
    for (const std::size_t member : members) {
        out[member] = slice_rows(all, begin, steps[member]->rows);
        begin += steps[member]->rows;
    }
    return {};
}

}  // namespace framegrid::diffusion
