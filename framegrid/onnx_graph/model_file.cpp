#include <framegrid/onnx_graph/model_file.hpp>

#include <limits>

namespace framegrid::onnx_graph {

Result<proto::Model> parse_model(BytesView onnx) {
    proto::Model model;
    if (onnx.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
        !model.ParseFromArray(onnx.data(), static_cast<int>(onnx.size())) || !model.has_graph()) {
        return fail(Errc::kUnprocessable, "not an ONNX model");
    }
    return model;
}

}  // namespace framegrid::onnx_graph
