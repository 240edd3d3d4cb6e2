#include <framegrid/engine/tensor_text.hpp>

#include <framegrid/base/log.hpp>

namespace framegrid::engine {

namespace {

constexpr std::size_t kListedMax = 8;

}  // namespace

std::string shape_text(const std::vector<std::int64_t>& shape) {
    std::string out;
    for (const std::int64_t side : shape) {
        out += (out.empty() ? "" : ", ") + (side < 0 ? std::string("?") : std::to_string(side));
    }
    return "[" + out + "]";
}

std::string tensor_text(const api::TensorInfo& tensor) {
    return printable(tensor.name) + " " + shape_text(tensor.shape) + (tensor.is_float ? "" : " of integers");
}

std::string tensors_text(const std::vector<api::TensorInfo>& tensors) {
    std::string out;
    for (std::size_t i = 0; i < tensors.size() && i < kListedMax; ++i) {
        out += (i == 0 ? "" : ", ") + tensor_text(tensors[i]);
    }
    if (tensors.size() > kListedMax) {
        out += " and " + std::to_string(tensors.size() - kListedMax) + " more";
    }
    return out.empty() ? "nothing" : out;
}

bool is_channels_last(const api::TensorInfo& picture) {
    return picture.shape.size() == 4 && picture.shape[3] == 3 && picture.shape[1] != 3;
}

}  // namespace framegrid::engine
