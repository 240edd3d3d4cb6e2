// Tensors in messages to people.
#pragma once

#include <string>
#include <vector>

#include <framegrid/api/tensor_model.hpp>

namespace framegrid::engine {

// "[1, 3, ?, ?]"
std::string shape_text(const std::vector<std::int64_t>& shape);

// "input_ids [1, 77] of integers"; the name is made printable.
std::string tensor_text(const api::TensorInfo& tensor);

// The same of all, with commas; "nothing" when there are none.
std::string tensors_text(const std::vector<api::TensorInfo>& tensors);

// Whether a picture's colours are on the last axis of a tensor of four.
bool is_channels_last(const api::TensorInfo& picture);

}  // namespace framegrid::engine
