// Pictures for measuring super-resolution, made by code that training has never seen.
#pragma once

#include <cstdint>
#include <string_view>

#include <framegrid/api/media_ports.hpp>

namespace framegrid::engine {

inline constexpr int kSrPictureKinds = 8;
std::string_view sr_picture_name(int kind);  // kind in 0 .. kSrPictureKinds - 1 (asserted)

// A picture of one kind, the same for the same arguments on every machine up to floating-point rounding. Each
// pixel is the mean of 4 x 4 samples of a continuous scene.
api::RgbImage make_sr_picture(int kind, std::uint64_t seed, int width, int height);

}  // namespace framegrid::engine
