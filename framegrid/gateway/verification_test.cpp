#include <framegrid/gateway/verification.hpp>

#include <boost/json.hpp>

#include <gtest/gtest.h>

namespace framegrid::gateway {
namespace {

VerificationRules rules_for(const char* pipeline) {
    api::Work work;
    work.kind = api::AiWork{pipeline, "m", "{}"};
    return VerificationRules(work);
}

VerificationRules rules_for_transcode() {
    api::Work work;
    work.kind = api::TranscodeWork{};
    return VerificationRules(work);
}

RunFacts run(const char* who, std::vector<std::string> digests, std::int64_t wei = 5) {
    return {who, "d1", std::move(digests), wei};
}

TEST(Verification, EqualBytesAgree) {
    for (const auto& rules : {rules_for("upscale"), rules_for("echo"), rules_for_transcode()}) {
        EXPECT_TRUE(rules.to_compare(run("a", {"1", "2"}), run("b", {"1", "2"})).empty());
        const auto verified = rules.judge(run("a", {"1", "2"}), run("b", {"1", "2"}), {});
        EXPECT_EQ(verified.outcome, Outcome::kAgreed);
        EXPECT_EQ(verified.compared, Compared::kBytes);
        EXPECT_FALSE(verified.psnr_db);
        EXPECT_EQ(verified.reason, "");
    }
}

TEST(Verification, OnlyThePicturesOfFilesThatDifferAreLookedAt) {
    const auto first = run("a", {"1", "2", "3"});
    EXPECT_EQ(
        rules_for("upscale").to_compare(first, run("b", {"1", "x", "y"})), (std::vector<std::size_t>{1, 2})
    );
    EXPECT_TRUE(rules_for("echo").to_compare(first, run("b", {"1", "x", "y"})).empty());
    EXPECT_TRUE(rules_for("upscale").to_compare(first, run("b", {"1", "x"})).empty());
}

TEST(Verification, OtherBytesOfAnEchoAndOtherCountsOfFilesDisagree) {
    const auto echo = rules_for("echo").judge(run("a", {"1"}), run("b", {"2"}), {});
    EXPECT_EQ(echo.outcome, Outcome::kDisagreed);
    EXPECT_EQ(echo.compared, Compared::kBytes);
    EXPECT_EQ(echo.reason, "their bytes differ");
    const auto fewer = rules_for("upscale").judge(run("a", {"1", "2"}), run("b", {"1"}), {});
    EXPECT_EQ(fewer.outcome, Outcome::kDisagreed);
    EXPECT_EQ(fewer.reason, "2 and 1 files");
}

TEST(Verification, WhatModelsMakeMayDifferByRoundingOnly) {
    const auto judge = [](double psnr_db) {
        return rules_for("upscale").judge(run("a", {"1"}), run("b", {"2"}), {{"", psnr_db}});
    };
    EXPECT_EQ(judge(50).outcome, Outcome::kAgreed);
    EXPECT_EQ(judge(50).compared, Compared::kPictures);
    EXPECT_EQ(judge(50).psnr_db, 50);
    EXPECT_EQ(judge(49.9).outcome, Outcome::kDisagreed);
    EXPECT_EQ(judge(32).reason, "PSNR 32.0 dB, below 50");
}

TEST(Verification, EncodersMayDifferMore) {
    const auto judge = [](std::vector<Likeness> likenesses) {
        return rules_for_transcode().judge(run("a", {"1", "2"}), run("b", {"3", "4"}), likenesses);
    };
    EXPECT_EQ(judge({{"", 41}, {"", 24}}).outcome, Outcome::kAgreed);
    EXPECT_EQ(judge({{"", 41}, {"", 24}}).psnr_db, 24);
    EXPECT_EQ(judge({{"", 23.9}, {"", 41}}).outcome, Outcome::kDisagreed);
    const auto shorter = judge({{"", 41}, {"60 and 30 pictures", 0}});
    EXPECT_EQ(shorter.outcome, Outcome::kDisagreed);
    EXPECT_EQ(shorter.reason, "60 and 30 pictures");
    EXPECT_FALSE(shorter.psnr_db);
}

TEST(Verification, TheSecondIsAskedOfSomebodyElseForWhatIsLeft) {
    JobRequest request;
    request.constraints.orchestrators = {"https://a", "https://b"};
    request.price_told = true;
    request.early = [](std::size_t, const api::Artifact&) {};
    EXPECT_EQ(half_of({101, 10}).wei, 50);
    const auto again = repeat_of(request, run("https://a", {}), price_left(100, 30, {10}));
    EXPECT_FALSE(again.constraints.allow("https://a"));
    EXPECT_TRUE(again.constraints.allow("https://b"));
    EXPECT_FALSE(again.constraints.allow("https://c"));
    EXPECT_EQ(again.price_max->wei, 70);
    EXPECT_EQ(again.price_max->units, 10);
    EXPECT_FALSE(again.price_told);
    EXPECT_FALSE(again.early);
    EXPECT_EQ(price_left(100, 130, {0}).wei, 0);
    EXPECT_EQ(price_left(100, 130, {0}).units, 1);
    EXPECT_FALSE(repeat_of(request, run("https://a", {}), std::nullopt).price_max);
}

TEST(Verification, ItsRecordNamesBothAndWhatTheyCost) {
    const auto verified = rules_for("upscale").judge(run("a", {"1"}, 5), run("b", {"2"}, 7), {{"", 32}});
    const auto out = verified_json(verified);
    EXPECT_EQ(out.at("outcome"), "disagreed");
    EXPECT_EQ(out.at("compared"), "pictures");
    EXPECT_EQ(out.at("psnr_db"), 32.0);
    EXPECT_EQ(out.at("wei"), "12");
    EXPECT_EQ(out.at("first").at("orchestrator"), "a");
    EXPECT_EQ(out.at("second").at("orchestrator"), "b");
    EXPECT_EQ(out.at("second").at("wei"), "7");
    EXPECT_EQ(out.at("second").at("sha256").at(0), "2");
    const auto error = mismatch_error(verified);
    EXPECT_EQ(error.field, "verification");
    EXPECT_EQ(error.disposition, Disposition::kReject);
    EXPECT_NE(error.message.find("a and b"), std::string::npos);
    Verified none;
    none.first = run("a", {"1"}, 5);
    EXPECT_FALSE(verified_json(none).contains("second"));
    EXPECT_EQ(verified_json(none).at("outcome"), "unavailable");
    EXPECT_EQ(verified_json(none).at("wei"), "5");
}

}  // namespace
}  // namespace framegrid::gateway
