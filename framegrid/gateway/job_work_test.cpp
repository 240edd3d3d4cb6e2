#include <framegrid/gateway/job_work.hpp>

#include <framegrid/gateway/ai_request.hpp>
#include <framegrid/gateway/work_for_test.hpp>

namespace framegrid::gateway {
namespace {

class JobWorkTest : public WorkTest {
  protected:
    JobRunner& runner() override { return *work_; }
    void make_runner() override { work_ = make_job_work(ports(), settings_); }
    static job::Document picture_job(const std::string& rest = "") {
        const auto parsed = job::parse_document(
            R"({"pipeline":"text-to-image",)"
            R"("parameters":{"prompt":"a ball","width":32,"height":32,"seed":7})" +
            rest + "}"
        );
        EXPECT_TRUE(parsed) << parsed.error().message;
        return *parsed;
    }
    static job::Document verified_job(const std::string& how = "", const std::string& rest = "") {
        return picture_job(R"(,"verification":{"mode":"repeat")" + how + "}" + rest);
    }
    json::object quote(const job::Document& document) {
        return json::parse(quoted(document).value()).get_object();
    }
    Result<std::string> quoted(const job::Document& document) {
        Result<std::string> out = fail(Errc::kInternal, "");
        struct Ask {
            static Task<void> run(JobWork& work, job::Document document, Result<std::string>& out) {
                out = co_await work.quote("me", std::move(document), Deadline{TimePoint::max()});
            }
        };
        boost::asio::co_spawn(loop_, Ask::run(*work_, document, out), [](std::exception_ptr) {});
        settle();
        return out;
    }
    // The last event of that kind.
    json::object event(std::string_view kind) const {
        const auto found = std::ranges::find_last(told_, kind, &std::pair<std::string, std::string>::first);
        return found.empty() ? json::object{} : json::parse(found.front().second).get_object();
    }

