// Small helpers on api::Tensor.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/api/tensor_model.hpp>

namespace framegrid::diffusion {

using Shape = std::vector<std::int64_t>;

// The product of the sizes. They are not negative, and their product fits (asserted).
std::size_t element_count(const Shape& shape);

api::Tensor make_floats(Shape shape, float value = 0);
api::Tensor make_floats(Shape shape, std::vector<float> values);  // sizes agree (asserted)
api::Tensor make_integers(Shape shape, std::vector<std::int64_t> values);

// A tensor of `first` = rows under each other (axis 0). The other sizes agree and the types are equal
// (asserted).
api::Tensor concat_rows(std::span<const api::Tensor* const> parts);
// Rows begin .. begin + count - 1.
api::Tensor slice_rows(const api::Tensor& tensor, std::int64_t begin, std::int64_t count);
// One row, `count` times.
api::Tensor repeat_row(const api::Tensor& row, std::int64_t count);
// Side by side on axis 1. The other sizes agree (asserted); floats.
api::Tensor concat_channels(std::span<const api::Tensor* const> parts);

// "[2, 4, -1]"
std::string to_text(const Shape& shape);

}  // namespace framegrid::diffusion
