// Operators of which networks are made: products, convolutions, sums over axes, functions of single elements.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>

#include <framegrid/onnx_graph/shape_step.hpp>

namespace framegrid::onnx_graph {

namespace {

void mat_mul(ShapeStep& step) {
    if (!step.shape(0) || !step.shape(1) || step.number("transBatchA", 0) != 0 ||
        step.number("transBatchB", 0) != 0) {
        return;
    }
    SymbolicShape a = *step.shape(0);
    SymbolicShape b = *step.shape(1);
    if (a.size() < 2 || b.size() < 2) {
        return;
    }
    const bool flips_a = step.number("transA", 0) != 0;
    const bool flips_b = step.number("transB", 0) != 0;
    const SymbolicDim rows = a[a.size() - (flips_a ? 1 : 2)];
    const SymbolicDim columns = b[b.size() - (flips_b ? 2 : 1)];
    a.resize(a.size() - 2);
    b.resize(b.size() - 2);
    SymbolicShape out = broadcast_shapes(step.symbols(), a, b);
    out.push_back(rows);
    out.push_back(columns);
    step.set(0, std::move(out));
}

// What a window takes of one axis.
struct Window {
    std::int64_t kernel = 1;
    std::int64_t stride = 1;
    std::int64_t dilation = 1;
    std::int64_t pads = 0;  // both sides
};

// The windows of a convolution or of pooling, one for each axis behind rows and channels. nullopt: this
// depends on the tensor itself, or makes no sense.
std::optional<std::vector<Window>> windows_of(
    const ShapeStep& step, const std::vector<std::int64_t>& kernel
) {
    const auto* padding = step.attribute("auto_pad");
    if ((padding != nullptr && padding->s() != "NOTSET" && padding->s() != "VALID") ||
        step.number("ceil_mode", 0) != 0) {
        return std::nullopt;
    }
    const std::size_t axes = kernel.size();
    const auto strides = step.numbers("strides");
    const auto dilations = step.numbers("dilations");
    const auto pads = step.numbers("pads");
    if ((strides && strides->size() != axes) || (dilations && dilations->size() != axes) ||
        (pads && pads->size() != 2 * axes)) {
        return std::nullopt;
    }
    const bool has_pads = pads && (padding == nullptr || padding->s() == "NOTSET");
    std::vector<Window> out(axes);
    for (std::size_t i = 0; i < axes; ++i) {
        out[i] = {
            .kernel = kernel[i],
            .stride = strides ? (*strides)[i] : 1,
            .dilation = dilations ? (*dilations)[i] : 1,
            .pads = has_pads ? (*pads)[i] + (*pads)[axes + i] : 0
        };
        constexpr std::int64_t kSenseMax = 1 << 20;
        const auto makes_sense = [](std::int64_t value) { return value > 0 && value < kSenseMax; };
        if (!makes_sense(out[i].stride) || !makes_sense(out[i].kernel) || !makes_sense(out[i].dilation) ||
            std::abs(out[i].pads) >= kSenseMax) {
            return std::nullopt;
        }
    }
    return out;
}

// `channels`: of the result. Sizes behind them: floor((size + pads - dilation * (kernel - 1) - 1) / stride)
// + 1.
void slide(ShapeStep& step, const SymbolicDim& channels, const std::vector<std::int64_t>& kernel) {
    const auto& shape = step.shape(0);
    if (!shape || shape->size() != kernel.size() + 2) {
        return;
    }
    auto& symbols = step.symbols();
    const auto windows = windows_of(step, kernel);
    SymbolicShape out{(*shape)[0], channels};
    for (std::size_t i = 0; i < kernel.size(); ++i) {
        if (!windows) {
            out.push_back(symbols.fresh(0));
            continue;
        }
        const auto& window = (*windows)[i];
        const std::int64_t less = window.pads - window.dilation * (window.kernel - 1) - 1;
        const auto last = symbols.divide(symbols.add((*shape)[i + 2], less), window.stride);
        out.push_back(symbols.add(last, 1));
    }
    step.set(0, std::move(out));
}

std::optional<std::vector<std::int64_t>> kernel_of(const ShapeStep& step) {
    if (auto stated = step.numbers("kernel_shape")) {
        return stated;
    }
    const auto& weights = step.shape(1);
    if (!weights || weights->size() < 3) {
        return std::nullopt;
    }
    std::vector<std::int64_t> out;
    for (std::size_t i = 2; i < weights->size(); ++i) {
        const auto side = (*weights)[i].constant();
        if (!side) {
            return std::nullopt;
        }
        out.push_back(*side);
    }
    return out;
}

void conv(ShapeStep& step) {
    const auto kernel = kernel_of(step);
    if (kernel && step.shape(1) && !step.shape(1)->empty()) {
        slide(step, (*step.shape(1))[0], *kernel);
    }
}

void pool(ShapeStep& step) {
    const auto kernel = step.numbers("kernel_shape");
    if (kernel && step.shape(0) && step.shape(0)->size() > 2) {
        slide(step, (*step.shape(0))[1], *kernel);
    }
}

void conv_transpose(ShapeStep& step) {
    const auto kernel = kernel_of(step);
    const auto& shape = step.shape(0);
    const auto& weights = step.shape(1);
    if (!kernel || !shape || !weights || weights->size() < 2 || shape->size() != kernel->size() + 2) {
        return;
    }
    auto& symbols = step.symbols();
    const auto windows = step.attribute("output_shape") == nullptr ? windows_of(step, *kernel) : std::nullopt;
    const auto more = step.numbers("output_padding");
    SymbolicShape out{(*shape)[0], symbols.multiply((*weights)[1], step.number("group", 1))};
    for (std::size_t i = 0; i < kernel->size(); ++i) {
        if (!windows || (more && more->size() != kernel->size())) {
            out.push_back(symbols.fresh(0));
            continue;
        }
        const auto& window = (*windows)[i];
        const auto strides = symbols.multiply(symbols.subtract((*shape)[i + 2], 1), window.stride);
        const std::int64_t rest = (window.kernel - 1) * window.dilation + 1 - window.pads;
        out.push_back(symbols.add(symbols.add(strides, rest), more ? (*more)[i] : 0));
    }
    step.set(0, std::move(out));
}

// Into the blocks of channels that com.microsoft.nchwc computes with: 8 or 16 of them.
void reorder_input(ShapeStep& step) {
    const auto& shape = step.shape(0);
    constexpr std::int64_t kBlock = 16;
    if (!shape || shape->size() < 3) {
        return;
    }
    SymbolicShape out = *shape;
    if (step.number("channels_last", 0) != 0) {
        std::rotate(out.begin() + 1, out.end() - 1, out.end());
    }
    const auto channels = out[1].constant();
    if (!channels || *channels % kBlock != 0) {
        out[1] = step.symbols().fresh(1);
    }
    step.set(0, std::move(out));
}

void reorder_output(ShapeStep& step) {
    const auto& shape = step.shape(0);
    const auto channels = step.number("channels", 0);
    if (!shape || shape->size() < 3 || channels <= 0) {
        return;
    }
    SymbolicShape out = *shape;
    out[1] = channels;
    if (step.number("channels_last", 0) != 0) {
        std::rotate(out.begin() + 1, out.begin() + 2, out.end());
    }
    step.set(0, std::move(out));
}

// Sizes times `scales`; those by no whole number are not followed.
template <class T>
void scale(ShapeStep& step, const std::vector<T>& scales) {
    const auto& shape = step.shape(0);
    if (!shape || scales.size() != shape->size()) {
        return;
    }
    SymbolicShape out = *shape;
    constexpr T kScaleMax = 64;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const bool is_whole = scales[i] >= 1 && scales[i] <= kScaleMax && scales[i] == std::floor(scales[i]);
        out[i] = is_whole ? step.symbols().multiply(out[i], static_cast<std::int64_t>(scales[i]))
                          : step.symbols().fresh(0);
    }
    step.set(0, std::move(out));
}

void upsample(ShapeStep& step) {
    if (const auto scales = step.numbers("scales"); scales && !scales->empty()) {
        scale(step, *scales);
    }
}

void resize(ShapeStep& step) {
    if (step.attribute("axes") != nullptr || step.attribute("keep_aspect_ratio_policy") != nullptr) {
        return;
    }
    if (const auto& sizes = step.input(3).whole; step.has_input(3) && sizes) {
        return step.set(0, *sizes);
    }
    if (const auto& scales = step.input(2).floats; step.has_input(2) && scales && !step.has_input(3)) {
        scale(step, *scales);
    }
}

void gemm(ShapeStep& step) {
    const auto& a = step.shape(0);
    const auto& b = step.shape(1);
    if (a && b && a->size() == 2 && b->size() == 2) {
        step.set(
            0, {(*a)[step.number("transA", 0) != 0 ? 1 : 0], (*b)[step.number("transB", 0) != 0 ? 0 : 1]}
        );
    }
}

void reduce_over(ShapeStep& step, const std::vector<std::int64_t>& axes) {
    const auto& shape = step.shape(0);
    if (!shape) {
        return;
    }
    std::vector<bool> is_gone(shape->size(), axes.empty());
    for (const auto axis : axes) {
        const auto at = axis_of(axis, shape->size());
        if (!at) {
            return;
        }
        is_gone[*at] = true;
    }
    SymbolicShape out;
    for (std::size_t i = 0; i < shape->size(); ++i) {
        if (!is_gone[i]) {
            out.push_back((*shape)[i]);
        } else if (step.number("keepdims", 1) != 0) {
            out.emplace_back(1);
        }
    }
    step.set(0, std::move(out));
}

void reduce(ShapeStep& step) {
    const auto axes = step.numbers_or_input("axes", 1);
    if ((axes && !axes->empty()) || (!step.has_input(1) && step.number("noop_with_empty_axes", 0) == 0)) {
        reduce_over(step, axes.value_or(std::vector<std::int64_t>{}));
    }
}

void arg(ShapeStep& step) {
    reduce_over(step, {step.number("axis", 0)});
}

void depth_to_space(ShapeStep& step) {
    const auto& shape = step.shape(0);
    const auto block = step.number("blocksize", 0);
    constexpr std::int64_t kBlockMax = 1024;
    if (!shape || shape->size() != 4 || block <= 0 || block > kBlockMax) {
        return;
    }
    auto& symbols = step.symbols();
    step.set(
        0, {(*shape)[0], symbols.divide((*shape)[1], block * block), symbols.multiply((*shape)[2], block),
            symbols.multiply((*shape)[3], block)}
    );
}

void grid_sample(ShapeStep& step) {
    const auto& shape = step.shape(0);
    const auto& grid = step.shape(1);
    if (!shape || !grid || shape->size() < 3 || grid->size() != shape->size()) {
        return;
    }
    SymbolicShape out{(*shape)[0], (*shape)[1]};
    out.insert(out.end(), grid->begin() + 1, grid->end() - 1);
    step.set(0, std::move(out));
}

}  // namespace

