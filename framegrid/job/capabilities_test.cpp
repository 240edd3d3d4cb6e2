#include <framegrid/job/capabilities.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace framegrid::job {
namespace {

using Words = std::vector<std::uint64_t>;

TEST(Bitstring, Vector22) {
    EXPECT_EQ(bitstring({-10, -1, 0, 1, 2, 3, 4, 5}), (Words{63}));
    EXPECT_EQ(bitstring({192, 193}), (Words{0, 0, 0, 3}));
    EXPECT_EQ(bitstring({193, 54, 192, 79}), (Words{std::uint64_t{1} << 54, std::uint64_t{1} << 15, 0, 3}));
    EXPECT_EQ(bitstring({}), Words{});
    EXPECT_EQ(bitstring({2'000'000'000}), Words{}) << "absurd numbers must not allocate";
}

TEST(Bitstring, Vector23) {
    EXPECT_EQ(default_capabilities().bits, (Words{67133439}));
    EXPECT_EQ(transcode_capabilities().bits, (Words{67133439 - (1U << 14U)}));
    auto live = default_capabilities();
    live.add(Capability::kLiveVideoToVideo);
    EXPECT_EQ(live.bits, (Words{34426871807}));
    EXPECT_EQ(bitstring({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}), (Words{4095}));
    EXPECT_EQ(bitstring({12}), (Words{4096}));
    EXPECT_EQ(bitstring({12, 0, 1, 4}), (Words{4115}));
    EXPECT_EQ(bitstring({27}), (Words{134217728}));
    EXPECT_EQ(bitstring({35}), (Words{34359738368}));
}

TEST(Bitstring, Within) {
    EXPECT_TRUE(bits_within({}, {}));
    EXPECT_TRUE(bits_within({1}, {3}));
    EXPECT_TRUE(bits_within({1}, {3, 7}));
    EXPECT_FALSE(bits_within({4}, {3}));
    EXPECT_FALSE(bits_within({1, 0}, {3})) << "a longer set fails even when its last word is zero";
}

TEST(Capabilities, EachListedCapabilityStartsAtOne) {
    const auto set = default_capabilities();
    EXPECT_EQ(set.capacities.size(), 15U);
    for (const auto& [number, capacity] : set.capacities) {
        EXPECT_EQ(capacity, 1U) << number;
        EXPECT_TRUE(set.has(static_cast<Capability>(number)));
    }
    EXPECT_FALSE(set.has(Capability::kUpscale));
    EXPECT_FALSE(set.has(static_cast<Capability>(-1)));
    EXPECT_FALSE(set.has(static_cast<Capability>(1'000'000)));
}

TEST(Capabilities, PipelineNames) {
    EXPECT_EQ(capability_of_pipeline("upscale"), Capability::kUpscale);
    EXPECT_EQ(capability_of_pipeline("live-video-to-video"), Capability::kLiveVideoToVideo);
    EXPECT_EQ(capability_of_pipeline("segment-anything-2"), Capability::kSegmentAnything2);
    EXPECT_EQ(capability_of_pipeline("llm"), Capability::kLlm);
    for (const auto* unknown : {"", "echo", "Upscale", "auth-token", "byoc", "h.264"}) {
        EXPECT_EQ(capability_of_pipeline(unknown), std::nullopt) << unknown;
    }
    EXPECT_EQ(pipeline_of(Capability::kTextToImage), "text-to-image");
    EXPECT_EQ(name_of(Capability::kH264), "H.264");
    EXPECT_EQ(name_of(static_cast<Capability>(13)), "unknown");
}

TEST(Capabilities, ModelsAreListedUnderTheirCapability) {
    Capabilities set;
    set.add_model(Capability::kUpscale, "framegrid/sr-2x", {.warm = true, .capacity = 2});
    EXPECT_TRUE(set.has(Capability::kUpscale));
    ASSERT_NE(set.model(Capability::kUpscale, "framegrid/sr-2x"), nullptr);
    EXPECT_EQ(set.model(Capability::kUpscale, "framegrid/sr-2x")->capacity, 2U);
    EXPECT_EQ(set.model(Capability::kUpscale, "other"), nullptr);
    EXPECT_EQ(set.model(Capability::kLlm, "framegrid/sr-2x"), nullptr);
}

TEST(Merge, WorkersComeAndGo) {
    Capabilities node;
    auto worker = default_capabilities();
    worker.add(Capability::kUpscale, 3);
    worker.add_model(Capability::kUpscale, "m", {.warm = true, .capacity = 3});
    merge(node, worker, +1);
    merge(node, worker, +1);
    EXPECT_EQ(node.capacities.at(30), 6U);
    EXPECT_EQ(node.capacities.at(0), 2U);
    EXPECT_EQ(node.model(Capability::kUpscale, "m")->capacity, 6U);
    merge(node, worker, -1);
    EXPECT_EQ(node.capacities.at(30), 3U);
    EXPECT_TRUE(node.has(Capability::kUpscale));
    merge(node, worker, -1);
    EXPECT_EQ(node, Capabilities{}) << "nothing is left behind, no zero words either";
    merge(node, worker, -1);
    EXPECT_EQ(node, Capabilities{}) << "removing too much is harmless";
}

TEST(Merge, WithoutCapacitiesEveryBitCountsOne) {
    Capabilities worker;
    worker.bits = bitstring({0, 30});
    Capabilities node;
    merge(node, worker, +1);
    EXPECT_EQ(node.capacities, (Capacities{{0, 1}, {30, 1}}));
}

TEST(Merge, PeersCannotOverflowOrInflateTheSet) {
    Capabilities worker;
    worker.capacities = {{0, 0xffffffff}, {0xffffffff, 5}};
    worker.constraints[0xfffffff0]["m"] = {};
    Capabilities node;
    merge(node, worker, +1);
    merge(node, worker, +1);
    EXPECT_EQ(node.capacities, (Capacities{{0, 0xffffffff}}));
    EXPECT_EQ(node.bits.size(), 1U);
    EXPECT_TRUE(node.constraints.empty());
}

TEST(Needs, PlainH264) {
    const media::VideoProfile profile{.name = "p", .width = 640, .height = 360, .fps_num = 30};
    EXPECT_EQ(transcode_needs({profile}, SourceCodec::kH264, false).bits, bitstring({12, 0, 1, 4}));
    EXPECT_EQ(transcode_needs({profile}, SourceCodec::kH264, true).bits, bitstring({12, 0, 1, 4, 26}));
}

TEST(Needs, H264ThatIsNotTheUsualWantsItsDecoder) {
    const auto needs = [](std::string_view format, SourceCodec codec = SourceCodec::kH264) {
        return transcode_needs({}, codec, false, format);
    };
    EXPECT_TRUE(needs("yuv422p10le").has(Capability::kH264Decode422Depth10));
    EXPECT_TRUE(needs("yuv420p10le").has(Capability::kH264Decode420Depth10));
    EXPECT_TRUE(needs("yuvj444p").has(Capability::kH264Decode444));
    EXPECT_EQ(needs("yuv420p"), needs(""));
    EXPECT_EQ(needs("yuv420p10le", SourceCodec::kHevc), needs("", SourceCodec::kHevc));
}

TEST(Needs, EveryFeatureOfAProfileIsListed) {
    const media::VideoProfile a{
        .name = "a",
        .fps_num = 30000,
        .fps_den = 1001,
        .container = media::Container::kMp4,
        .h264_profile = media::H264Profile::kHigh,
        .gop_ms = 2000,
    };
    const media::VideoProfile b{.name = "b", .gop_ms = media::kGopIntra, .encoder = media::Encoder::kHevc};
    const auto needs = transcode_needs({a, b}, SourceCodec::kVp9, false);
    EXPECT_EQ(needs.bits, bitstring({0, 1, 2, 3, 4, 9, 11, 12, 16, 18}));
    EXPECT_EQ(transcode_needs({}, SourceCodec::kOther, false).bits, bitstring({4, 12, 99}));
    EXPECT_EQ(
        transcode_needs(
            {{.name = "a", .h264_profile = media::H264Profile::kBaseline}}, SourceCodec::kHevc, false
        )
            .bits,
        bitstring({0, 1, 4, 7, 12, 15})
    );
    EXPECT_EQ(
        transcode_needs(
            {{.name = "a", .encoder = media::Encoder::kVp8}, {.name = "b", .encoder = media::Encoder::kVp9}},
            SourceCodec::kVp8, false
        )
            .bits,
        bitstring({1, 4, 12, 17, 19, 20})
    );
}

TEST(Needs, AiListsTheModelCold) {
    const auto needs = ai_needs(Capability::kUpscale, "m");
    EXPECT_TRUE(needs.has(Capability::kAuthToken));
    EXPECT_TRUE(needs.has(Capability::kUpscale));
    ASSERT_NE(needs.model(Capability::kUpscale, "m"), nullptr);
    EXPECT_FALSE(needs.model(Capability::kUpscale, "m")->warm);
}

}  // namespace
}  // namespace framegrid::job
