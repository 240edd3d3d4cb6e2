// Random workflows, failures and crashes: each item is done once, and the result is always the same.
#include <framegrid/workflow/run.hpp>

#include <deque>
#include <set>

#include <gtest/gtest.h>

#include <framegrid/runtime/seeded_random.hpp>
#include <framegrid/workflow/workflow_for_test.hpp>

namespace framegrid::workflow {
namespace {

using Flow = Run;  // GoogleTest's fixtures have a Run of their own

// Writes a workflow in which each step uses something that is there before it.
class Author {
  public:
    explicit Author(Random& random) : random_(random) {}

    std::string write() {
        text_ = "workflow: random\ninputs: {film: video, photos: images}\nsteps:\n";
        add_source({"inputs.film", false, true});
        add_source({"inputs.photos", true, false});
        const auto count = 2 + random_.below(7);
        for (std::uint64_t i = 0; i < count; ++i) {
            add_step("s" + std::to_string(i));
        }
        text_ += "outputs:\n";
        for (std::size_t i = 2; i < sources_.size(); ++i) {
            if (!used_.contains(i)) {
                text_ += "  o" + std::to_string(i) + ": ${" + sources_[i].reference + "}\n";
            }
        }
        return text_;
    }

  private:
    struct Made {
        std::string reference;
        bool list = false;
        bool video = false;
    };

    void add_source(Made made) { sources_.push_back(std::move(made)); }

    void add_step(const std::string& id) {
        const auto index = static_cast<std::size_t>(random_.below(sources_.size()));
        used_.insert(index);
        const Made from = sources_[index];
        const std::string slot = from.video ? "video" : "image";
        std::string line = "  - id: " + id + "\n";
        std::string value = from.reference;
        const auto choice = random_.below(from.list && from.video ? 5 : 4);
        if (from.list && choice == 3) {
            const bool join = from.video;
            line += "    operation: " + std::string(join ? "join" : "contact-sheet") + "\n    inputs: {" +
                    (join ? "segments" : "images") + ": \"${" + value + "}\"}\n    retries: 10\n";
            text_ += line;
            add_source({"steps." + id + ".output", false, from.video});
            return;
        }
        if (from.list) {
            line += "    foreach: ${" + value + "}\n";
            value = "item";
        }
        Made made{"steps." + id + (from.list ? ".outputs" : ".output"), from.list, from.video};
        if (!from.video) {
            line += choice == 0 ? "    pipeline: image-to-video\n" : "    pipeline: upscale\n";
            made.video = choice == 0;
        } else if (choice == 0) {
            line += "    operation: split\n    parameters: {segment_ms: 1500}\n";
            made = {"steps." + id + ".outputs", true, true};
        } else if (choice == 1) {
            line +=
                "    pipeline: transcode\n    parameters: {profiles: \"P240p30fps16x9,P144p30fps16x9\"}\n";
            made = {"steps." + id + ".outputs", true, true};
        } else {
            line += choice == 2 ? "    pipeline: frame-interpolation\n" : "    pipeline: upscale\n";
        }
        if (from.list && random_.chance(0.4)) {
            line += "    when: ${item.index != 1 and item.height < 300}\n";
        }
        text_ += line + "    inputs: {" + slot + ": \"${" + value + "}\"}\n    retries: 10\n";
        add_source(std::move(made));
    }

    Random& random_;
    std::string text_;
    std::vector<Made> sources_;
    std::set<std::size_t> used_;
};

// Everything that happens to a run besides good work.
struct Faults {
    double failure = 0;
    double crash = 0;
    double cached = 0;
};

struct Story {
    Values outputs;
    std::int64_t wei = 0;
    std::map<ItemId, int> accepted;
    std::string error;
};

Story tell(Flow run, Random& random, const Faults& faults) {
    Story story;
    std::deque<Start> working;
    const auto take = [&](const std::vector<Command>& commands) {
        for (const auto& command : commands) {
            if (const auto* start = std::get_if<Start>(&command)) {
                working.push_back(*start);
            } else if (const auto* finish = std::get_if<Finish>(&command)) {
                story.outputs = finish->outputs;
                story.wei = finish->wei;
            } else if (const auto* failed = std::get_if<Fail>(&command)) {
                story.error = failed->error.message;
            }
        }
    };
    take(run.begin());
    std::map<ItemId, int> failures;
    for (int round = 0; run.state() == RunState::kRunning && round < 100'000; ++round) {
        if (working.empty()) {
            story.error = "nothing is running";
            break;
        }
        if (random.chance(faults.crash)) {
            auto restored = Flow::from_json(run.to_json());
            EXPECT_TRUE(restored) << restored.error().message;
            run = *std::move(restored);
            working.clear();
            take(run.begin());
            continue;
        }
        const auto at = static_cast<std::ptrdiff_t>(random.below(working.size()));
        const Start start = working[static_cast<std::size_t>(at)];
        const auto files = results_of(start);
        if (random.chance(0.3)) {
            const auto index = static_cast<std::size_t>(random.below(files.size()));
            take(run.on(ItemOutput{start.id, start.attempt, index, files[index]}));
            continue;
        }
        working.erase(working.begin() + at);
        if (failures[start.id] < 9 && random.chance(faults.failure)) {
            ++failures[start.id];
            take(run.on(ItemFailed{start.id, start.attempt, make_error(Errc::kUnavailable, "gone")}));
            continue;
        }
        ++story.accepted[start.id];
        const auto wei =
            static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(start.wei_max) + 1));
        const ItemDone event{start.id, start.attempt, files, wei, random.chance(faults.cached)};
        take(run.on(event));
        if (run.state() == RunState::kRunning) {
            EXPECT_TRUE(run.on(event).empty()) << "the same again does nothing";
        }
        EXPECT_LE(run.wei(), run.quote().wei);
    }
    return story;
}

TEST(RunRandom, AlwaysTheSameResultEachItemOnceNeverAboveTheQuote) {
    std::size_t items = 0;
    for (std::uint64_t seed = 0; seed < 80; ++seed) {
        SeededRandom random(seed);
        const std::string text = Author(random).write();
        SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text);
        const auto workflow = workflow_of(text);
        ASSERT_NE(workflow, nullptr);
        const auto frames = static_cast<std::int64_t>(random.below(300)) + 1;
        const Values inputs{
            {"film", film(160, 90, frames * 33, frames)},
            {"photos",
             std::vector<Artifact>{picture(64, 64, "a"), picture(40, 80, "b"), picture(400, 310, "c")}}
        };
        const auto quote = make_quote(*workflow, inputs, 5, offer);
        ASSERT_TRUE(quote) << quote.error().message;
        const auto fresh = [&] { return *Flow::make(workflow, inputs, 5, *quote); };
        const Story quiet = tell(fresh(), random, {});
        ASSERT_EQ(quiet.error, "");
        const Story stormy = tell(fresh(), random, {0.2, 0.1, 0.1});
        ASSERT_EQ(stormy.error, "");
        ASSERT_EQ(stormy.outputs, quiet.outputs);
        ASSERT_EQ(stormy.accepted, quiet.accepted);
        for (const auto& [id, count] : stormy.accepted) {
            ASSERT_EQ(count, 1) << id.step << "/" << id.item;
        }
        items += quiet.accepted.size();
    }
    EXPECT_GT(items, 500U);  // it did test something
}

}  // namespace
}  // namespace framegrid::workflow
