// Frame interpolation networks: two pictures and a time between them to the picture in between.
#pragma once

#include <optional>
#include <vector>

#include <framegrid/api/media_ports.hpp>
#include <framegrid/api/tensor_model.hpp>

namespace framegrid::engine {

// How a network takes its pictures and gives the one between, as exports of RIFE, FILM and our own do.
struct InterpolationTensors {
    std::string before;               // [1, 3, h, w], or both pictures on axis 1 when `after` is empty
    std::string after;                // [1, 3, h, w]
    std::optional<std::string> time;  // absent: only the middle, or on axis 1
    // Of `before` when it holds both: 6; 7 with a plane of the time; 8 with one that is 1 (by how much the
    // picture is scaled, in RIFE's first exports); 11 with the time, places across and down from -1 to 1, and
    // 2 / (w - 1), 2 / (h - 1) (vs-mlrt's).
    std::int64_t channels = 3;
    std::size_t time_rank = 0;   // of `time`
    bool time_is_plane = false;  // [1, 1, h, w] instead of one number
    bool channels_last = false;  // pictures are [1, h, w, 3] (FILM)
    media::Size fixed{};         // the only size of the pictures; 0 for a side that may be any
    std::size_t output = 0;      // which output is the picture; FILM's exports have two dozen

    // Told by names and shapes. kUnprocessable, naming the tensor: no known way.
    static Result<InterpolationTensors> find(
        const std::vector<api::TensorInfo>& inputs, const std::vector<api::TensorInfo>& outputs
    );
};

// Whether there is a cut between two pictures of one size: they differ by a fifth of the range on average. A
// picture "between" two shots would show both.
bool is_cut(const api::RgbImage& before, const api::RgbImage& after);

class Interpolator {
  public:
    // `multiple`: sides are padded to divide by it, edges repeated.
    static Result<Interpolator> make(api::TensorModel& network, int multiple);

    // 0 < time < 1. A network that only knows the middle is asked again for the halves, until what it gives
    // is within 1/32 of `time`. kInvalidArgument: pictures of two sizes, or larger than the network takes.
    Result<api::RgbImage> between(
        const api::RgbImage& before, const api::RgbImage& after, double time, const api::StopFlag& stop
    );

  private:
    Interpolator(api::TensorModel& network, InterpolationTensors tensors, int multiple)
        : network_(&network), tensors_(std::move(tensors)), multiple_(multiple) {}
    Result<api::RgbImage> once(const api::RgbImage& before, const api::RgbImage& after, double time);
    api::Tensor joined(const api::RgbImage& before, const api::RgbImage& after, double time, media::Size size)
        const;
    api::Tensor single(const api::RgbImage& picture, media::Size size) const;
    api::Tensor moment(double time, media::Size size) const;

    api::TensorModel* network_;
    InterpolationTensors tensors_;
    int multiple_;
};

}  // namespace framegrid::engine
