// Frame interpolation networks: two pictures and a time between them to the picture in between.
#pragma once

#include <optional>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/api/tensor_model.hpp>

namespace framegrid::engine {

// How a network takes its pictures, as exports of RIFE, FILM and our own do.
struct InterpolationInputs {
    std::string before;               // [1, 3, h, w], or both pictures on axis 1 when `after` is empty
    std::string after;                // [1, 3, h, w]
    std::optional<std::string> time;  // absent: only the middle
    std::int64_t channels = 3;        // of `before` when it holds both: 6, 7 (a plane of the time) or 8
    std::size_t time_rank = 0;        // of `time`
    bool time_is_plane = false;       // [1, 1, h, w] instead of one number
    bool channels_last = false;       // pictures are [1, h, w, 3] (FILM)

    // kUnprocessable: inputs that fit no known way.
    static Result<InterpolationInputs> find(const api::TensorModel& network);
};

// Whether there is a cut between two pictures of one size: they differ by a fifth of the range on average. A
// picture "between" two shots would show both.
bool is_cut(const api::RgbImage& before, const api::RgbImage& after);

class Interpolator {
  public:
    // `multiple`: sides are padded to divide by it, edges repeated.
    static Result<Interpolator> make(api::TensorModel& network, int multiple);

    // 0 < time < 1. A network that only knows the middle is asked again for the halves, until what it gives
    // is within 1/32 of `time`. kInvalidArgument: pictures of two sizes.
    Result<api::RgbImage> between(
        const api::RgbImage& before, const api::RgbImage& after, double time, const api::StopFlag& stop
    );

  private:
    Interpolator(api::TensorModel& network, InterpolationInputs inputs, int multiple)
        : network_(&network), inputs_(std::move(inputs)), multiple_(multiple) {}
    Result<api::RgbImage> once(const api::RgbImage& before, const api::RgbImage& after, double time);

    api::TensorModel* network_;
    InterpolationInputs inputs_;
    int multiple_;
};

}  // namespace framegrid::engine
