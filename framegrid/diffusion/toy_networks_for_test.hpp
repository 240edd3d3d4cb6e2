// Small stand-ins for the networks of a pipeline: arithmetic instead of weights, the declarations free to
// change.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <framegrid/diffusion/pipeline.hpp>
#include <framegrid/diffusion/replay_for_test.hpp>

namespace framegrid::diffusion::testing {

class ToyModel final : public api::TensorModel {
  public:
    using Inputs = std::map<std::string, const api::Tensor*, std::less<>>;
    using Answer = std::function<std::vector<api::Tensor>(const Inputs&)>;

    ToyModel(std::vector<api::TensorInfo> inputs, std::vector<api::TensorInfo> outputs, Answer does)
        : in(std::move(inputs)), out(std::move(outputs)), answer(std::move(does)) {}
    const std::vector<api::TensorInfo>& inputs() const override { return in; }
    const std::vector<api::TensorInfo>& outputs() const override { return out; }
    Result<std::vector<api::Tensor>> run(std::span<const api::NamedTensor> inputs) override {
        ++calls;
        if (error) {
            return fail(*error);
        }
        Inputs by_name;
        for (const auto& input : inputs) {
            by_name.emplace(input.name, input.tensor);
        }
        for (const api::TensorInfo& info : in) {
            const auto found = by_name.find(info.name);
            if (found == by_name.end() || found->second->shape.size() != info.shape.size() ||
                std::holds_alternative<std::vector<float>>(found->second->values) != info.is_float) {
                return fail(Errc::kInvalidArgument, "input " + info.name);
            }
            for (std::size_t i = 0; i < info.shape.size(); ++i) {
                if (info.shape[i] >= 0 && info.shape[i] != found->second->shape[i]) {
                    return fail(Errc::kInvalidArgument, "size of " + info.name);
                }
            }
        }
        return answer(by_name);
    }

    std::vector<api::TensorInfo> in;
    std::vector<api::TensorInfo> out;
    Answer answer;
    std::optional<Error> error;
    int calls = 0;
};

// A Stable Diffusion of 2 latent channels and factor 2.
class ToyPipeline {
  public:
    ToyPipeline() {
        files["model_index.json"] = Blob::copy_of(R"({"_class_name":"StableDiffusionPipeline"})");
        files["unet/config.json"] =
            Blob::copy_of(R"({"in_channels":2,"out_channels":2,"sample_size":4,"time_cond_proj_dim":null})");
        files["vae_decoder/config.json"] =
            Blob::copy_of(R"({"latent_channels":2,"block_out_channels":[4,4],"scaling_factor":2})");
        files["scheduler/scheduler_config.json"] = Blob::copy_of(
            R"({"_class_name":"EulerAncestralDiscreteScheduler","beta_schedule":"scaled_linear",)"
            R"("beta_start":0.00085,"beta_end":0.012})"
        );
        for (const char* name : {"vocab.json", "merges.txt"}) {
            files[std::string("tokenizer/") + name] =
                Blob::copy_of(read_fixture(std::string("tokenizer/") + name));
        }
    }

    Result<std::unique_ptr<Pipeline>> load(PipelineSettings settings = {}) {
        return Pipeline::load(
            files, {.text_encoder = &text, .unet = &unet, .vae_decoder = &decoder, .vae_encoder = &encoder},
            settings
        );
    }

    PipelineFiles files;
    ToyModel text{
        {{"input_ids", false, {-1, -1}}},
        {{"last_hidden_state", true, {-1, -1, 1}}},
        [](const ToyModel::Inputs& in) {
            const api::Tensor& ids = *in.at("input_ids");
            auto out = make_floats({ids.shape[0], ids.shape[1], 1});
            for (std::size_t i = 0; i < out.floats().size(); ++i) {
                out.floats()[i] = static_cast<float>(ids.integers()[i]) / 900;
            }
            return std::vector{out};
        }
    };
    // Per row: 0.9 sample + mean of the text / 50 + time / 100000.
    ToyModel unet{
        {{"sample", true, {-1, 2, -1, -1}},
         {"timestep", true, {-1}},
         {"encoder_hidden_states", true, {-1, -1, -1}}},
        {{"out_sample", true, {-1, 2, -1, -1}}},
        [](const ToyModel::Inputs& in) {
            const api::Tensor& sample = *in.at("sample");
            const api::Tensor& hidden = *in.at("encoder_hidden_states");
            const api::Tensor& time = *in.at("timestep");
            const auto rows = static_cast<std::size_t>(sample.shape[0]);
            auto out = make_floats({sample.shape[0], 2, sample.shape[2], sample.shape[3]});
            const std::size_t size = out.floats().size() / rows;
            const std::size_t size_in = sample.floats().size() / rows;
            const std::size_t words = hidden.floats().size() / rows;
            for (std::size_t i = 0; i < out.floats().size(); ++i) {
                const std::size_t row = i / size;
                float mean = 0;
                for (std::size_t k = 0; k < words; ++k) {
                    mean += hidden.floats()[row * words + k] / static_cast<float>(words);
                }
                const float t =
                    std::holds_alternative<std::vector<float>>(time.values)
                        ? time.floats()[std::min(row, time.floats().size() - 1)]
                        : static_cast<float>(time.integers()[std::min(row, time.integers().size() - 1)]);
                out.floats()[i] = sample.floats()[row * size_in + i % size] * 0.9F + mean / 50 + t / 100'000;
            }
            return std::vector{out};
        }
    };
    // Three planes of the first channel, twice as large each way.
    ToyModel decoder{
        {{"latent_sample", true, {-1, 2, -1, -1}}},
        {{"sample", true, {-1, 3, -1, -1}}},
        [](const ToyModel::Inputs& in) {
            const api::Tensor& z = *in.begin()->second;
            auto out = make_floats({z.shape[0], 3, 2 * z.shape[2], 2 * z.shape[3]});
            std::size_t at = 0;
            for (std::int64_t row = 0; row < z.shape[0] * 3; ++row) {
                for (std::int64_t y = 0; y < out.shape[2]; ++y) {
                    for (std::int64_t x = 0; x < out.shape[3]; ++x) {
                        out.floats()[at++] = z.floats(
                        )[static_cast<std::size_t>((row / 3 * 2 * z.shape[2] + y / 2) * z.shape[3] + x / 2)];
                    }
                }
            }
            return std::vector{out};
        }
    };
    // Both channels: every second pixel of the first plane; log-variance very small.
    ToyModel encoder{
        {{"sample", true, {-1, 3, -1, -1}}},
        {{"latent_parameters", true, {-1, 4, -1, -1}}},
        [](const ToyModel::Inputs& in) {
            const api::Tensor& x = *in.at("sample");
            auto out = make_floats({1, 4, x.shape[2] / 2, x.shape[3] / 2}, -30);
            const std::size_t plane = out.floats().size() / 4;
            for (std::size_t i = 0; i < 2 * plane; ++i) {
                const auto row = static_cast<std::int64_t>(i % plane) / out.shape[3];
                const auto column = static_cast<std::int64_t>(i % plane) % out.shape[3];
                out.floats()[i] = x.floats()[static_cast<std::size_t>(row * 2 * x.shape[3] + column * 2)];
            }
            return std::vector{out};
        }
    };
};

}  // namespace framegrid::diffusion::testing
