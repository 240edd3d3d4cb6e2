#include <framegrid/diffusion/network.hpp>

#include <algorithm>
#include <vector>

#include <framegrid/base/log.hpp>
#include <framegrid/diffusion/tensors.hpp>

namespace framegrid::diffusion {
namespace {

constexpr std::int64_t kFixedRowsMax = 64;

bool fits(const Shape& declared, const Shape& wanted) {
    return std::ranges::equal(declared, wanted, [](std::int64_t a, std::int64_t b) {
        return a < 0 || b < 0 || a == b;
    });
}

std::int64_t rows_of(const NamedTensors& inputs) {
    std::int64_t rows = 1;
    for (const auto& [name, tensor] : inputs) {
        rows = std::max(rows, tensor.shape.empty() ? 1 : tensor.shape[0]);
    }
    return rows;
}

// Rows begin .. begin + count - 1 of every input, the last one repeated past the end. What has one row or
// none goes with all.
NamedTensors part_of(const NamedTensors& inputs, std::int64_t rows, std::int64_t begin, std::int64_t count) {
    NamedTensors out;
    for (const auto& [name, tensor] : inputs) {
        if (tensor.shape.empty() || tensor.shape[0] != rows) {
            out.emplace_back(name, tensor);
            continue;
        }
        const std::int64_t have = std::min(count, rows - begin);
        api::Tensor part = slice_rows(tensor, begin, have);
        if (have < count) {
            const api::Tensor filler = repeat_row(slice_rows(tensor, rows - 1, 1), count - have);
            part = concat_rows(std::vector<const api::Tensor*>{&part, &filler});
        }
        out.emplace_back(name, std::move(part));
    }
    return out;
}

}  // namespace

const api::TensorInfo* Network::input(std::string_view name) const {
    const auto it = std::ranges::find(inputs(), name, &api::TensorInfo::name);
    return it == inputs().end() ? nullptr : &*it;
}

std::optional<std::size_t> Network::output(std::string_view name) const {
    const auto it = std::ranges::find(outputs(), name, &api::TensorInfo::name);
    return it == outputs().end() ? std::nullopt
                                 : std::optional(static_cast<std::size_t>(it - outputs().begin()));
}

std::unexpected<Error> Network::unsupported(std::string_view tensor, const std::string& what) const {
    std::string field = name_;
    field += ": ";
    field += printable(tensor);
    std::string message = field;
    message += " ";
    message += what;
    return fail(Errc::kUnsupported, std::move(message), std::move(field));
}

std::unexpected<Error> Network::failed(const std::string& what) const {
    std::string message = name_;
    message += ": ";
    message += what;
    return fail(Errc::kUnprocessable, std::move(message), name_);
}

Result<void> Network::expect_inputs(
    std::initializer_list<std::string_view> required, std::initializer_list<std::string_view> known
) const {
    for (const std::string_view name : required) {
        if (input(name) == nullptr) {
            return unsupported(name, "is missing");
        }
    }
    for (const api::TensorInfo& info : inputs()) {
        if (std::ranges::find(required, info.name) == required.end() &&
            std::ranges::find(known, info.name) == known.end()) {
            return unsupported(info.name, "is an input that this pipeline has no value for");
        }
    }
    if (outputs().empty()) {
        return unsupported("outputs", "are missing");
    }
    return {};
}

Result<void> Network::expect_input(
    std::string_view name, bool is_float, const std::vector<std::int64_t>& shape
) const {
    const api::TensorInfo* info = input(name);
    if (info == nullptr) {
        return unsupported(name, "is missing");
    }
    if (info->is_float != is_float) {
        return unsupported(name, is_float ? "must be floating" : "must be integral");
    }
    if (!fits(info->shape, shape)) {
        return unsupported(name, "is " + to_text(info->shape) + ", expected " + to_text(shape));
    }
    if (!shape.empty() && info->shape[0] > kFixedRowsMax) {
        return unsupported(name, "takes too many rows in one call");
    }
    return {};
}

std::optional<std::int64_t> Network::fixed_rows(std::string_view name) const {
    const api::TensorInfo* info = input(name);
    return info == nullptr || info->shape.empty() || info->shape[0] < 1 ? std::nullopt
                                                                        : std::optional(info->shape[0]);
}

Result<std::vector<api::Tensor>> Network::run(const NamedTensors& inputs) const {
    std::vector<api::NamedTensor> named;
    named.reserve(inputs.size());
    for (const auto& [name, tensor] : inputs) {
        named.push_back({.name = name, .tensor = &tensor});
    }
    auto out = model_->run(named);
    if (!out) {
        return fail(std::move(out).error().with_context(name_));
    }
    if (out->size() != outputs().size()) {
        return failed("gave " + std::to_string(out->size()) + " outputs");
    }
    return out;
}

Result<api::Tensor> Network::run_once(
    const NamedTensors& inputs, std::size_t output, const std::vector<std::int64_t>& row_shape,
    std::int64_t rows
) const {
    FG_TRY(all, run(inputs));
    api::Tensor out = std::move(all[output]);
    Shape wanted{rows};
    wanted.insert(wanted.end(), row_shape.begin(), row_shape.end());
    const auto* values = std::get_if<std::vector<float>>(&out.values);
    const bool sane = std::ranges::all_of(out.shape, [](std::int64_t size) { return size > 0; });
    if (values == nullptr || !sane || !fits(out.shape, wanted) ||
        values->size() != element_count(out.shape)) {
        return failed(
            printable(outputs()[output].name) + " is " + to_text(out.shape) + ", expected " + to_text(wanted)
        );
    }
    return out;
}

Result<api::Tensor> Network::run_rows(
    const NamedTensors& inputs, std::size_t output, const std::vector<std::int64_t>& row_shape,
    std::int64_t rows_max
) const {
    const std::int64_t rows = rows_of(inputs);
    const auto fixed = fixed_rows(inputs.front().first);
    const std::int64_t most = fixed.value_or(std::max<std::int64_t>(rows_max, 1));
    if (rows == most || (!fixed && rows <= most)) {
        return run_once(inputs, output, row_shape, rows);
    }
    std::vector<api::Tensor> parts;
    for (std::int64_t begin = 0; begin < rows; begin += most) {
        const std::int64_t count = fixed ? most : std::min(most, rows - begin);
        FG_TRY(part, run_once(part_of(inputs, rows, begin, count), output, row_shape, count));
        const std::int64_t wanted = std::min(most, rows - begin);
        parts.push_back(wanted < count ? slice_rows(part, 0, wanted) : std::move(part));
    }
    std::vector<const api::Tensor*> pointers;
    for (const api::Tensor& part : parts) {
        if (!std::ranges::equal(std::span(part.shape).subspan(1), std::span(parts[0].shape).subspan(1))) {
            return failed("gave outputs of different shapes");
        }
        pointers.push_back(&part);
    }
    return concat_rows(pointers);
}

}  // namespace framegrid::diffusion
