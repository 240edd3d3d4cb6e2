#include <framegrid/sandbox/model_book.hpp>

#include <algorithm>
#include <chrono>

namespace framegrid::sandbox {

namespace {

constexpr std::uint64_t kGrowthMax = 1'000'000;  // between two reports
constexpr std::uint64_t kLoadsMax = 1'000;       // networks, likewise: each is a sample of the histogram
constexpr std::int64_t kBytesMax = std::int64_t{1} << 50;
constexpr std::size_t kDevicesMax = 16;

std::uint64_t growth(std::uint64_t before, std::uint64_t now) {
    return now > before ? std::min(now - before, kGrowthMax) : 0;
}

std::int64_t sane(std::int64_t bytes) {
    return std::clamp<std::int64_t>(bytes, 0, kBytesMax);
}

}  // namespace

void ModelBook::take(const api::DeviceUse& before, const api::DeviceUse& now) {
    const api::ModelUse none;
    for (const auto& use : now.models) {
        const auto known = std::ranges::find(before.models, use.id, &api::ModelUse::id);
        const auto& old = known == before.models.end() ? none : *known;
        auto& counts = totals_.counts.at(use.id);
        counts.loads += growth(old.loads, use.loads);
        counts.load_failures += growth(old.load_failures, use.load_failures);
        counts.evicted += growth(old.evicted, use.evicted);
        counts.idled += growth(old.idled, use.idled);
        counts.no_room += growth(old.no_room, use.no_room);
        const auto loads = std::min(growth(old.networks, use.networks), kLoadsMax);
        const std::int64_t took_ms = std::clamp<std::int64_t>(use.networks_ms, 0, kBytesMax) -
                                     std::clamp<std::int64_t>(old.networks_ms, 0, kBytesMax);
        for (std::uint64_t i = 0; i < loads && took_ms >= 0; ++i) {
            // Several in one task are told of together.
            totals_.network_loads.add(
                use.id, "done", std::chrono::milliseconds(took_ms / static_cast<std::int64_t>(loads))
            );
        }
    }
    totals_.turns += growth(before.turns, now.turns);
    totals_.turn_jobs += growth(before.turn_jobs, now.turn_jobs);
}

void ModelBook::forget(const api::DeviceUse& last) {
    for (const auto& use : last.models) {
        totals_.counts.at(use.id).ended += use.bytes > 0 ? 1 : 0;
    }
}

void ModelBook::add_device(ModelStats& stats, const api::DeviceUse& now) {
    if (now.device.empty() || (stats.devices.size() >= kDevicesMax && !stats.devices.contains(now.device))) {
        return;
    }
    auto& device = stats.devices[now.device];
    device.memory_bytes_max += sane(now.memory_bytes_max);
    device.work_memory_bytes_max += sane(now.work_memory_bytes_max);
    for (const auto& use : now.models) {
        if (use.bytes > 0) {
            device.bytes.at(use.id) += sane(use.bytes);
        }
    }
}

void dump(MetricsWriter& out, const ModelStats& stats) {
    for (const auto& [model, counts] : stats.counts) {
        const auto count = [&](std::string_view name, std::uint64_t value, std::string_view label,
                               std::string_view text) {
            out.counter(name, value, {{"model", model}, {label, text}});
        };
        count("framegrid_sandbox_model_loads_total", counts.loads, "result", "done");
        count("framegrid_sandbox_model_loads_total", counts.load_failures, "result", "failed");
    }
    for (const auto& [model, counts] : stats.counts) {
        constexpr const char* kName = "framegrid_sandbox_model_unloads_total";
        out.counter(kName, counts.evicted, {{"model", model}, {"cause", "room"}});
        out.counter(kName, counts.idled, {{"model", model}, {"cause", "idle"}});
        out.counter(kName, counts.ended, {{"model", model}, {"cause", "process"}});
    }
    for (const auto& [model, counts] : stats.counts) {
        out.counter("framegrid_sandbox_model_no_room_total", counts.no_room, {{"model", model}});
    }
    stats.network_loads.dump(out, "framegrid_sandbox_model_network_load_seconds", "model");
    for (const auto& [name, device] : stats.devices) {
        for (const auto& [model, bytes] : device.bytes) {
            out.gauge(
                "framegrid_sandbox_model_warm_bytes", static_cast<double>(bytes),
                {{"model", model}, {"device", name}}
            );
        }
    }
    for (const auto& [name, device] : stats.devices) {
        out.gauge(
            "framegrid_sandbox_model_memory_bytes_max", static_cast<double>(device.memory_bytes_max),
            {{"device", name}}
        );
    }
    for (const auto& [name, device] : stats.devices) {
        out.gauge(
            "framegrid_sandbox_work_memory_bytes_max", static_cast<double>(device.work_memory_bytes_max),
            {{"device", name}}
        );
    }
    out.counter("framegrid_sandbox_device_turns_total", stats.turns);
    out.counter("framegrid_sandbox_device_turn_jobs_total", stats.turn_jobs);
    for (const auto& [model, tasks] : stats.tasks) {
        constexpr const char* kName = "framegrid_sandbox_model_tasks";
        out.gauge(kName, static_cast<double>(tasks.running), {{"model", model}, {"state", "running"}});
        out.gauge(kName, static_cast<double>(tasks.waiting), {{"model", model}, {"state", "waiting"}});
    }
}

}  // namespace framegrid::sandbox
