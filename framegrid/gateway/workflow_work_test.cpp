#include <framegrid/gateway/workflow_work.hpp>

#include <framegrid/gateway/work_for_test.hpp>

namespace framegrid::gateway {
namespace {

constexpr std::string_view kTwoSteps = R"(
workflow: poster
inputs:
  prompt: {type: text, default: a red ball}
steps:
  - id: make
    pipeline: text-to-image
    parameters: {prompt: "${inputs.prompt}", width: 32, height: 32}
  - id: enlarge
    pipeline: upscale
    inputs: {image: "${steps.make.output}"}
outputs:
  picture: ${steps.enlarge.output}
)";

class WorkflowWorkTest : public WorkTest {
  protected:
    JobRunner& runner() override { return *work_; }
    void make_runner() override { work_ = make_workflow_work(loop_.get_executor(), ports(), settings_); }
    static job::Document document(std::string_view workflow) {
        job::Document out;
        out.pipeline = job::kWorkflow;
        out.workflow = workflow;
        out.seed = 7;
        return out;
    }

    std::unique_ptr<WorkflowWork> work_ = make_workflow_work(loop_.get_executor(), ports(), settings_);
};

TEST_F(WorkflowWorkTest, StepsRunInOrderAndTheBillIsTheQuote) {
    begin(document(kTwoSteps), "job_1");
    const auto done = result();
    EXPECT_EQ(network_.asked, 2U);
    EXPECT_EQ(wei(done), std::to_string(2 * 32 * 32 * 2));
    EXPECT_EQ(done.at("run").at("quote_wei"), done.at("run").at("wei"));
    EXPECT_EQ(done.at("outputs").at(0).at("width"), 32);
    EXPECT_EQ(told("quote", R"("exact":true)"), 1U);
    EXPECT_EQ(told("step", R"("state":"done")"), 2U);
    EXPECT_EQ(told("node", "https://one"), 2U);
}

TEST_F(WorkflowWorkTest, AStepIsNotRedoneAfterACrash) {
    begin(document(kTwoSteps), "job_1");
    const auto undisturbed = result();
    network_.prompts.clear();
    begin(document(kTwoSteps), "job_2", "you");
    pass(1500ms);  // the first step is done, the second is under way
    crash();
    begin(document(kTwoSteps), "job_2", "you");
    const auto done = result();
    EXPECT_EQ(network_.prompts.size(), 2U);
    EXPECT_EQ(digest(done), digest(undisturbed));
    EXPECT_EQ(wei(done), wei(undisturbed));
    EXPECT_EQ(told("step", R"("state":"kept")"), 1U);
    EXPECT_EQ(told("quote"), 2U);
}

// The picture costs at most 2048 at the quote's price of 2; both steps go to somebody who asks for 1.
TEST_F(WorkflowWorkTest, WhatWasPaidBeforeACrashIsBilledAsFarAsTheQuoteGoes) {
    for (const int fee : {100, 3'000}) {
        network_.fee = fee;
        network_.paid = true;
        network_.price = {2, 1};
        const std::string owner = "owner " + std::to_string(fee);
        begin(document(kTwoSteps), "job_" + std::to_string(fee), owner);
        network_.price = {1, 1};
        pass(500ms);  // the first step is under way
        crash();
        begin(document(kTwoSteps), "job_" + std::to_string(fee), owner);
        pass(1500ms);  // the second one is
        crash();
        begin(document(kTwoSteps), "job_" + std::to_string(fee), owner);
        const auto done = result();
        const int each = std::min(32 * 32 + fee, 32 * 32 * 2);
        EXPECT_EQ(wei(done), std::to_string(2 * each));
        for (const auto& step : done.at("run").at("steps").as_array()) {
            EXPECT_EQ(step.at("wei").as_string(), std::to_string(each));
        }
        EXPECT_EQ(done.at("run").at("quote_wei").as_string(), std::to_string(2 * 32 * 32 * 2));
    }
}

TEST_F(WorkflowWorkTest, AFailureThatIsNoCrashIsNotBilled) {
    network_.fee = 100;
    network_.paid = true;
    begin(document(kTwoSteps), "job_1");
    network_.price = {1, 1};
    network_.failures.push_back(make_error(Errc::kProtocol, "garbage"));
    EXPECT_EQ(wei(result()), std::to_string(2 * 32 * 32));
    EXPECT_EQ(network_.asked, 3U);
}

TEST_F(WorkflowWorkTest, TheSameWorkOfTheSameOwnerCostsNothing) {
    begin(document(kTwoSteps), "job_1");
    const auto first = result();
    begin(document(kTwoSteps), "job_2");
    const auto second = result();
    EXPECT_EQ(network_.asked, 2U);
    EXPECT_EQ(wei(second), "0");
    EXPECT_EQ(digest(second), digest(first));
    EXPECT_NE(second.at("outputs").at(0).at("artifact"), first.at("outputs").at(0).at("artifact"));
    EXPECT_EQ(told("step", "cached"), 2U);
    begin(document(kTwoSteps), "job_3", "you");
    EXPECT_NE(wei(result()), "0");
    EXPECT_EQ(network_.asked, 4U);
    network_.digest = "d2";  // the network serves another model under the name
    begin(document(kTwoSteps), "job_4");
    (void)result();
    EXPECT_EQ(network_.asked, 6U);
}

TEST_F(WorkflowWorkTest, OnlyTheStepThatFailedIsDoneAgain) {
    begin(document(kTwoSteps), "job_1");
    pass(1500ms);
    network_.failures.push_back(make_error(Errc::kProtocol, "garbage"));
    (void)result();
    EXPECT_EQ(network_.asked, 3U);
    EXPECT_EQ(told("step", "failed"), 1U);
    EXPECT_EQ(network_.prompts.size(), 2U);
}

TEST_F(WorkflowWorkTest, AStepWaitsWhileNobodyCanDoIt) {
    for (int i = 0; i < 4; ++i) {
        network_.failures.push_back(make_error(Errc::kCapacity, "full"));
    }
    begin(document(kTwoSteps), "job_1");
    (void)result();
    EXPECT_EQ(network_.asked, 6U);
    EXPECT_EQ(told("step", "failed"), 0U);
}

TEST_F(WorkflowWorkTest, WhatIsAtFaultIsNamed) {
    auto wanted = document(kTwoSteps);
    wanted.max_price_wei = 10;
    begin(wanted, "job_1");
    EXPECT_EQ(error().field, "max_price");
    wanted = document(kTwoSteps);
    wanted.values = R"({"promt":"x"})";
    begin(wanted, "job_2");
    EXPECT_EQ(error().field, "inputs.promt");
    wanted = document(
        "workflow: x\ninputs: {film: video}\nsteps:\n  - id: cut\n    operation: split\n"
        "    inputs: {video: \"${inputs.film}\"}\noutputs: {parts: \"${steps.cut.outputs}\"}\n"
    );
    begin(wanted, "job_3");
    EXPECT_EQ(error().field, "inputs.film");
    wanted.values = R"({"film":"https://nowhere.example/film.mp4"})";
    begin(wanted, "job_4");
    const auto away = error();
    EXPECT_EQ(away.code, Errc::kUnprocessable);
    EXPECT_EQ(away.field, "inputs.film");
    EXPECT_EQ(network_.asked, 0U);
    for (int i = 0; i < 3; ++i) {
        network_.failures.push_back(make_error(Errc::kUnprocessable, "the prompt is bad"));
    }
    begin(document(kTwoSteps), "job_5");
    EXPECT_NE(error().message.find("step make"), std::string::npos);
    EXPECT_EQ(network_.asked, 1U);
}

TEST_F(WorkflowWorkTest, AVideoIsTranscodedInPiecesAndPackaged) {
    auto wanted = document(R"(
workflow: ladder
inputs: {film: video}
steps:
  - id: ladder
    pipeline: transcode
    inputs: {video: "${inputs.film}"}
    parameters: {profiles: "P240p30fps16x9,P144p30fps16x9"}
  - id: hls
    operation: hls
    inputs: {renditions: ["${steps.ladder.outputs}"]}
outputs: {hls: "${steps.hls.output}", videos: "${steps.ladder.outputs}"}
)");
    wanted.values = R"({"film":")" + stored(video("a film")) + "\"}";
    begin(wanted, "job_1");
    const auto done = result();
    EXPECT_EQ(network_.asked, 3U);
    EXPECT_EQ(network_.most, 3U);
    EXPECT_EQ(network_.ended, 1U);
    EXPECT_EQ(operations_.done, (std::vector<std::string>{"split", "join", "join", "hls"}));
    EXPECT_EQ(wei(done), std::to_string(3 * 2 * 10 * 2));
    ASSERT_EQ(done.at("outputs").as_array().size(), 3U);
    EXPECT_EQ(done.at("outputs").at(0).at("content_type").as_string(), job::kFolderType);
    EXPECT_EQ(done.at("outputs").at(1).at("name"), "P240p30fps16x9.mp4");
}

TEST_F(WorkflowWorkTest, StepsThatAreVerifiedAreDoneByTwoAndCostTwice) {
    network_.orchestrators = {"https://one", "https://two"};
    auto wanted = document(kTwoSteps);
    wanted.verification.mode = job::VerificationMode::kRepeat;
    begin(wanted, "job_1");
    const auto done = result();
    EXPECT_EQ(
        network_.asked_of,
        (std::vector<std::string>{"https://one", "https://two", "https://one", "https://two"})
    );
    EXPECT_EQ(wei(done), std::to_string(2 * 2 * 32 * 32 * 2));
    EXPECT_EQ(done.at("run").at("quote_wei"), done.at("run").at("wei"));
    EXPECT_EQ(told("quote", R"("runs":2)"), 1U);
    EXPECT_EQ(told("verification", R"("compared":"bytes")"), 2U);
    EXPECT_EQ(told_.back().first, "verification");
    EXPECT_NE(told_.back().second.find(R"("outcome":"agreed","agreed":2,"disagreed":0)"), std::string::npos);
    EXPECT_EQ(verified_.agreed, 2U);
    // What was verified is not verified again; what was not is no result of work that is to be.
    begin(wanted, "job_2");
    EXPECT_EQ(wei(result()), "0");
    EXPECT_EQ(network_.asked, 4U);
    EXPECT_NE(told_.back().second.find(R"("outcome":"agreed","agreed":2)"), std::string::npos);
    begin(document(kTwoSteps), "job_3", "you");
    (void)result();
    EXPECT_EQ(network_.asked, 6U);
    begin(wanted, "job_4", "you");
    (void)result();
    EXPECT_EQ(network_.asked, 10U);
}

TEST_F(WorkflowWorkTest, AStepThatTwoDisagreeAboutEndsItOrIsReported) {
    network_.orchestrators = {"https://one", "https://two"};
    network_.wrong = {"https://two"};
    auto wanted = document(kTwoSteps);
    wanted.verification.mode = job::VerificationMode::kRepeat;
    begin(wanted, "job_1");
    const auto failed = error();
    EXPECT_EQ(failed.field, "verification");
    EXPECT_NE(failed.message.find("https://one and https://two"), std::string::npos) << failed.message;
    EXPECT_EQ(network_.asked, 2U) << "it is not bought again";
    wanted.verification.on_mismatch = job::OnMismatch::kReport;
    begin(wanted, "job_2");
    (void)result();
    EXPECT_NE(
        told_.back().second.find(R"("outcome":"disagreed","agreed":0,"disagreed":2)"), std::string::npos
    );
    // Nobody else's result is taken from that.
    begin(wanted, "job_3");
    EXPECT_NE(wei(result()), "0");
}

TEST_F(WorkflowWorkTest, SegmentsAreVerifiedOneByOne) {
    network_.orchestrators = {"https://one", "https://two"};
    network_.wrong = {"https://two"};
    job::Document wanted;
    const auto parsed = job::parse_document(
        R"({"pipeline":"transcode","inputs":{"video":")" + stored(video("a film")) +
        R"("},"parameters":{"profiles":"P144p30fps16x9"},"verification":{"mode":"repeat"}})"
    );
    ASSERT_TRUE(parsed) << parsed.error().message;
    operations_.likeness = R"({"difference":"","psnr_db":38})";
    begin(*parsed, "job_1");
    const auto done = result();
    EXPECT_EQ(verified_.agreed, 3U);
    EXPECT_EQ(network_.asked, 6U);
    EXPECT_EQ(wei(done), std::to_string(2 * 3 * 10 * 2));
    EXPECT_EQ(told("verification", R"("compared":"pictures","psnr_db":3.8E1)"), 3U);
    operations_.likeness = R"({"difference":"60 and 30 pictures","psnr_db":0})";
    begin(*parsed, "job_2", "me");
    (void)result();
    EXPECT_EQ(network_.asked, 6U) << "it was verified";
    network_.orchestrators = {"https://one"};
}

