#include <framegrid/gateway/work_units.hpp>

#include <framegrid/job/document.hpp>
#include <framegrid/pay/units.hpp>
#include <framegrid/workflow/plan.hpp>

namespace framegrid::gateway {

std::int64_t units_of(const JobRequest& request, const api::WorkOutput& output) {
    if (const auto* ai = std::get_if<api::AiWork>(&request.work.kind)) {
        return ai->pipeline == job::kEcho ? 1 : request.units.value;
    }
    Pixels pixels;
    for (const auto& artifact : output.artifacts) {
        pixels = pixels + artifact.pixels;
    }
    return pixels.value;
}

pay::Money expected_fee(const JobRequest& request, const Price& price) {
    if (const auto* transcode = std::get_if<api::TranscodeWork>(&request.work.kind)) {
        const Pixels pixels = media::estimate_pixels(transcode->profiles, transcode->duration_ms);
        return pay::estimated_fee(pixels.value, price);
    }
    return pay::Money::of_units(units_of(request, {}), price);
}

std::optional<std::int64_t> cost_of(const JobResult& result, Pixels units) {
    if (!result.cost) {
        return workflow::wei_for(units, result.price);
    }
    const bool countable = *result.cost <= std::numeric_limits<std::int64_t>::max();
    return countable ? std::optional(static_cast<std::int64_t>(*result.cost)) : std::nullopt;
}

}  // namespace framegrid::gateway
