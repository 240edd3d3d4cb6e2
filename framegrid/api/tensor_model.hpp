// Port: a network with named tensors, for pipelines of several networks. Used inside an executor process.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <framegrid/base/result.hpp>

namespace framegrid::api {

// Row-major. Floats stand for every floating type of a network and integers for every integral one (and
// booleans): the adapter converts to what the network declares.
struct Tensor {
    std::vector<std::int64_t> shape;
    std::variant<std::vector<float>, std::vector<std::int64_t>> values;

    std::vector<float>& floats() { return std::get<std::vector<float>>(values); }
    const std::vector<float>& floats() const { return std::get<std::vector<float>>(values); }
    const std::vector<std::int64_t>& integers() const { return std::get<std::vector<std::int64_t>>(values); }
};

// One input or output as the network declares it.
struct TensorInfo {
    std::string name;
    bool is_float = true;             // else integral
    std::vector<std::int64_t> shape;  // -1: any size

    friend bool operator==(const TensorInfo&, const TensorInfo&) = default;
};

// One input of a call. The tensor is the caller's and is not copied where the types agree.
struct NamedTensor {
    std::string_view name;
    const Tensor* tensor = nullptr;
};

class TensorModel {
  public:
    virtual ~TensorModel() = default;
    virtual const std::vector<TensorInfo>& inputs() const = 0;
    virtual const std::vector<TensorInfo>& outputs() const = 0;
    // Blocking. The outputs in the order of outputs(). kInvalidArgument: a declared input is missing, or has
    // another type or shape; kCapacity: not enough memory; kUnprocessable: the network failed on this input.
    virtual Result<std::vector<Tensor>> run(std::span<const NamedTensor> inputs) = 0;
};

}  // namespace framegrid::api
