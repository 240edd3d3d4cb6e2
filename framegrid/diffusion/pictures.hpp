// Pictures to the tensors that networks see, and back.
#pragma once

#include <span>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/api/tensor_model.hpp>

namespace framegrid::diffusion {

// Whether the sizes are positive and agree with the number of pixels.
bool is_picture(const api::RgbImage& image);

// Lanczos with three lobes, widened when shrinking, edges cut off, rounded to 8 bits after each direction (as
// Pillow does).
api::RgbImage resize_lanczos(const api::RgbImage& image, int width, int height);

// [1, c, h, w] blurred by a Gaussian as wide as the shrinking asks for, then sampled by Keys' cubic with a =
// -0.75, corners on corners: what Stable Video Diffusion shows its image encoder.
api::Tensor resize_antialiased(const api::Tensor& tensor, std::int64_t width, std::int64_t height);

// [1, 3, height, width] in -1 .. 1.
api::Tensor picture_to_tensor(const api::RgbImage& image);

// One row of [n, 3, height, width] in -1 .. 1. Clamped and rounded; NaN becomes 0.
api::RgbImage tensor_to_picture(const api::Tensor& tensor, std::int64_t row);

// [1, 1, height, width] of 0 and 1: 1 where the picture's luma is at least half (white is to be painted).
api::Tensor mask_to_tensor(const api::RgbImage& mask);

// Every `factor`-th value of both directions of [1, c, height, width].
api::Tensor pick_nearest(const api::Tensor& tensor, int factor);

// Means of factor x factor blocks of [n, c, height, width]; what does not fill a block is left out.
api::Tensor shrink_by_mean(const api::Tensor& tensor, int factor);

}  // namespace framegrid::diffusion
