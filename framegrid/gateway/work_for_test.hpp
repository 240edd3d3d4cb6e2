// Everything around a durable job's work, in memory: for tests.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include <framegrid/api/memory_artifacts.hpp>
#include <framegrid/api/memory_results.hpp>
#include <framegrid/api/stored_files.hpp>
#include <framegrid/gateway/job_work.hpp>
#include <framegrid/job/document.hpp>
#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/seeded_random.hpp>
#include <framegrid/runtime/task_group.hpp>

#include <gtest/gtest.h>

namespace framegrid::gateway {

namespace json = boost::json;
using namespace std::chrono_literals;

// A PNG as far as its header goes; what comes after makes it different from others.
inline Blob picture(std::uint8_t side, const std::string& text) {
    Bytes out{0x89, 'P', 'N', 'G', 13, 10, 26, 10,   0, 0, 0, 13,
              'I',  'H', 'D', 'R', 0,  0,  0,  side, 0, 0, 0, side};
    out.insert(out.end(), {8, 2, 0, 0, 0});
    out.insert(out.end(), text.begin(), text.end());
    return Blob(std::move(out));
}

inline Blob video(const std::string& text) {
    return Blob::copy_of(
        std::string(
            "\0\0\0\x18"
            "ftypisom\0\0\2\0isomiso2",
            24
        ) +
        text
    );
}

// Answers with what depends on the request alone; each run takes `time`. The first of `orchestrators` that
// may have the job does it.
class FakeNetwork final : public Gateway {
  public:
    explicit FakeNetwork(Clock& clock) : clock_(clock) {}
    void limit_spending(
        std::function<account::Limits(const std::string& owner)> /*limits_of*/, api::KeyStore* /*store*/
    ) override {}
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
        const std::string who = chosen(request);
        if (who.empty()) {
            co_return fail(Errc::kUnavailable, "no orchestrator offers what this job needs");
        }
        asked_of.push_back(who);
        limits.push_back(request.price_max);
        if (request.attempt) {
            request.attempt(who, 1);
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
        JobResult out{{}, who, 1, price};
        const std::string twist = wrong.contains(who) ? "wrong" : "";
        if (const auto* transcode = std::get_if<api::TranscodeWork>(&request.work.kind)) {
            for (const auto& profile : transcode->profiles) {
                const auto text = profile.name + "/" + std::string(request.work.input.text()) + twist;
                out.output.artifacts.push_back({profile.name, "video/mp4", video(text), Pixels{10}, {}});
            }
            co_return out;
        }
        const auto& ai = std::get<api::AiWork>(request.work.kind);
        prompts.push_back(ai.parameters);
        const std::string text = ai.pipeline + ai.parameters + std::string(request.work.input.text()) + twist;
        const bool film = ai.pipeline == "text-to-video";
        out.output.artifacts.push_back({"out", "", film ? video(text) : picture(32, text), {}, {}});
        out.output.artifacts.back().nsfw = nsfw;
        out.output.ai = api::AiRun{ai.model_id, digest, 4, 10};
        co_return out;
    }
    std::optional<Offer> offer(const JobRequest& request) override {
        return chosen(request).empty() ? std::nullopt : std::optional(Offer{price, digest});
    }
    bool ever_offered(job::Capability /*capability*/, const std::string& model_id) const override {
        return !unknown_models.contains(model_id);
    }
    Task<void> end_stream(std::string /*manifest_id*/) override {
        ++ended;
        co_return;
    }
    std::vector<market::PoolEntryView> pool() const override { return {}; }
    std::vector<market::OfferedModel> models() const override { return {}; }
    Stats stats() const override { return Stats(); }

    std::vector<std::string> orchestrators{"https://one"};
    std::set<std::string> unknown_models;
    std::set<std::string> wrong;  // those that answer other bytes
    std::vector<std::string> asked_of;
    std::vector<std::optional<Price>> limits;
    Duration time = 1s;
    Price price{2, 1};
    std::string digest = "d1";
    std::optional<bool> nsfw;  // what a safety checker said of every picture
    bool paid = false;         // with tickets, `fee` before each attempt
    int fee = 0;
    std::deque<Error> failures;
    std::vector<std::string> prompts;
    std::size_t asked = 0;
    std::size_t now = 0;
    std::size_t most = 0;
    std::size_t ended = 0;

  private:
    std::string chosen(const JobRequest& request) const {
        const auto may = [&request](const std::string& uri) { return request.constraints.allow(uri); };
        const auto found = std::ranges::find_if(orchestrators, may);
        return found == orchestrators.end() ? std::string() : *found;
    }

    Clock& clock_;
};

class InlinePool final : public WorkPool {
  public:
    void post(std::move_only_function<void()> work) override { work(); }
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
        if (operation.name == api::kCompareOperation) {
            out.push_back({"", "", Blob::copy_of(likeness), {}, {}});
            co_return out;
        }
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
    std::string likeness = R"({"difference":"","psnr_db":12.5})";
};

class NoFetcher final : public InputFetcher {
  public:
    Task<Result<Blob>> fetch(std::string /*url*/, std::size_t /*limit*/, Deadline /*deadline*/) override {
        co_return fail(Errc::kUnavailable, "no such host");
    }
};

// Jobs of one runner, with everything around it in memory.
class WorkTest : public testing::Test {
  protected:
    virtual JobRunner& runner() = 0;
    // As a new process has it.
    virtual void make_runner() = 0;

    // Starts the job; what it has told and how it ended are below.
    void begin(const job::Document& document, const std::string& id, const std::string& owner = "me") {
        job::Record record;
        record.id = id;
        record.owner = owner;
        record.kind = document.pipeline;
        record.attempt = ++attempts_[id];
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
        ended_ = co_await runner().run(std::move(record), tell, Deadline::after(clock_, 10min));
    }
    // As a crash does: in the middle of whatever it was.
    void crash() {
        boost::asio::co_spawn(loop_, group_->close(), [](std::exception_ptr) {});
        settle();
        group_.reset();
        make_runner();
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
    WorkPorts ports() {
        return {clock_,   random_,  {},     network_,    objects_, artifacts_,
                results_, fetcher_, probe_, operations_, pool_,    verified_};
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
    InlinePool pool_;
    VerificationStats verified_;
    WorkSettings settings_;
    std::map<std::string, int> attempts_;
    std::unique_ptr<TaskGroup> group_;
    std::vector<std::pair<std::string, std::string>> told_;
    std::optional<Result<std::string>> ended_;
};

}  // namespace framegrid::gateway
