#include <framegrid/infer_onnx/onnx_tensor.hpp>

#include <algorithm>
#include <limits>

namespace framegrid::infer_onnx {

namespace {

constexpr std::size_t kTensorsMax = 256;

bool is_floating(ONNXTensorElementDataType type) {
    return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 ||
           type == ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE;
}

bool is_integral(ONNXTensorElementDataType type) {
    return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 ||
           type == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL;
}

// The number of elements of a shape; -1 when it is no shape or too large.
std::int64_t elements(const std::vector<std::int64_t>& shape) {
    std::int64_t count = 1;
    for (const std::int64_t side : shape) {
        if (side < 0 || (side > 0 && count > kTensorFloatsMax / side)) {
            return -1;
        }
        count *= side;
    }
    return count;
}

class OnnxTensorModel : public api::TensorModel {
  public:
    OnnxTensorModel(std::string name, Ort::Session session)
        : name_(std::move(name)), session_(std::move(session)) {}

    Result<void> describe();
    const std::vector<api::TensorInfo>& inputs() const override { return inputs_; }
    const std::vector<api::TensorInfo>& outputs() const override { return outputs_; }
    Result<std::vector<api::Tensor>> run(std::span<const api::NamedTensor> inputs) override;

  private:
    using Type = ONNXTensorElementDataType;

    std::unexpected<Error> unfit(Errc code, const std::string& tensor, const std::string& what) const {
        return fail(code, name_ + ": " + printable(tensor) + " " + what);
    }
    Result<api::TensorInfo> describe_one(
        std::string name, const Ort::TypeInfo& type, std::vector<Type>& types
    ) const;
    Result<void> check_input(const api::TensorInfo& info, const api::Tensor& tensor) const;
    Ort::Value to_value(Type type, const api::Tensor& tensor);
    Result<api::Tensor> to_tensor(std::size_t index, const Ort::Value& value) const;

