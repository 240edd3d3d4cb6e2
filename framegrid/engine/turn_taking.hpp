// Networks that wait for their job's turn before each call.
#pragma once

#include <framegrid/api/media_ports.hpp>
#include <framegrid/api/tensor_model.hpp>
#include <framegrid/engine/inference_queue.hpp>

namespace framegrid::engine {

// Both refer to what they are given.
class TurnTakingImageModel final : public api::ImageModel {
  public:
    TurnTakingImageModel(api::ImageModel& model, InferenceQueue::Seat& seat) : model_(model), seat_(seat) {}
    int scale() const override { return model_.scale(); }
    Result<std::vector<float>> infer(
        const std::vector<float>& tiles, int count, int tile_height, int tile_width
    ) override {
        return seat_.alone([&] { return model_.infer(tiles, count, tile_height, tile_width); });
    }

  private:
    api::ImageModel& model_;
    InferenceQueue::Seat& seat_;
};

class TurnTakingTensorModel final : public api::TensorModel {
  public:
    TurnTakingTensorModel(api::TensorModel& model, InferenceQueue::Seat& seat) : model_(model), seat_(seat) {}
    const std::vector<api::TensorInfo>& inputs() const override { return model_.inputs(); }
    const std::vector<api::TensorInfo>& outputs() const override { return model_.outputs(); }
    Result<std::vector<api::Tensor>> run(std::span<const api::NamedTensor> inputs) override {
        return seat_.alone([&] { return model_.run(inputs); });
    }

  private:
    api::TensorModel& model_;
    InferenceQueue::Seat& seat_;
};

}  // namespace framegrid::engine
