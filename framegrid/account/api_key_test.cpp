#include <framegrid/account/key_ring.hpp>

#include <framegrid/runtime/seeded_random.hpp>

#include <gtest/gtest.h>

namespace framegrid::account {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000;

class ApiKeyTest : public testing::Test {
  protected:
    NewKey make(const std::string& owner = "acme", Limits limits = {}) {
        KeyRecord like;
        like.name = "ci";
        like.owner = owner;
        like.scopes = kUserScopes;
        like.limits = std::move(limits);
        auto key = make_key(std::move(like), kNow, random_);
        key.record.change = ++change_;
        return key;
    }
    static std::string refusal(const Result<Permit>& permit) {
        EXPECT_FALSE(permit);
        if (permit) {
            return "";
        }
        EXPECT_EQ(permit.error().code, Errc::kUnauthorized);
        return permit.error().message;
    }
    SeededRandom random_{1};
    std::uint64_t change_ = 0;
};

TEST_F(ApiKeyTest, TextAndRecordBelongTogether) {
    const auto key = make();
    EXPECT_EQ(key.text.size(), 92U);
    EXPECT_TRUE(key.text.starts_with("fg_" + key.record.id + "_"));
    const auto shown = parse_key(key.text);
    ASSERT_TRUE(shown);
    EXPECT_EQ(shown->id, key.record.id);
    EXPECT_EQ(shown->secret_sha256, key.record.secret_sha256);
    EXPECT_NE(make().text, key.text);
    EXPECT_EQ(make("").record.owner.substr(0, 4), "key_");
}

TEST_F(ApiKeyTest, OneWrongCharacterIsFound) {
    const auto key = make();
    for (std::size_t at = 0; at < key.text.size(); ++at) {
        auto text = key.text;
        text[at] = text[at] == '0' ? '1' : '0';
        EXPECT_FALSE(parse_key(text)) << at;
    }
    for (const std::string text : {"", "fg_", "fg__", "Bearer", "fg_0000000000000000_"}) {
        EXPECT_FALSE(parse_key(text));
    }
    EXPECT_FALSE(parse_key(key.text + "0"));
    EXPECT_FALSE(parse_key(key.text.substr(1)));
}

TEST_F(ApiKeyTest, TheRingKnowsWhoMayDoWhat) {
    KeyRing ring;
    auto key = make();
    EXPECT_NE(refusal(ring.find(key.text, kNow)).find("does not know"), std::string::npos);
    ring.update({key.record});
    const auto permit = ring.find(key.text, kNow);
    ASSERT_TRUE(permit);
    EXPECT_EQ(permit->owner, "acme");
    EXPECT_EQ(permit->subject, key.record.id);
    EXPECT_TRUE(permit->scopes.has(Scope::kJobsWrite));
    EXPECT_FALSE(permit->scopes.has(Scope::kAdmin));

    auto other = make();
    other.record.id = key.record.id;  // the right id with another secret
    other.text = "fg_" + key.record.id + other.text.substr(19);
    EXPECT_FALSE(ring.find(other.text, kNow));

    key.record.expires_unix_ms = kNow + 10;
    key.record.change = ++change_;
    ring.update({key.record});
    EXPECT_TRUE(ring.find(key.text, kNow + 9));
    EXPECT_NE(refusal(ring.find(key.text, kNow + 10)).find("expired"), std::string::npos);
    key.record.revoked_unix_ms = kNow + 5;
    key.record.change = ++change_;
    ring.update({key.record});
    EXPECT_TRUE(ring.find(key.text, kNow + 4)) << "a revocation may lie ahead";
    EXPECT_NE(refusal(ring.find(key.text, kNow + 5)).find("revoked"), std::string::npos);
    EXPECT_EQ(ring.last_change(), change_);
    EXPECT_EQ(ring.size(), 1U);
}

TEST_F(ApiKeyTest, AnOwnerMayDoWhatItsBestKeyMay) {
    KeyRing ring;
    Limits small{.running_max = 2, .queued_max = 5, .weight = 1};
    Limits large{.running_max = 4, .queued_max = 0, .weight = 3};
    auto best = make("acme", large);
    ring.update({make("acme", small).record, best.record, make("other", {}).record});
    EXPECT_EQ(ring.limits_of("acme", kNow).running_max, 4U);
    EXPECT_EQ(ring.limits_of("acme", kNow).queued_max, 0U);
    EXPECT_EQ(ring.limits_of("acme", kNow).weight, 3);
    best.record.revoked_unix_ms = kNow;
    ring.update({best.record});
    EXPECT_EQ(ring.limits_of("acme", kNow), small);
    EXPECT_EQ(ring.limits_of("nobody", kNow), Limits{});
}

TEST_F(ApiKeyTest, AnOwnerMaySpendWhatItsBestKeyMay) {
    KeyRing ring;
    const auto low = make("acme", {.wei_per_day = Wei(10), .wei_total = Wei(500)});
    auto high = make("acme", {.wei_per_day = Wei(300), .wei_total = Wei(100)});
    ring.update({low.record, high.record});
    EXPECT_EQ(ring.limits_of("acme", kNow).wei_per_day, Wei(300));
    EXPECT_EQ(ring.limits_of("acme", kNow).wei_total, Wei(500));
    EXPECT_EQ(ring.find(low.text, kNow).value().limits.wei_per_day, Wei(10)) << "the key's own";
    auto open = make("acme", {.wei_per_day = Wei(20)});
    ring.update({open.record});
    EXPECT_EQ(ring.limits_of("acme", kNow).wei_per_day, Wei(300));
    EXPECT_EQ(ring.limits_of("acme", kNow).wei_total, std::nullopt) << "one key has no such limit";
    for (auto* one : {&high, &open}) {
        one->record.revoked_unix_ms = kNow;
        ring.update({one->record});
    }
    EXPECT_EQ(ring.limits_of("acme", kNow), low.record.limits);
}

TEST(Scopes, AreReadAndWritten) {
    EXPECT_EQ(parse_scopes("jobs:read, jobs:write").value().text(), "jobs:read jobs:write");
    EXPECT_TRUE(parse_scopes("").value().empty());
    const auto wrong = parse_scopes("jobs:read jobs:all");
    ASSERT_FALSE(wrong);
    EXPECT_NE(wrong.error().message.find("jobs:all"), std::string::npos);
    EXPECT_EQ(known_scopes("openid jobs:read profile").text(), "jobs:read");
    EXPECT_TRUE(Scopes{Scope::kAdmin}.has(Scope::kLiveWrite));
    EXPECT_FALSE(Scopes{Scope::kJobsWrite}.has(Scope::kJobsRead));
}

TEST(Limits, GoThroughJson) {
    Limits limits{.running_max = 4, .queued_max = 0, .requests_per_minute = 60, .weight = 2.5};
    limits.wei_per_day = parse_wei("1000000000000000000000", "x").value();
    EXPECT_EQ(
        limits_json(limits), R"({"concurrent_jobs":4,"requests_per_minute":60,)"
                             R"("wei_per_day":"1000000000000000000000","weight":2.5E0})"
    );
    EXPECT_EQ(parse_limits(limits_json(limits)).value(), limits);
    EXPECT_EQ(limits_json({}), "{}");
    for (const auto* text :
         {"[]", "", R"({"concurrent_jobs":-1})", R"({"concurrent_jobs":"4"})", R"({"weight":0})",
          R"({"wei_total":"0x1"})", R"({"wei_total":-1})", R"({"speed":1})", R"({"weight":1e9})"}) {
        const auto wrong = parse_limits(text);
        ASSERT_FALSE(wrong) << text;
        EXPECT_EQ(wrong.error().code, Errc::kInvalidArgument);
    }
    const std::string most = std::numeric_limits<Wei>::max().str();
    EXPECT_EQ(parse_wei(most, "x").value().str(), most);
    EXPECT_FALSE(parse_wei(std::string(78, '9'), "x"));
}

TEST(Owner, IsShortAndPrintable) {
    EXPECT_TRUE(check_owner("acme/team-1@example"));
    for (const auto& owner : {std::string(), std::string("a b"), std::string("a\n"), std::string(129, 'a')}) {
        EXPECT_FALSE(check_owner(owner));
    }
}

}  // namespace
}  // namespace framegrid::account
