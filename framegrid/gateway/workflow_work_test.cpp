#include <framegrid/gateway/workflow_work.hpp>

#include <deque>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include <framegrid/api/memory_artifacts.hpp>
#include <framegrid/api/memory_results.hpp>
#include <framegrid/gateway/step_runner.hpp>
#include <framegrid/job/document.hpp>
#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/seeded_random.hpp>
#include <framegrid/runtime/task_group.hpp>

#include <gtest/gtest.h>

namespace framegrid::gateway {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

// A PNG as far as its header goes; what comes after makes it different from others.
Blob picture(std::uint8_t side, const std::string& text) {
    Bytes out{0x89, 'P', 'N', 'G', 13, 10, 26, 10,   0, 0, 0, 13,
              'I',  'H', 'D', 'R', 0,  0,  0,  side, 0, 0, 0, side};
    out.insert(out.end(), {8, 2, 0, 0, 0});
    out.insert(out.end(), text.begin(), text.end());
    return Blob(std::move(out));
}

Blob video(const std::string& text) {
    return Blob::copy_of(
        std::string(
            "\0\0\0\x18"
            "ftypisom\0\0\2\0isomiso2",
            24
        ) +
        text
    );
}

// Answers with what depends on the request alone; each run takes `time`.
class FakeNetwork final : public Gateway {
  public:
    explicit FakeNetwork(Clock& clock) : clock_(clock) {}
    void reconfigure(std::optional<Price> /*price_max*/) override {}
    market::Explanation explain(const JobRequest& /*request*/) const override { return {}; }
    Task<Result<bool>> serve() override { co_return true; }
    Task<Result<JobResult>> run(JobRequest request, Deadline /*deadline*/) override {
        ++asked;
        ++now;
        most = std::max(most, now);
        struct Leave {
            std::size_t& now;
            ~Leave() { --now; }
        } leave{now};
        if (request.attempt) {
            request.attempt("https://one", 1);
        }
        if (paid && request.paying) {
            const auto noted = co_await request.paying(Wei(fee));
            EXPECT_TRUE(noted);
        }
        co_await sleep_for(clock_, time);
        if (!failures.empty()) {
            auto error = failures.front();
            failures.pop_front();
            co_return fail(std::move(error));
        }
        JobResult out{{}, "https://one", 1, price};
        if (const auto* transcode = std::get_if<api::TranscodeWork>(&request.work.kind)) {
            for (const auto& profile : transcode->profiles) {
                const auto text = profile.name + "/" + std::string(request.work.input.text());
                out.output.artifacts.push_back({profile.name, "video/mp4", video(text), Pixels{10}, {}});
            }
            co_return out;
        }
        const auto& ai = std::get<api::AiWork>(request.work.kind);
        prompts.push_back(ai.parameters);
        const std::string text = ai.pipeline + ai.parameters + std::string(request.work.input.text());
        const bool film = ai.pipeline == "text-to-video";
        out.output.artifacts.push_back({"out", "", film ? video(text) : picture(32, text), {}, {}});
        out.output.ai = api::AiRun{ai.model_id, digest, 4, 10};
        co_return out;
    }
    std::optional<Offer> offer(const JobRequest& /*request*/) override { return Offer{price, digest}; }
    Task<void> end_stream(std::string /*manifest_id*/) override {
        ++ended;
        co_return;
    }
    std::vector<market::PoolEntryView> pool() const override { return {}; }
    std::vector<market::OfferedModel> models() const override { return {}; }
    Stats stats() const override { return Stats(); }

    Duration time = 1s;
    Price price{2, 1};
    std::string digest = "d1";
    bool paid = false;  // with tickets, `fee` before each attempt
    int fee = 0;
    std::deque<Error> failures;
    std::vector<std::string> prompts;
    std::size_t asked = 0;
    std::size_t now = 0;
    std::size_t most = 0;
    std::size_t ended = 0;