    std::string name_;
    Ort::Session session_;
    std::vector<api::TensorInfo> inputs_;
    std::vector<api::TensorInfo> outputs_;
    std::vector<Type> input_types_;
    std::vector<Type> output_types_;
    Ort::AllocatorWithDefaultOptions allocator_;
    Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
};

Result<api::TensorInfo> OnnxTensorModel::describe_one(
    std::string name, const Ort::TypeInfo& type, std::vector<Type>& types
) const {
    if (type.GetONNXType() != ONNX_TYPE_TENSOR) {
        return unfit(Errc::kUnsupported, name, "is not a tensor");
    }
    const auto info = type.GetTensorTypeAndShapeInfo();
    const Type element = info.GetElementType();
    if (!is_floating(element) && !is_integral(element)) {
        return unfit(Errc::kUnsupported, name, "has an element type that is not supported");
    }
    types.push_back(element);
    return api::TensorInfo{std::move(name), is_floating(element), info.GetShape()};
}

Result<void> OnnxTensorModel::describe() {
    if (session_.GetInputCount() > kTensorsMax || session_.GetOutputCount() > kTensorsMax) {
        return fail(Errc::kUnsupported, name_ + ": too many inputs or outputs");
    }
    for (std::size_t i = 0; i < session_.GetInputCount(); ++i) {
        std::string name = session_.GetInputNameAllocated(i, allocator_).get();
        FG_TRY(info, describe_one(std::move(name), session_.GetInputTypeInfo(i), input_types_));
        inputs_.push_back(std::move(info));
    }
    for (std::size_t i = 0; i < session_.GetOutputCount(); ++i) {
        std::string name = session_.GetOutputNameAllocated(i, allocator_).get();
        FG_TRY(info, describe_one(std::move(name), session_.GetOutputTypeInfo(i), output_types_));
        outputs_.push_back(std::move(info));
    }
    return {};
}

Result<void> OnnxTensorModel::check_input(const api::TensorInfo& info, const api::Tensor& tensor) const {
    const bool is_float = std::holds_alternative<std::vector<float>>(tensor.values);
    const std::size_t size = is_float ? tensor.floats().size() : tensor.integers().size();
    if (is_float != info.is_float) {
        return unfit(Errc::kInvalidArgument, info.name, info.is_float ? "takes floats" : "takes integers");
    }
    bool fits =
        tensor.shape.size() == info.shape.size() && elements(tensor.shape) == static_cast<std::int64_t>(size);
    for (std::size_t i = 0; fits && i < info.shape.size(); ++i) {
        fits = info.shape[i] < 0 || info.shape[i] == tensor.shape[i];
    }
    if (!fits) {
        return unfit(Errc::kInvalidArgument, info.name, "does not take a tensor of this shape");
    }
    return {};
}

Ort::Value OnnxTensorModel::to_value(Type type, const api::Tensor& tensor) {
    const auto& shape = tensor.shape;
    const auto converted = [&]<class T>(const auto& from, T) {
        auto value = Ort::Value::CreateTensor<T>(allocator_, shape.data(), shape.size());
        std::ranges::transform(from, value.template GetTensorMutableData<T>(), [](auto element) {
            return static_cast<T>(element);
        });
        return value;
    };
    switch (type) {
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT: {
            // ONNX Runtime's interface takes inputs as mutable memory but does not write to them.
            auto& floats = const_cast<std::vector<float>&>(tensor.floats());
            return Ort::Value::CreateTensor<float>(
                memory_, floats.data(), floats.size(), shape.data(), shape.size()
            );
        }
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE:
            return converted(tensor.floats(), double{});
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:
            return converted(tensor.floats(), Ort::Float16_t{});
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: {
            auto& integers = const_cast<std::vector<std::int64_t>&>(tensor.integers());
            return Ort::Value::CreateTensor<std::int64_t>(
                memory_, integers.data(), integers.size(), shape.data(), shape.size()
            );
        }
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32:
            return converted(tensor.integers(), std::int32_t{});
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8:
            return converted(tensor.integers(), std::uint8_t{});
        default:
            return converted(tensor.integers(), bool{});
    }
}

Result<api::Tensor> OnnxTensorModel::to_tensor(std::size_t index, const Ort::Value& value) const {
    const auto info = value.GetTensorTypeAndShapeInfo();
    api::Tensor out;
    out.shape = info.GetShape();
    const std::int64_t count = elements(out.shape);
    if (count < 0 || info.GetElementType() != output_types_[index]) {
        return unfit(Errc::kUnprocessable, outputs_[index].name, "came out with an odd shape or type");
    }
    const auto size = static_cast<std::size_t>(count);
    const auto take = [&]<class From, class To>(From, To) {
        const From* data = value.GetTensorData<From>();
        std::vector<To> to(size);
        if constexpr (std::is_same_v<From, Ort::Float16_t>) {
            std::transform(data, data + size, to.begin(), [](From element) { return element.ToFloat(); });
        } else {
            std::transform(data, data + size, to.begin(), [](From element) {
                return static_cast<To>(element);
            });
        }
        out.values = std::move(to);
    };
    switch (output_types_[index]) {
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
            take(float{}, float{});
            break;
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE:
            take(double{}, float{});
            break;
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:
            take(Ort::Float16_t{}, float{});
            break;
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64:
            take(std::int64_t{}, std::int64_t{});
            break;
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32:
            take(std::int32_t{}, std::int64_t{});
            break;
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8:
            take(std::uint8_t{}, std::int64_t{});
            break;
        default:
            take(bool{}, std::int64_t{});
            break;
    }
    return out;
}

Result<std::vector<api::Tensor>> OnnxTensorModel::run(std::span<const api::NamedTensor> inputs) {
    std::vector<const api::Tensor*> given;
    for (const auto& info : inputs_) {
        const auto at = std::ranges::find(inputs, std::string_view(info.name), &api::NamedTensor::name);
        if (at == inputs.end()) {
            return unfit(Errc::kInvalidArgument, info.name, "is missing");
        }
        FG_CHECK(check_input(info, *at->tensor));
        given.push_back(at->tensor);
    }
    return converting(name_, Errc::kUnprocessable, [&]() -> Result<std::vector<api::Tensor>> {
        std::vector<const char*> input_names;
        std::vector<const char*> output_names;
        std::vector<Ort::Value> values;
        for (std::size_t i = 0; i < given.size(); ++i) {
            input_names.push_back(inputs_[i].name.c_str());
            values.push_back(to_value(input_types_[i], *given[i]));
        }
        for (const auto& output : outputs_) {
            output_names.push_back(output.name.c_str());
        }
        const auto results = session_.Run(
            Ort::RunOptions{nullptr}, input_names.data(), values.data(), values.size(), output_names.data(),
            output_names.size()
        );
        std::vector<api::Tensor> out;
        for (std::size_t i = 0; i < results.size(); ++i) {
            FG_TRY(tensor, to_tensor(i, results[i]));
            out.push_back(std::move(tensor));
        }
        return out;
    });
}

}  // namespace

Result<std::unique_ptr<api::TensorModel>> make_tensor_model(std::string name, Ort::Session session) {
    auto model = std::make_unique<OnnxTensorModel>(std::move(name), std::move(session));
    FG_CHECK(model->describe());
    return model;
}

}  // namespace framegrid::infer_onnx
