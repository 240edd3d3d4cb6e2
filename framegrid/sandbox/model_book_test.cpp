#include <framegrid/sandbox/model_book.hpp>

#include <algorithm>
#include <limits>

#include <gtest/gtest.h>

namespace framegrid::sandbox {
namespace {

api::ModelUse use(std::string id, std::uint64_t loads, std::int64_t bytes) {
    api::ModelUse out;
    out.id = std::move(id);
    out.loads = loads;
    out.networks = loads;
    out.networks_ms = static_cast<std::int64_t>(loads) * 200;
    out.bytes = bytes;
    return out;
}

std::string text_of(const ModelStats& stats) {
    PrometheusText out;
    dump(out, stats);
    return out.text();
}

bool has(const std::string& text, const std::string& line) {
    return text.find(line + "\n") != std::string::npos;
}

TEST(ModelBook, AddsUpProcessesThatComeAndGo) {
    ModelBook book;
    api::DeviceUse first{"cpu", 1'000, 500, 10, 15, {use("a/b", 1, 100), use("c/d", 3, 0)}};
    first.models[1].evicted = 2;
    first.models[1].idled = 1;
    book.take({}, first);
    api::DeviceUse later = first;
    later.turns = 12;
    later.models[0].no_room = 4;
    book.take(first, later);
    book.forget(later);
    // Another process counts from nothing again.
    const api::DeviceUse second{"cpu", 1'000, 500, 1, 1, {use("a/b", 1, 100)}};
    book.take({}, second);
    ModelStats stats = book.totals();
    ModelBook::add_device(stats, second);
    ModelBook::add_device(stats, second);
    const auto text = text_of(stats);
    for (const char* const line :
         {"framegrid_sandbox_model_loads_total{model=\"a/b\",result=\"done\"} 2",
          "framegrid_sandbox_model_loads_total{model=\"a/b\",result=\"failed\"} 0",
          "framegrid_sandbox_model_unloads_total{model=\"a/b\",cause=\"process\"} 1",
          "framegrid_sandbox_model_unloads_total{model=\"c/d\",cause=\"room\"} 2",
          "framegrid_sandbox_model_unloads_total{model=\"c/d\",cause=\"idle\"} 1",
          "framegrid_sandbox_model_unloads_total{model=\"c/d\",cause=\"process\"} 0",
          "framegrid_sandbox_model_no_room_total{model=\"a/b\"} 4",
          "framegrid_sandbox_model_network_load_seconds_count{model=\"c/d\",result=\"done\"} 3",
          "framegrid_sandbox_model_warm_bytes{model=\"a/b\",device=\"cpu\"} 200",
          "framegrid_sandbox_model_memory_bytes_max{device=\"cpu\"} 2000",
          "framegrid_sandbox_work_memory_bytes_max{device=\"cpu\"} 1000",
          "framegrid_sandbox_device_turns_total 13", "framegrid_sandbox_device_turn_jobs_total 16"}) {
        EXPECT_TRUE(has(text, line)) << line << "\n" << text;
    }
}

TEST(ModelBook, AProcessThatLiesCannotFloodTheMetrics) {
    ModelBook book;
    api::DeviceUse before;
    for (int i = 0; i < 1'000; ++i) {
        api::DeviceUse now{"cpu", 0, 0, std::numeric_limits<std::uint64_t>::max(), 0, {}};
        now.models.push_back(use("model-" + std::to_string(i), 1, 1));
        now.models.back().loads = std::numeric_limits<std::uint64_t>::max();
        now.models.back().networks = std::numeric_limits<std::uint64_t>::max();
        now.models.back().networks_ms = std::numeric_limits<std::int64_t>::min();
        now.models.back().bytes = std::numeric_limits<std::int64_t>::max();
        book.take(before, now);
        before = now;
    }
    ModelStats stats = book.totals();
    for (int i = 0; i < 1'000; ++i) {
        before.device = "device-" + std::to_string(i);
        ModelBook::add_device(stats, before);
    }
    ModelBook::add_device(stats, before);
    const auto text = text_of(stats);
    EXPECT_LT(static_cast<std::size_t>(std::ranges::count(text, '\n')), 4'000u);
    EXPECT_TRUE(has(text, "framegrid_sandbox_model_loads_total{model=\"model-0\",result=\"done\"} 1000000"))
        << text;
    EXPECT_TRUE(has(text, "framegrid_sandbox_model_loads_total{model=\"other\",result=\"done\"} 900000000"))
        << text;
    EXPECT_TRUE(has(text, "framegrid_sandbox_device_turns_total 1000000")) << text;
}

TEST(ModelBook, WhatFallsIsNoCounter) {
    ModelBook book;
    const api::DeviceUse high{"cpu", 0, 0, 5, 5, {use("a", 5, 1)}};
    const api::DeviceUse low{"cpu", 0, 0, 2, 2, {use("a", 2, 1)}};
    book.take({}, high);
    book.take(high, low);
    EXPECT_EQ(book.totals().turns, 5u);
    EXPECT_EQ(book.totals().counts.begin()->second.loads, 5u);
}

}  // namespace
}  // namespace framegrid::sandbox
