// What simulated media looks like: every input names its job, and every output names the input it was made
// from, so that a result that ends up with the wrong job is seen.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/api/work.hpp>

namespace framegrid::sim {

inline constexpr std::string_view kPoison = "poison ";  // inputs that start so are not media
inline constexpr const char* kModel = "framegrid/sr-2x";

struct JobKey {
    std::uint32_t flow = 0;  // a stream, or a batch of AI requests
    std::uint32_t seq = 0;
    bool ai = false;
    bool poison = false;
};

// The manifest id of a flow.
std::string flow_name(std::uint32_t flow);
Blob make_input(const JobKey& key);
std::vector<media::VideoProfile> profiles_of(std::uint32_t flow);
api::Work make_work(const JobKey& key, std::int64_t segment_ms);

// What an honest device makes of it.
api::WorkOutput make_output(const api::Work& work);
// Empty when the output is exactly that, else what is wrong with it.
std::string check_output(const JobKey& key, const api::WorkOutput& output);

}  // namespace framegrid::sim