TEST_F(WorkflowWorkTest, ManyItemsRunSideBySide) {
    auto wanted = document(R"(
workflow: many
inputs: {pictures: {type: images, max_count: 40}}
steps:
  - id: enlarge
    pipeline: upscale
    foreach: ${inputs.pictures}
    when: ${item.width < 64}
    inputs: {image: "${item}"}
outputs: {pictures: "${steps.enlarge.outputs}"}
)");
    json::array pictures;
    for (int i = 0; i < 39; ++i) {
        pictures.emplace_back(stored(picture(16, std::to_string(i))));
    }
    pictures.emplace_back(stored(picture(64, "large already")));
    wanted.values = json::serialize(json::object{{"pictures", std::move(pictures)}});
    begin(wanted, "job_1");
    pass(2500ms);
    crash();
    begin(wanted, "job_1");
    const auto done = result();
    EXPECT_EQ(network_.most, settings_.items_max);
    EXPECT_EQ(done.at("outputs").as_array().size(), 40U);
    EXPECT_LE(network_.asked, 39U + settings_.items_max);
    EXPECT_EQ(network_.prompts.size(), 39U);
    EXPECT_EQ(wei(done), std::to_string(39 * 16 * 16 * 2));
}

}  // namespace
}  // namespace framegrid::gateway