  private:
    Clock& clock_;
};

class FakeProbe final : public api::MediaProbe {
  public:
    Task<Result<api::ProbeResult>> probe(Blob /*file*/, Deadline /*deadline*/) override {
        co_return api::ProbeResult{"h264", "aac", "yuv420p", {64, 48}, 2'000, 50};
    }
};

// "split" gives three pieces, everything else one file that names its inputs.
class FakeOperations final : public api::MediaOperations {
  public:
    Task<Result<std::vector<api::Artifact>>> run(api::MediaOperation operation, Deadline /*d*/) override {
        done.push_back(operation.name);
        std::string all;
        for (const auto& file : operation.files) {
            all += "[" + std::string(file.bytes.text()) + "]";
        }
        std::vector<api::Artifact> out;
        if (operation.name == "hls") {
            out.push_back({"master.m3u8", "", Blob::copy_of("#EXTM3U" + all), {}, {}});
            out.push_back({"a/1.ts", "", Blob::copy_of("1" + all), {}, {}});
            co_return out;
        }
        for (int i = 0; i < (operation.name == "split" ? 3 : 1); ++i) {
            out.push_back({"", "", video(operation.name + std::to_string(i) + all), {}, {}});
        }
        co_return out;
    }
    std::vector<std::string> done;
};

class NoFetcher final : public InputFetcher {
  public:
    Task<Result<Blob>> fetch(std::string /*url*/, std::size_t /*limit*/, Deadline /*deadline*/) override {
        co_return fail(Errc::kUnavailable, "no such host");
    }
};

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

class WorkflowWorkTest : public testing::Test {
  protected:
    // Starts the job; what it has told and how it ended are below.
    void begin(const job::Document& document, const std::string& id, const std::string& owner = "me") {
        job::Record record;
        record.id = id;
        record.owner = owner;
        record.kind = job::kWorkflow;
        record.request = job::to_json(document);
        ended_.reset();
        group_ = std::make_unique<TaskGroup>(loop_.get_executor(), 1);
        group_->spawn(follow(std::move(record)));
        settle();
    }
    Task<void> follow(job::Record record) {
        const auto tell = [this](std::string kind, std::string data, const Blob& /*preview*/) {
            told_.emplace_back(std::move(kind), std::move(data));
        };
        ended_ = co_await work_->run(std::move(record), tell, Deadline::after(clock_, 10min));
    }
    // As a crash does: in the middle of whatever it was.
    void crash() {
        boost::asio::co_spawn(loop_, group_->close(), [](std::exception_ptr) {});
        settle();
        group_.reset();
        work_ = make_workflow_work(loop_.get_executor(), ports(), settings_);
    }
    void pass(Duration duration) {
        const auto until = clock_.now() + duration;
        while (clock_.now() < until) {
            clock_.advance_to(std::min(until, clock_.now() + 100ms));
            settle();
        }
    }
    void settle() {
        loop_.restart();
        while (loop_.poll() > 0) {
        }
    }
    // To the end; the result as JSON.
    json::object result() {
        for (int i = 0; i < 600 && !ended_; ++i) {
            pass(1s);
        }
        if (!ended_ || !*ended_) {
            ADD_FAILURE() << (ended_ ? ended_->error().message : "it never ended");
            return {};
        }
        return json::parse(**ended_).get_object();
    }
    Error error() {
        for (int i = 0; i < 1'000 && !ended_; ++i) {
            pass(1s);
        }
        EXPECT_TRUE(ended_ && !*ended_);
        return ended_ && !*ended_ ? ended_->error() : Error{};
    }
    static std::string wei(const json::object& result) {
        return json::value_to<std::string>(result.at("run").at("wei"));
    }
    static std::string digest(const json::object& result, std::size_t output = 0) {
        return json::value_to<std::string>(result.at("outputs").at(output).at("sha256"));
    }
    std::string stored(const Blob& bytes) {
        Result<job::ArtifactRecord> kept = fail(Errc::kInternal, "");
        api::StoredFiles files(objects_, artifacts_, clock_, random_, 1h, 1min);
        struct Keep {
            static Task<void> run(api::StoredFiles& files, Blob bytes, Result<job::ArtifactRecord>& out) {
                job::ArtifactRecord about;
                about.owner = "me";
                out = co_await files.keep(std::move(about), std::move(bytes));
            }
        };
        boost::asio::co_spawn(loop_, Keep::run(files, bytes, kept), [](std::exception_ptr) {});
        settle();
        return kept->id;
    }
    std::size_t told(std::string_view kind, std::string_view part = "") const {
        return static_cast<std::size_t>(std::ranges::count_if(told_, [&](const auto& one) {
            return one.first == kind && one.second.contains(part);
        }));
    }
    static job::Document document(std::string_view workflow) {
        job::Document out;
        out.pipeline = job::kWorkflow;
        out.workflow = workflow;
        out.seed = 7;
        return out;
    }
    WorkPorts ports() {
        return {clock_, random_, {}, network_, objects_, artifacts_, results_, fetcher_, probe_, operations_};
    }

    boost::asio::io_context loop_;
    ManualClock clock_;
    SeededRandom random_{1};
    FakeNetwork network_{clock_};
    api::MemoryObjects objects_;
    api::MemoryArtifacts artifacts_;
    api::MemoryResults results_;
    NoFetcher fetcher_;
    FakeProbe probe_;
    FakeOperations operations_;
    WorkSettings settings_;
    std::unique_ptr<WorkflowWork> work_ = make_workflow_work(loop_.get_executor(), ports(), settings_);
    std::unique_ptr<TaskGroup> group_;
    std::vector<std::pair<std::string, std::string>> told_;
    std::optional<Result<std::string>> ended_;
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
