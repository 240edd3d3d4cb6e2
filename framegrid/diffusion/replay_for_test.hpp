// Recorded runs of the reference pipelines (tests/fixtures/diffusion/record.py), and networks that replay
// them: each row they are given is looked up among the recorded ones, and must be there within a tolerance.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <framegrid/diffusion/pipeline.hpp>
#include <framegrid/diffusion/relative_error_for_test.hpp>

namespace framegrid::diffusion::testing {

namespace json = boost::json;

inline constexpr double kInputTolerance = 1e-4;

inline std::string read_fixture(const std::string& name) {
    std::ifstream file(std::string(FG_DIFFUSION_FIXTURES "/") + name, std::ios::binary);
    EXPECT_TRUE(file) << name;
    return {std::istreambuf_iterator<char>(file), {}};
}

struct Recording {
    json::value description;
    std::map<std::string, api::Tensor, std::less<>> tensors;

    static Recording load(const std::string& name) {
        const std::string bytes = read_fixture("pipelines/" + name + ".safetensors");
        std::uint64_t size = 0;
        std::memcpy(&size, bytes.data(), 8);
        const json::value header = json::parse(std::string_view(bytes).substr(8, size));
        Recording out;
        for (const auto& item : header.as_object()) {
            if (item.key() == "__metadata__") {
                out.description = json::parse(item.value().at("fixture").as_string());
                continue;
            }
            const auto begin = item.value().at("data_offsets").at(0).to_number<std::size_t>() + 8 + size;
            const auto end = item.value().at("data_offsets").at(1).to_number<std::size_t>() + 8 + size;
            out.tensors[item.key()] =
                tensor_of(item.value(), std::string_view(bytes).substr(begin, end - begin));
        }
        return out;
    }

    const api::Tensor& tensor(const json::value& key) const {
        return tensors.at(std::string(key.as_string()));
    }

    // A recorded picture [h, w, 3].
    std::optional<api::RgbImage> picture(std::string_view key) const {
        const json::value* found = description.as_object().if_contains(key);
        if (found == nullptr) {
            return std::nullopt;
        }
        const api::Tensor& t = tensor(*found);
        api::RgbImage out{
            .width = static_cast<int>(t.shape[1]), .height = static_cast<int>(t.shape[0]), .pixels = {}
        };
        for (const std::int64_t value : t.integers()) {
            out.pixels.push_back(static_cast<std::uint8_t>(value));
        }
        return out;
    }

    PipelineFiles files() const {
        PipelineFiles out;
        for (const auto& item : description.at("files").as_object()) {
            out[std::string(item.key())] = Blob::copy_of(std::string_view(item.value().as_string()));
        }
        if (const json::value* variant = description.as_object().if_contains("tokenizer")) {
            add_tokenizer(out, "tokenizer/", std::string(variant->as_string()));
            add_tokenizer(out, "tokenizer_2/", "sd21");
        }
        return out;
    }

    Request request() const {
        const json::object& r = description.at("request").as_object();
        const auto number = [&](std::string_view key, double fallback) {
            const json::value* value = r.if_contains(key);
            return value == nullptr ? fallback : value->to_number<double>();
        };
        Request out;
        out.prompt = r.at("prompt").as_string();
        if (const json::value* negative = r.if_contains("negative_prompt");
            negative && negative->is_string()) {
            out.negative_prompt = std::string(negative->as_string());
        }
        out.width = static_cast<int>(number("width", 0));
        out.height = static_cast<int>(number("height", 0));
        out.steps = static_cast<int>(number("steps", 0));
        out.guidance = number("guidance", 0);
        out.strength = number("strength", 1);
        out.frames = static_cast<int>(number("frames", 0));
        out.guidance_first = number("guidance_first", 1);
        out.fps = static_cast<int>(number("fps", 7));
        out.motion_bucket_id = static_cast<int>(number("motion_bucket_id", 127));
        out.noise_aug_strength = number("noise_aug_strength", 0.02);
        out.image = picture("image");
        out.mask = picture("mask");
        return out;
    }

