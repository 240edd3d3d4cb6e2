// The examples that come with the program: each is valid, has a price, and runs to its end.
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include <framegrid/workflow/workflow_for_test.hpp>

namespace framegrid::workflow {
namespace {

using Flow = Run;  // GoogleTest's fixtures have a Run of their own

std::string text_of(const std::filesystem::path& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
}

std::vector<std::filesystem::path> examples() {
    std::vector<std::filesystem::path> out;
    for (const auto& entry : std::filesystem::directory_iterator(FG_EXAMPLES)) {
        if (entry.path().extension() == ".yaml") {
            out.push_back(entry.path());
        }
    }
    return out;
}

Values inputs_of(const Workflow& workflow) {
    Values out;
    for (const auto& input : workflow.inputs) {
        if (input.type == Type{Kind::kVideo}) {
            out.emplace(input.name, film(1280, 720, 20'000, 600));
        } else if (input.type == Type{Kind::kImage}) {
            out.emplace(input.name, picture(512, 512));
        } else if (input.type == Type{Kind::kImage, true}) {
            std::vector<Artifact> pictures;
            for (int i = 0; i < 100; ++i) {
                pictures.push_back(picture(i == 50 ? 2000 : 640, 480, std::to_string(i)));
            }
            out.emplace(input.name, std::move(pictures));
        }
    }
    return out;
}

// Runs until nothing is left to do; returns how many items were done.
int finish(Flow& run) {
    int items = 0;
    for (auto work = starts_of(run.begin()); !work.empty(); ++items) {
        const Start start = work.back();
        work.pop_back();
        const auto more = starts_of(run.on(done(start)));
        work.insert(work.end(), more.begin(), more.end());
    }
    return items;
}

TEST(Examples, AreValidHaveAPriceAndRunToTheirEnd) {
    std::map<std::string, int> items;
    for (const auto& path : examples()) {
        SCOPED_TRACE(path);
        const auto workflow = workflow_of(text_of(path));
        ASSERT_NE(workflow, nullptr);
        EXPECT_EQ(workflow->name, path.stem());
        EXPECT_TRUE(make_quote(*workflow, {}, 1, offer)) << "without files";
        const auto inputs = inputs_of(*workflow);
        const auto quote = make_quote(*workflow, inputs, 1, offer);
        ASSERT_TRUE(quote) << quote.error().message;
        auto run = Flow::make(workflow, inputs, 1, *quote);
        ASSERT_TRUE(run) << run.error().message;
        items[workflow->name] = finish(*run);
        EXPECT_EQ(run->state(), RunState::kSucceeded);
        EXPECT_LE(run->wei(), quote->wei);
    }
    EXPECT_EQ(items.size(), 5U);
    EXPECT_EQ(items["text-to-video"], 3);
    EXPECT_EQ(items["upscale-images"], 99);  // one is large already
    EXPECT_EQ(items["contact-sheet"], 3);
    EXPECT_EQ(items["loop"], 3);
    EXPECT_GE(items["ladder"], 5);
}

TEST(Examples, EveryFileIsInTheReadme) {
    const auto readme = text_of(std::filesystem::path(FG_EXAMPLES) / "README.md");
    for (const auto& path : examples()) {
        EXPECT_NE(readme.find("(" + path.filename().string() + ")"), std::string::npos) << path;
    }
}

}  // namespace
}  // namespace framegrid::workflow
