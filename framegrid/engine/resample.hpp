// Bicubic resampling by a whole factor: the baseline that super-resolution is measured against.
#pragma once

#include <framegrid/api/media_ports.hpp>

namespace framegrid::engine {

// Both use Keys' cubic kernel (a = -0.5, Catmull-Rom), sample centres at (i + 0.5), repeated edges, and round
// to 8 bits. Shrinking widens the kernel by the factor (antialiased), as imaging libraries do; sizes must be
// multiples of `factor` (asserted).
api::RgbImage shrink_bicubic(const api::RgbImage& image, int factor);
api::RgbImage enlarge_bicubic(const api::RgbImage& image, int factor);

// Peak signal-to-noise ratio over all three channels in dB, `border` pixels left out on each side; 100 when
// equal. Same sizes (asserted), larger than twice the border.
double psnr_rgb(const api::RgbImage& a, const api::RgbImage& b, int border);

}  // namespace framegrid::engine