  private:
    static void add_tokenizer(PipelineFiles& files, const std::string& folder, const std::string& variant) {
        files[folder + "vocab.json"] = Blob::copy_of(read_fixture("tokenizer/vocab.json"));
        files[folder + "merges.txt"] = Blob::copy_of(read_fixture("tokenizer/merges.txt"));
        for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
            files[folder + name] = Blob::copy_of(read_fixture("tokenizer/" + variant + "." + name));
        }
    }

    static api::Tensor tensor_of(const json::value& info, std::string_view bytes) {
        api::Tensor out;
        for (const auto& size : info.at("shape").as_array()) {
            out.shape.push_back(size.to_number<std::int64_t>());
        }
        const std::string_view type = info.at("dtype").as_string();
        if (type == "F32") {
            std::vector<float> values(bytes.size() / 4);
            std::memcpy(values.data(), bytes.data(), bytes.size());
            out.values = std::move(values);
        } else if (type == "I64") {
            std::vector<std::int64_t> values(bytes.size() / 8);
            std::memcpy(values.data(), bytes.data(), bytes.size());
            out.values = std::move(values);
        } else {
            EXPECT_EQ(type, "U8");
            std::vector<std::int64_t> values;
            for (const char byte : bytes) {
                values.push_back(static_cast<unsigned char>(byte));
            }
            out.values = std::move(values);
        }
        return out;
    }
};

class RecordedNoise final : public NoiseSource {
  public:
    explicit RecordedNoise(const Recording& recording) : recording_(recording) {}
    void fill(NoiseUse use, int index, std::span<float> out) override {
        const std::string key = names_.at(use) + ":" + std::to_string(index);
        const json::value* found = recording_.description.at("noise").as_object().if_contains(key);
        if (found == nullptr) {
            ADD_FAILURE() << "no recorded noise " << key;
            return;
        }
        const auto& values = recording_.tensor(*found).floats();
        ASSERT_EQ(values.size(), out.size()) << key;
        std::ranges::copy(values, out.begin());
    }

  private:
    const Recording& recording_;
    std::map<NoiseUse, std::string> names_{
        {NoiseUse::kStart, "start"},        {NoiseUse::kStep, "step"},       {NoiseUse::kImage, "image"},
        {NoiseUse::kMaskedImage, "masked"}, {NoiseUse::kAugment, "augment"},
    };
};

class ReplayModel final : public api::TensorModel {
  public:
    ReplayModel(const Recording& recording, std::string name)
        : recording_(recording), name_(std::move(name)) {
        const json::value& network = recording.description.at("networks").at(name_);
        read_infos(network.at("inputs"), inputs_);
        read_infos(network.at("outputs"), outputs_);
        rows_ = &network.at("rows").as_array();
        whole_ = network.at("whole").as_bool();
        if (const json::value* decimate = network.as_object().if_contains("decimate")) {
            decimate_ = decimate->to_number<std::int64_t>();
        }
    }

    const std::vector<api::TensorInfo>& inputs() const override { return inputs_; }
    const std::vector<api::TensorInfo>& outputs() const override { return outputs_; }

    Result<std::vector<api::Tensor>> run(std::span<const api::NamedTensor> inputs) override {
        ++calls;
        EXPECT_EQ(inputs.size(), inputs_.size()) << name_;
        std::int64_t rows = 1;
        for (const auto& input : inputs) {
            rows = std::max(rows, whole_ || input.tensor->shape.empty() ? 1 : input.tensor->shape[0]);
        }
        std::vector<api::Tensor> out;
        for (std::int64_t row = 0; row < rows; ++row) {
            const json::object& found = best_row(inputs, row);
            for (std::size_t i = 0; i < outputs_.size(); ++i) {
                const json::value* key = found.at("outputs").as_object().if_contains(outputs_[i].name);
                api::Tensor value = key == nullptr ? make_floats({0}) : recording_.tensor(*key);  // unread
                if (!whole_ && key != nullptr) {
                    value.shape.insert(value.shape.begin(), 1);
                }
                if (row == 0) {
                    out.push_back(std::move(value));
                } else {
                    out[i] = concat_rows(std::vector<const api::Tensor*>{&out[i], &value});
                }
            }
        }
        return out;
    }

    std::size_t rows_recorded() const { return rows_->size(); }
    std::size_t rows_seen() const { return seen_.size(); }

