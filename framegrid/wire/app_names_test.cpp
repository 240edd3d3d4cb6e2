#include <framegrid/wire/app_names.hpp>

#include <gtest/gtest.h>

namespace framegrid::wire {
namespace {

TEST(AppNames, RoundTrip) {
    const AppName app{"text-to-video", "framegrid/motion"};
    EXPECT_EQ(runner_id(app), "text-to-video--framegrid--motion");
    EXPECT_EQ(parse_runner_id("text-to-video--framegrid--motion"), app);
    EXPECT_EQ(parse_runner_id("upscale--a--b--c"), (AppName{"upscale", "a/b--c"}));
}

TEST(AppNames, OddOnesAreNothing) {
    for (const auto* odd :
         {"", "upscale", "upscale--a", "upscale----b", "upscale--a--", "tea--a--b", "--a--b"}) {
        EXPECT_FALSE(parse_runner_id(odd)) << odd;
    }
}

TEST(AppNames, DiscoveryListsEveryModelThatIsFree) {
    api::OrchestratorInfo info;
    info.capabilities.emplace();
    job::ModelConstraint model;
    model.warm = true;
    model.capacity = 3;
    model.capacity_in_use = 1;
    info.capabilities->add_model(job::Capability::kTextToVideo, "framegrid/motion", model);
    const std::string json = discovery_json(info, "https://o:1");
    EXPECT_NE(
        json.find(R"("url":"https://o:1/apps/text-to-video--framegrid--motion/app")"), std::string::npos
    ) << json;
    EXPECT_NE(json.find(R"("app":"framegrid/text-to-video/framegrid/motion")"), std::string::npos);
    EXPECT_NE(json.find(R"("capacity":3,"capacity_used":1,"capacity_available":2)"), std::string::npos);
    const auto number = static_cast<std::uint32_t>(job::Capability::kTextToVideo);
    info.price = Price{5, 1};
    EXPECT_EQ(discovery_json(info, "https://o:1").find("motion"), std::string::npos);
    info.model_prices = {{Price{0, 1}, number, "framegrid/motion"}};
    EXPECT_EQ(discovery_json(info, "https://o:1"), json);
    EXPECT_EQ(discovery_json({}, "https://o:1"), R"([{"address":"https://o:1","runners":[]}])");
}

}  // namespace
}  // namespace framegrid::wire
