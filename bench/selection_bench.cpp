// Choosing one orchestrator among 10,000: the index is current, no network call is made. Prints one JSON
// object with microseconds per pick; the last argument may set the number of orchestrators.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <framegrid/market/pool.hpp>
#include <framegrid/runtime/seeded_random.hpp>

namespace {

using namespace framegrid;

constexpr int kPicks = 200'000;

api::OrchestratorInfo make_info(Random& random) {
    api::OrchestratorInfo info;
    info.service_uri = "https://node";
    info.price = Price{static_cast<std::int64_t>(random.below(2'000)), 1};
    info.capabilities = job::default_capabilities();
    info.capabilities->capacities[0] = static_cast<std::uint32_t>(1 + random.below(8));
    if (random.chance(0.5)) {
        info.capabilities->add_model(
            job::Capability::kUpscale, "framegrid/sr-2x", {.warm = random.chance(0.3), .capacity = 1}
        );
    }
    return info;
}

// A busy market: a third is suspended or too expensive, and infos, starts and ends keep arriving between
// picks.
void run(std::size_t count) {
    SeededRandom random(1);
    market::PoolSettings settings;
    settings.price_max = Price{1'500, 1};
    market::Pool pool(settings);
    std::vector<std::string> uris;
    for (std::size_t i = 0; i < count; ++i) {
        uris.push_back("https://node-" + std::to_string(i));
    }
    pool.set_list(uris);
    TimePoint now{};
    for (market::Slot slot = 0; slot < count; ++slot) {
        pool.on_info(slot, make_info(random), now);
        if (random.chance(0.1)) {
            pool.on_started(slot);
            pool.on_failed(slot, std::nullopt, now, random);
        }
    }
    market::Demand transcode;
    transcode.needs = job::transcode_needs({}, job::SourceCodec::kH264, false);
    market::Demand upscale;
    upscale.capability = job::Capability::kUpscale;
    upscale.model_id = "framegrid/sr-2x";
    upscale.needs = job::ai_needs(*upscale.capability, upscale.model_id);

    std::vector<double> micros;
    micros.reserve(kPicks);
    std::vector<market::Slot> running;
    for (int i = 0; i < kPicks; ++i) {
        now += std::chrono::microseconds(20);
        const auto start = std::chrono::steady_clock::now();
        const auto slot = pool.pick(i % 2 == 0 ? transcode : upscale, now, random);
        const auto end = std::chrono::steady_clock::now();
        micros.push_back(std::chrono::duration<double, std::micro>(end - start).count());
        if (slot) {
            pool.on_started(*slot);
            running.push_back(*slot);
        }
        if (running.size() > 500) {
            pool.on_done(running.front(), std::nullopt, 0.2 + random.unit());
            running.erase(running.begin());
        }
        if (i % 10 == 0) {
            pool.on_info(static_cast<market::Slot>(random.below(count)), make_info(random), now);
        }
    }
    std::sort(micros.begin(), micros.end());
    const auto at = [&](double share) { return micros[static_cast<std::size_t>(share * (kPicks - 1))]; };
    std::printf(
        "{\"orchestrators\":%zu,\"picks\":%d,\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%."
        "1f}\n",
        count, kPicks, at(0.5), at(0.99), at(0.999), micros.back()
    );
}

}  // namespace

int main(int argc, char** argv) {
    run(argc > 1 ? static_cast<std::size_t>(std::strtoul(argv[1], nullptr, 10)) : 10'000);
    return 0;
}