    int calls = 0;
    double worst = 0;  // error of an input

  private:
    static void read_infos(const json::value& list, std::vector<api::TensorInfo>& out) {
        for (const auto& item : list.as_array()) {
            api::TensorInfo info{
                .name = std::string(item.at("name").as_string()),
                .is_float = item.at("is_float").as_bool(),
                .shape = {}
            };
            for (const auto& size : item.at("shape").as_array()) {
                info.shape.push_back(size.to_number<std::int64_t>());
            }
            out.push_back(std::move(info));
        }
    }

    // One row of an input, or all of it where rows go together or there are none.
    api::Tensor row_of(const api::Tensor& tensor, std::int64_t row) const {
        if (whole_ || tensor.shape.empty()) {
            return tensor;
        }
        api::Tensor out = slice_rows(tensor, std::min(row, tensor.shape[0] - 1), 1);
        if (decimate_ > 1) {
            api::Tensor few = make_floats(
                {1, out.shape[1], (out.shape[2] + decimate_ - 1) / decimate_,
                 (out.shape[3] + decimate_ - 1) / decimate_}
            );
            std::size_t at = 0;
            for (std::int64_t line = 0; line < out.shape[1] * out.shape[2]; ++line) {
                for (std::int64_t x = 0; line % out.shape[2] % decimate_ == 0 && x < out.shape[3];
                     x += decimate_) {
                    few.floats()[at++] = out.floats()[static_cast<std::size_t>(line * out.shape[3] + x)];
                }
            }
            return few;
        }
        return out;
    }

    double error_of(const api::Tensor& got, const api::Tensor& want) const {
        if (got.values.index() != want.values.index()) {
            return INFINITY;
        }
        if (!std::holds_alternative<std::vector<float>>(got.values)) {
            return got.values == want.values ? 0 : INFINITY;
        }
        return relative_error(got.floats(), want.floats());
    }

    const json::object& best_row(std::span<const api::NamedTensor> inputs, std::int64_t row) {
        double best = INFINITY;
        std::size_t best_index = 0;
        std::string why;
        for (std::size_t i = 0; i < rows_->size(); ++i) {
            double error = 0;
            for (const auto& input : inputs) {
                const auto& wanted = recording_.tensor((*rows_)[i].at("inputs").at(input.name));
                const double e = error_of(row_of(*input.tensor, row), wanted);
                if (e > error) {
                    error = e;
                    why = input.name;
                }
            }
            if (error < best) {
                best = error;
                best_index = i;
            }
        }
        EXPECT_LT(best, kInputTolerance) << name_ << " call " << calls << " row " << row << ": " << why;
        worst = std::max(worst, best);
        seen_.insert(best_index);
        return (*rows_)[best_index].as_object();
    }

    const Recording& recording_;
    std::string name_;
    std::vector<api::TensorInfo> inputs_;
    std::vector<api::TensorInfo> outputs_;
    const json::array* rows_ = nullptr;
    bool whole_ = false;
    std::int64_t decimate_ = 1;
    std::set<std::size_t> seen_;
};

// The networks of a recording.
class ReplayNetworks {
  public:
    explicit ReplayNetworks(const Recording& recording) {
        for (const auto& item : recording.description.at("networks").as_object()) {
            models_[item.key()] = std::make_unique<ReplayModel>(recording, std::string(item.key()));
        }
    }
    ReplayModel* get(std::string_view name) const {
        const auto it = models_.find(name);
        return it == models_.end() ? nullptr : it->second.get();
    }
    Networks networks() const {
        return {
            .text_encoder = get("text_encoder"),
            .text_encoder_2 = get("text_encoder_2"),
            .unet = get("unet"),
            .vae_decoder = get("vae_decoder"),
            .vae_encoder = get("vae_encoder"),
            .image_encoder = get("image_encoder"),
        };
    }
    double worst() const {
        double out = 0;
        for (const auto& [name, model] : models_) {
            out = std::max(out, model->worst);
        }
        return out;
    }

  private:
    std::map<std::string, std::unique_ptr<ReplayModel>, std::less<>> models_;
};

}  // namespace framegrid::diffusion::testing
