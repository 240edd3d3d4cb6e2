#include <framegrid/diffusion/tensors.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace framegrid::diffusion {

std::size_t element_count(const Shape& shape) {
    std::size_t count = 1;
    for (const std::int64_t size : shape) {
        FG_ASSERT(size >= 0);
        const auto n = static_cast<std::size_t>(size);
        FG_ASSERT(n == 0 || count <= std::numeric_limits<std::size_t>::max() / 8 / n);
        count *= n;
    }
    return count;
}

api::Tensor make_floats(Shape shape, float value) {
    const std::size_t count = element_count(shape);
    return {.shape = std::move(shape), .values = std::vector<float>(count, value)};
}

api::Tensor make_floats(Shape shape, std::vector<float> values) {
    FG_ASSERT(element_count(shape) == values.size());
    return {.shape = std::move(shape), .values = std::move(values)};
}

api::Tensor make_integers(Shape shape, std::vector<std::int64_t> values) {
    FG_ASSERT(element_count(shape) == values.size());
    return {.shape = std::move(shape), .values = std::move(values)};
}

api::Tensor concat_rows(std::span<const api::Tensor* const> parts) {
    FG_ASSERT(!parts.empty());
    api::Tensor out = *parts.front();
    for (const api::Tensor* part : parts.subspan(1)) {
        FG_ASSERT(std::ranges::equal(std::span(part->shape).subspan(1), std::span(out.shape).subspan(1)));
        FG_ASSERT(part->values.index() == out.values.index());
        out.shape[0] += part->shape[0];
        std::visit(
            [&](auto& values) {
                const auto& more = std::get<std::remove_reference_t<decltype(values)>>(part->values);
                values.insert(values.end(), more.begin(), more.end());
            },
            out.values
        );
    }
    return out;
}

api::Tensor slice_rows(const api::Tensor& tensor, std::int64_t begin, std::int64_t count) {
    FG_ASSERT(begin >= 0 && count >= 0 && begin + count <= tensor.shape.at(0));
    api::Tensor out{.shape = tensor.shape, .values = {}};
    out.shape[0] = count;
    const auto row = static_cast<std::ptrdiff_t>(
        element_count(tensor.shape) / static_cast<std::size_t>(std::max<std::int64_t>(tensor.shape[0], 1))
    );
    std::visit(
        [&](const auto& values) {
            out.values = std::remove_cvref_t<decltype(values)>(
                values.begin() + begin * row, values.begin() + (begin + count) * row
            );
        },
        tensor.values
    );
    return out;
}

api::Tensor repeat_row(const api::Tensor& row, std::int64_t count) {
    const std::vector<const api::Tensor*> parts(static_cast<std::size_t>(count), &row);
    return concat_rows(parts);
}

api::Tensor concat_channels(std::span<const api::Tensor* const> parts) {
    FG_ASSERT(!parts.empty());
    Shape shape = parts.front()->shape;
    shape.at(1) = 0;
    for (const api::Tensor* part : parts) {
        FG_ASSERT(part->shape.size() == shape.size() && part->shape[0] == shape[0]);
        FG_ASSERT(std::ranges::equal(std::span(part->shape).subspan(2), std::span(shape).subspan(2)));
        shape[1] += part->shape[1];
    }
    std::vector<float> values;
    values.reserve(element_count(shape));
    for (std::int64_t row = 0; row < shape[0]; ++row) {
        for (const api::Tensor* part : parts) {
            const auto& from = part->floats();
            const auto size = static_cast<std::ptrdiff_t>(from.size()) / shape[0];
            values.insert(values.end(), from.begin() + row * size, from.begin() + (row + 1) * size);
        }
    }
    return make_floats(std::move(shape), std::move(values));
}

std::string to_text(const Shape& shape) {
    std::string out = "[";
    for (const std::int64_t size : shape) {
        out += (out.size() > 1 ? ", " : "") + std::to_string(size);
    }
    return out + "]";
}

}  // namespace framegrid::diffusion
