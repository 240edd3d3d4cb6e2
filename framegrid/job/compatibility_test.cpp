#include <framegrid/job/capabilities.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace framegrid::job {
namespace {

Capabilities with_bits(const std::vector<std::int32_t>& numbers) {
    Capabilities set;
    set.bits = bitstring(numbers);
    return set;
}

bool versions_fit(const std::string& needed, const std::string& offered) {
    Capabilities needs;
    needs.min_version = needed;
    Capabilities offer;
    offer.version = offered;
    return compatible(needs, offer);
}

TEST(Compatible, BitsMustBeOffered) {
    EXPECT_TRUE(compatible(with_bits({0, 12}), with_bits({0, 1, 12})));
    EXPECT_FALSE(compatible(with_bits({0, 30}), with_bits({0, 1, 12})));
    EXPECT_FALSE(compatible(with_bits({64}), with_bits({0})));
    EXPECT_TRUE(compatible(Capabilities{}, Capabilities{}));
}

TEST(Compatible, NoOfferMeansTheLegacySet) {
    EXPECT_TRUE(compatible(with_bits({0, 11}), std::nullopt));
    EXPECT_FALSE(compatible(with_bits({12}), std::nullopt));
    EXPECT_TRUE(compatible(Capabilities{}, std::nullopt));
}

TEST(Compatible, MandatoriesMustBeInTheNeeds) {
    auto offer = with_bits({0, 12});
    offer.mandatories = bitstring({12});
    EXPECT_TRUE(compatible(with_bits({0, 12}), offer));
    EXPECT_FALSE(compatible(with_bits({0}), offer));
    EXPECT_FALSE(compatible(Capabilities{}, offer));
}

TEST(Compatible, Versions) {
    EXPECT_TRUE(versions_fit("", ""));
    EXPECT_TRUE(versions_fit("", "undefined"));
    EXPECT_FALSE(versions_fit("0.8.0", ""));
    EXPECT_FALSE(versions_fit("0.8.0", "undefined"));
    EXPECT_TRUE(versions_fit("0.8.0", "0.8.0"));
    EXPECT_TRUE(versions_fit("0.8.0", "0.10.0")) << "numbers, not texts";
    EXPECT_TRUE(versions_fit("0.8.0", "v1.0.0"));
    EXPECT_FALSE(versions_fit("0.8.1", "0.8.0"));
    EXPECT_TRUE(versions_fit("0.8.0", "0.8.0-beta.1")) << "pre-releases count as their release";
    EXPECT_TRUE(versions_fit("0.8.0-rc1", "0.8.0-beta"));
    EXPECT_TRUE(versions_fit("0.8.0", "0.8.0+build7"));
    EXPECT_TRUE(versions_fit("0.8", "0.8.0"));
    EXPECT_TRUE(versions_fit("not a version", "0.1.0")) << "an unparsable minimum passes";
    EXPECT_TRUE(versions_fit("not a version", "neither"));
    for (const auto* bad : {"x", "1.", "1.2.3.4", "-1.0.0", "99999999999.0.0", "1..2"}) {
        EXPECT_FALSE(versions_fit("0.1.0", bad)) << bad;
    }
}

class Models30 : public testing::Test {
  protected:
    static Capabilities offer(ModelConstraint model) {
        Capabilities set = default_capabilities();
        set.add_model(Capability::kUpscale, "m", std::move(model));
        return set;
    }
    static Capabilities needs(ModelConstraint model, const std::string& id = "m") {
        Capabilities set = default_capabilities();
        set.add_model(Capability::kUpscale, id, std::move(model));
        return set;
    }
};

TEST_F(Models30, ListedModelPasses) {
    EXPECT_TRUE(compatible(needs({}), offer({})));
    EXPECT_TRUE(compatible(needs({}), offer({.warm = true})));
}

TEST_F(Models30, UnlistedModelFails) {
    EXPECT_FALSE(compatible(needs({}, "other"), offer({})));
}

TEST_F(Models30, WarmthIsRequiredOnlyWhenAsked) {
    EXPECT_FALSE(compatible(needs({.warm = true}), offer({.warm = false})));
    EXPECT_TRUE(compatible(needs({.warm = true}), offer({.warm = true})));
}

TEST_F(Models30, RunnerVersion) {
    EXPECT_TRUE(compatible(needs({.runner_version = "0.1.0"}), offer({.runner_version = "0.2.0"})));
    EXPECT_FALSE(compatible(needs({.runner_version = "0.3.0"}), offer({.runner_version = "0.2.0"})));
    EXPECT_FALSE(compatible(needs({.runner_version = "0.3.0"}), offer({})));
    EXPECT_TRUE(compatible(needs({}), offer({.runner_version = "0.2.0"})));
}

TEST_F(Models30, OfferWithoutAnyConstraintsForTheCapabilityPasses) {
    auto bare = default_capabilities();
    bare.add(Capability::kUpscale);
    EXPECT_TRUE(compatible(needs({.warm = true, .runner_version = "9.0.0"}), bare));
    EXPECT_FALSE(compatible(needs({}), default_capabilities())) << "the bit itself is still needed";
}

TEST_F(Models30, AllModelsMustBeListed) {
    auto both = needs({});
    both.add_model(Capability::kUpscale, "second", {});
    EXPECT_FALSE(compatible(both, offer({})));
    auto offered = offer({});
    offered.add_model(Capability::kUpscale, "second", {});
    EXPECT_TRUE(compatible(both, offered));
}

}  // namespace
}  // namespace framegrid::job
