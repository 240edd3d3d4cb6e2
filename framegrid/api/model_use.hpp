// What one process does with models, for its operator: counts since it started, and what it holds now.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace framegrid::api {

struct ModelUse {
    std::string id;
    std::uint64_t loads = 0;
    std::uint64_t load_failures = 0;
    std::uint64_t evicted = 0;     // left to make room
    std::uint64_t idled = 0;       // left because nobody used it
    std::uint64_t no_room = 0;     // found no room beside those in use: a job waited and tried again
    std::uint64_t networks = 0;    // loaded: a model may have several, which come when they are first used
    std::int64_t networks_ms = 0;  // that took, all together
    std::int64_t bytes = 0;        // that it counts for while it is loaded; 0: it is not
    friend bool operator==(const ModelUse&, const ModelUse&) = default;
};

struct DeviceUse {
    std::string device;                 // what networks run on: "cpu", "cuda:0"; empty: none was loaded yet
    std::int64_t memory_bytes_max = 0;  // for loaded models
    std::int64_t work_memory_bytes_max = 0;  // for what jobs hold beside them
    std::uint64_t turns = 0;                 // of the device: calls of networks, one after the other
    std::uint64_t turn_jobs = 0;             // jobs in those together: over turns, how many shared a call
    std::vector<ModelUse> models;            // that were ever wanted
    friend bool operator==(const DeviceUse&, const DeviceUse&) = default;
};
inline constexpr std::size_t kModelUsesMax = 256;  // that are told of

}  // namespace framegrid::api
