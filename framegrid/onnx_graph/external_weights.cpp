#include <framegrid/onnx_graph/external_weights.hpp>

#include <algorithm>
#include <charconv>
#include <string_view>

#include <framegrid/onnx_graph/model_file.hpp>

namespace framegrid::onnx_graph {

namespace {

constexpr std::uint64_t kAlignment = 64;

// "KEY|OFFSET;BYTES;CHECKSUM|...", one part for each block of a kernel.
bool is_aligned(std::string_view blocks) {
    for (auto bar = blocks.find('|'); bar != std::string_view::npos; bar = blocks.find('|')) {
        blocks.remove_prefix(bar + 1);
        std::uint64_t offset = 0;
        const auto [end, error] = std::from_chars(blocks.data(), blocks.data() + blocks.size(), offset);
        if (error != std::errc{} || offset % kAlignment != 0) {
            return false;
        }
    }
    return true;
}

}  // namespace

Result<bool> are_prepacked_aligned(BytesView onnx) {
    FG_TRY(model, parse_model(onnx));
    return std::ranges::all_of(model.graph().initializer(), [](const auto& weight) {
        return std::ranges::all_of(weight.external_data(), [](const auto& entry) {
            return !entry.key().starts_with("prepacked") || is_aligned(entry.value());
        });
    });
}

}  // namespace framegrid::onnx_graph