    static constexpr int kOnce = 32 * 32 * 2;
    std::unique_ptr<JobWork> work_ = make_job_work(ports(), settings_);
};

TEST_F(JobWorkTest, WhatASafetyCheckerSaidStandsBesideTheFile) {
    begin(picture_job(), "job_1");
    EXPECT_FALSE(result().at("outputs").at(0).as_object().contains("nsfw")) << "nobody has looked";
    network_.nsfw = true;
    begin(picture_job(), "job_2");
    EXPECT_EQ(result().at("outputs").at(0).at("nsfw").as_bool(), true);
}

TEST_F(JobWorkTest, AJobWithoutAModelGetsTheGatewaysDefault) {
    settings_.default_models = read_default_models({"upscale=a/b", "text-to-image=acme/x"}).value();
    auto document = picture_job();
    settle_document(document, settings_, random_);
    EXPECT_EQ(document.model, "acme/x");
    document.model = "own/one";
    settle_document(document, settings_, random_);
    EXPECT_EQ(document.model, "own/one");
}

TEST(DefaultModels, AreReadFromTexts) {
    const auto read = read_default_models({"upscale=a/b", "inpaint=c=d", "upscale=e"});
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, (std::map<std::string, std::string>{{"upscale", "e"}, {"inpaint", "c=d"}}));
    for (const auto* bad : {"", "upscale", "upscale=", "=a", "tea=a/b", "upscale=a b"}) {
        const auto refused = read_default_models({bad});
        ASSERT_FALSE(refused) << bad;
        EXPECT_EQ(refused.error().field, "default-model");
    }
}

TEST_F(JobWorkTest, TwoOrchestratorsThatAgree) {
    network_.orchestrators = {"https://one", "https://two"};
    begin(verified_job(), "job_1");
    const auto done = result();
    EXPECT_EQ(network_.asked_of, (std::vector<std::string>{"https://one", "https://two"}));
    EXPECT_EQ(network_.prompts[0], network_.prompts[1]) << "the same seed";
    EXPECT_EQ(done.at("outputs").as_array().size(), 1U);
    EXPECT_EQ(wei(done), std::to_string(2 * kOnce));
    const auto told = event("verification");
    EXPECT_EQ(told.at("mode"), "repeat");
    EXPECT_EQ(told.at("outcome"), "agreed");
    EXPECT_EQ(told.at("compared"), "bytes");
    EXPECT_EQ(told.at("first").at("orchestrator"), "https://one");
    EXPECT_EQ(told.at("second").at("orchestrator"), "https://two");
    EXPECT_EQ(told.at("first").at("sha256").at(0).as_string(), digest(done));
    EXPECT_EQ(told.at("wei").as_string(), wei(done));
    EXPECT_EQ(verified_.agreed, 1U);
    EXPECT_TRUE(operations_.done.empty()) << "nothing to look at";
}

TEST_F(JobWorkTest, TwoThatDisagreeEndTheJob) {
    network_.orchestrators = {"https://one", "https://two"};
    network_.wrong = {"https://one"};
    begin(verified_job(), "job_1");
    const auto failed = error();
    EXPECT_EQ(failed.field, "verification");
    EXPECT_EQ(failed.code, Errc::kProtocol);
    const auto told = event("verification");
    EXPECT_EQ(told.at("outcome"), "disagreed");
    EXPECT_EQ(told.at("psnr_db").to_number<double>(), 12.5);
    EXPECT_EQ(told.at("wei").as_string(), std::to_string(2 * kOnce));
    EXPECT_EQ(verified_.disagreed, 1U);
    EXPECT_EQ(operations_.done, std::vector<std::string>{"compare"});
}

TEST_F(JobWorkTest, TwoThatDisagreeAreReportedWhereThatIsWanted) {
    network_.orchestrators = {"https://one", "https://two"};
    network_.wrong = {"https://two"};
    begin(verified_job(R"(,"on_mismatch":"report")"), "job_1");
    const auto done = result();
    EXPECT_EQ(event("verification").at("outcome"), "disagreed");
    EXPECT_EQ(event("verification").at("on_mismatch"), "report");
    EXPECT_EQ(wei(done), std::to_string(2 * kOnce));
    operations_.likeness = R"({"difference":"","psnr_db":62})";  // rounding
    begin(verified_job(), "job_2");
    (void)result();
    EXPECT_EQ(event("verification").at("outcome"), "agreed");
    EXPECT_EQ(event("verification").at("compared"), "pictures");
}

TEST_F(JobWorkTest, WithoutASecondOneTheResultIsGivenAndSaidToBeUnverified) {
    begin(verified_job(), "job_1");
    const auto done = result();
    EXPECT_EQ(done.at("outputs").as_array().size(), 1U);
    EXPECT_EQ(wei(done), std::to_string(kOnce));
    EXPECT_EQ(event("verification").at("outcome"), "unavailable");
    EXPECT_FALSE(event("verification").contains("second"));
    EXPECT_EQ(verified_.unavailable, 1U);
    EXPECT_EQ(network_.asked, 2U);
}

TEST_F(JobWorkTest, ABusySecondOneIsWaitedForUntilTheDeadline) {
    network_.orchestrators = {"https://one", "https://two"};
    begin(verified_job(), "job_1");
    pass(500ms);
    network_.failures = {make_error(Errc::kCapacity, "full"), make_error(Errc::kCapacity, "full")};
    // The first run fails with one of these, as any job may: it is the desk that tries it again.
    EXPECT_EQ(error().code, Errc::kCapacity);
    network_.failures.clear();
    begin(verified_job(), "job_2");
    pass(1500ms);  // the second run is under way
    network_.failures = {make_error(Errc::kCapacity, "full"), make_error(Errc::kCapacity, "full")};
    (void)result();
    EXPECT_EQ(event("verification").at("outcome"), "agreed");
    begin(verified_job(), "job_3");
    pass(1500ms);
    network_.failures.assign(1'000, make_error(Errc::kCapacity, "full"));
    (void)result();
    EXPECT_EQ(event("verification").at("outcome"), "unavailable");
}

TEST_F(JobWorkTest, AComparisonThatFailsHereIsNoDisagreement) {
    network_.orchestrators = {"https://one", "https://two"};
    network_.wrong = {"https://two"};
    operations_.likeness = "nonsense";
    begin(verified_job(), "job_1");
    const auto done = result();
    EXPECT_EQ(event("verification").at("outcome"), "unavailable");
    EXPECT_EQ(event("verification").at("second").at("orchestrator"), "https://two");
    EXPECT_EQ(wei(done), std::to_string(2 * kOnce));
}

TEST_F(JobWorkTest, TheLimitAndTheQuoteAreForBoth) {
    network_.orchestrators = {"https://one", "https://two"};
    const auto quoted = quote(verified_job());
    EXPECT_EQ(quoted.at("wei").as_string(), std::to_string(2 * kOnce));
    EXPECT_EQ(quoted.at("runs"), 2);
    EXPECT_FALSE(quote(picture_job()).contains("runs"));
    begin(verified_job("", R"(,"max_price":"5001")"), "job_1");
    EXPECT_EQ(wei(result()), std::to_string(2 * kOnce));
    ASSERT_EQ(network_.limits.size(), 2U);
    EXPECT_EQ(network_.limits[0]->wei, 2500);
    EXPECT_EQ(network_.limits[1]->wei, 5001 - kOnce);
}

TEST_F(JobWorkTest, AQuoteTellsAModelThatNobodyKnowsFromOneThatIsAway) {
    const auto wanted = picture_job(R"(,"model":"nobody/has-this")");
    network_.orchestrators = {};
    EXPECT_EQ(quoted(wanted).error().code, Errc::kUnavailable);
    network_.unknown_models = {"nobody/has-this"};
    const auto unknown = quoted(wanted);
    EXPECT_EQ(unknown.error().code, Errc::kNotFound);
    EXPECT_EQ(unknown.error().field, "model");
    EXPECT_EQ(quoted(picture_job()).error().code, Errc::kUnavailable);
}

TEST_F(JobWorkTest, AfterACrashTheSecondRunAloneIsDoneAgain) {
    network_.orchestrators = {"https://one", "https://two"};
    begin(verified_job(), "job_1");
    pass(500ms);  // the first run is under way
    crash();
    begin(verified_job(), "job_1");
    pass(1500ms);  // the second one is
    crash();
    network_.asked_of.clear();
    begin(verified_job(), "job_1");
    const auto done = result();
    EXPECT_EQ(network_.asked_of, std::vector<std::string>{"https://two"});
    EXPECT_EQ(event("verification").at("outcome"), "agreed");
    EXPECT_EQ(wei(done), std::to_string(2 * kOnce));
    EXPECT_EQ(done.at("outputs").as_array().size(), 1U);
}

TEST_F(JobWorkTest, EchoesAreComparedByTheirBytes) {
    network_.orchestrators = {"https://one", "https://two"};
    const auto wanted =
        job::parse_document(R"({"pipeline":"echo","inputs":{"data":"data:text/plain;base64,aGVsbG8="},)"
                            R"("verification":{"mode":"repeat"}})");
    begin(wanted.value(), "job_1");
    (void)result();
    EXPECT_EQ(event("verification").at("outcome"), "agreed");
    network_.wrong = {"https://two"};
    begin(wanted.value(), "job_2");
    EXPECT_EQ(error().field, "verification");
    EXPECT_TRUE(operations_.done.empty());
}

TEST_F(JobWorkTest, WhatWasPaidBeforeACrashIsBilled) {
    network_.paid = true;
    network_.fee = 100;
    begin(picture_job(), "job_1");
    pass(500ms);
    crash();
    begin(picture_job(), "job_1");
    pass(500ms);
    crash();
    begin(picture_job(), "job_1");
    const auto done = result();
    EXPECT_EQ(wei(done), std::to_string(kOnce + 200));
    EXPECT_EQ(done.at("run").at("lost_wei"), "200");
    EXPECT_EQ(event("price").at("wei"), "300");
}

TEST_F(JobWorkTest, TheBillIsNeverAboveTheLimit) {
    network_.paid = true;
    network_.fee = 2'000;
    const auto wanted = picture_job(R"(,"max_price":"3000")");
    begin(wanted, "job_1");
    pass(500ms);
    crash();
    begin(wanted, "job_1");
    EXPECT_EQ(wei(result()), "3000");
}

TEST_F(JobWorkTest, WhatFailedHereIsNotBilled) {
    network_.paid = true;
    network_.fee = 100;
    network_.failures = {make_error(Errc::kCapacity, "full")};
    begin(picture_job(), "job_1");
    EXPECT_EQ(error().code, Errc::kCapacity);
    begin(picture_job(), "job_1");  // the desk tries it again
    const auto done = result();
    EXPECT_EQ(wei(done), std::to_string(kOnce));
    EXPECT_FALSE(done.at("run").as_object().contains("lost_wei"));
}

TEST_F(JobWorkTest, EachOfTwoRunsBillsWhatACrashLostOfIt) {
    network_.orchestrators = {"https://one", "https://two"};
    network_.paid = true;
    network_.fee = 100;
    begin(verified_job(), "job_1");
    pass(500ms);
    crash();
    begin(verified_job(), "job_1");
    pass(1500ms);
    crash();
    begin(verified_job(), "job_1");
    EXPECT_EQ(wei(result()), std::to_string(2 * kOnce + 200));
    EXPECT_EQ(event("verification").at("first").at("wei").as_string(), std::to_string(kOnce + 100));
    EXPECT_EQ(event("verification").at("second").at("wei").as_string(), std::to_string(kOnce + 100));
}

}  // namespace
}  // namespace framegrid::gateway