const ShapeRules& shape_rules_of_layers() {
    static const ShapeRules kRules = [] {
        ShapeRules rules{
            {"MatMul", mat_mul},
            {"FusedMatMul", mat_mul},
            {"Gemm", gemm},
            {"FusedGemm", gemm},
            {"Conv", conv},
            {"FusedConv", conv},
            {"ConvTranspose", conv_transpose},
            {"MaxPool", pool},
            {"AveragePool", pool},
            {"ReorderInput", reorder_input},
            {"ReorderOutput", reorder_output},
            {"Upsample", upsample},
            {"Resize", resize},
            {"ReduceMean", reduce},
            {"ReduceSum", reduce},
            {"ReduceMax", reduce},
            {"ReduceL2", reduce},
            {"ArgMax", arg},
            {"ArgMin", arg},
            {"DepthToSpace", depth_to_space},
            {"GridSample", grid_sample},
        };
        for (const char* name :
             {"Abs",
              "BatchNormalization",
              "BiasGelu",
              "BiasSoftmax",
              "Clip",
              "Cos",
              "Elu",
              "Erf",
              "Exp",
              "FastGelu",
              "Floor",
              "Gelu",
              "GroupNormalization",
              "HardSigmoid",
              "HardSwish",
              "InstanceNormalization",
              "LayerNormalization",
              "LeakyRelu",
              "Log",
              "LogSoftmax",
              "Neg",
              "Not",
              "PRelu",
              "QuickGelu",
              "Reciprocal",
              "Relu",
              "Round",
              "Sigmoid",
              "Sign",
              "SimplifiedLayerNormalization",
              "Sin",
              "SkipLayerNormalization",
              "Softmax",
              "Softplus",
              "Sqrt",
              "Tanh"}) {
            rules.emplace(name, same_as_first);
        }
        return rules;
    }();
    return kRules;
}

}  // namespace framegrid::onnx_graph
