// One network of a pipeline: what it declares is checked when it is loaded, what it answers when it is run.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <framegrid/api/tensor_model.hpp>

namespace framegrid::diffusion {

// Inputs of one call by name; axis 0 of each is the row, unless its rank is 0.
using NamedTensors = std::vector<std::pair<std::string, api::Tensor>>;

class Network {
  public:
    // `name` is the folder ("unet"); `model` is used by this object alone while it runs.
    Network(std::string name, api::TensorModel& model) : name_(std::move(name)), model_(&model) {}

    const std::string& name() const { return name_; }
    const std::vector<api::TensorInfo>& inputs() const { return model_->inputs(); }
    const std::vector<api::TensorInfo>& outputs() const { return model_->outputs(); }
    const api::TensorInfo* input(std::string_view name) const;
    std::optional<std::size_t> output(std::string_view name) const;

    // kUnsupported: an input that is not among `known`, or no input `required`.
    Result<void> expect_inputs(
        std::initializer_list<std::string_view> required, std::initializer_list<std::string_view> known
    ) const;
    // kUnsupported unless the input has this type, rank and, where it is fixed, these sizes (-1: any).
    Result<void> expect_input(std::string_view name, bool is_float, const std::vector<std::int64_t>& shape)
        const;
    // The rows that the input takes in one call when that is fixed.
    std::optional<std::int64_t> fixed_rows(std::string_view input) const;

    // All outputs, in order. kUnprocessable: the network failed.
    Result<std::vector<api::Tensor>> run(const NamedTensors& inputs) const;
    // One output of the rows, in as many calls as the fixed rows and `rows_max` ask for; the last call is
    // filled up by repeating the last row. kUnprocessable: its shape is not [rows, row_shape ...] or it is
    // not float
    // (-1 in row_shape: any).
    Result<api::Tensor> run_rows(
        const NamedTensors& inputs, std::size_t output, const std::vector<std::int64_t>& row_shape,
        std::int64_t rows_max
    ) const;

    std::unexpected<Error> unsupported(std::string_view tensor, const std::string& what) const;
    std::unexpected<Error> failed(const std::string& what) const;

  private:
    Result<api::Tensor> run_once(
        const NamedTensors& inputs, std::size_t output, const std::vector<std::int64_t>& row_shape,
        std::int64_t rows
    ) const;

    std::string name_;
    api::TensorModel* model_;
};

}  // namespace framegrid::diffusion
