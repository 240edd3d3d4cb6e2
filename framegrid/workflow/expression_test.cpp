#include <framegrid/workflow/expression.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace framegrid::workflow {
namespace {

using ::testing::HasSubstr;

class Names final : public Scope {
  public:
    std::optional<Type> input(std::string_view name) const override {
        if (name == "clip") {
            return Type{Kind::kVideo};
        }
        if (name == "photos") {
            return Type{Kind::kImage, true};
        }
        if (name == "hd") {
            return Type{Kind::kBoolean};
        }
        return name == "prompt" ? std::optional(Type{Kind::kText}) : std::nullopt;
    }
    StepType step(std::string_view id) const override {
        return {.unknown = id != "cut" && id != "one", .each = id == "cut", .kind = Kind::kVideo};
    }
    std::optional<Type> item() const override { return Type{Kind::kImage}; }
    bool has_item() const override { return true; }
    std::vector<std::string> input_names() const override { return {"clip", "photos", "hd", "prompt"}; }
    std::vector<std::string> step_names() const override { return {"cut", "one"}; }
};

std::optional<Expression> read_scalar(std::string text, Problems& problems) {
    Node node;
    node.kind = NodeKind::kScalar;
    node.place = {3, 10};
    node.text = std::move(text);
    return parse_expression(node, "x", problems);
}

// The type, or the first problem.
std::string typed(std::string text) {
    Problems problems;
    const auto tree = read_scalar(std::move(text), problems);
    std::optional<Type> type;
    if (tree) {
        type = type_of(*tree, Names{}, "x", problems);
    }
    if (problems.has_errors()) {
        return to_string(problems.sorted().front());
    }
    return type ? to_string(*type) : "nothing";
}

class Things final : public Source {
  public:
    Outcome look_up(const Reference& to) const override {
        if (to.root == Reference::Root::kStep) {
            return to.name == "cut" ? Outcome::absent() : Outcome::pending();
        }
        if (to.root == Reference::Root::kItemIndex) {
            return Outcome::ready(std::int64_t{4});
        }
        if (to.name == "hd") {
            return Outcome::ready(true);
        }
        if (to.name == "prompt") {
            return Outcome::ready(std::string("a ball"));
        }
        Artifact one;
        one.kind = Kind::kVideo;
        one.width = 640;
        one.height = 360;
        if (to.name == "photos") {
            return Outcome::ready(std::vector<Artifact>{one, one, one});
        }
        return Outcome::ready(one);
    }
};

std::string valued(std::string text) {
    Problems problems;
    const auto tree = read_scalar(std::move(text), problems);
    if (!tree) {
        return "unreadable";
    }
    const auto out = evaluate(*tree, Things{});
    if (!out.is_ready()) {
        return out.state == Outcome::State::kPending ? "pending" : "absent";
    }
    return scalar_text(out.value).value_or("a file");
}

std::string repeated(std::size_t count, char letter) {
    std::string text = "${";
    text.resize(count, letter);
    text.push_back('}');
    return text;
}

TEST(Expression, PlainScalarsHaveTheirTypes) {
    EXPECT_EQ(typed("42"), "integer");
    EXPECT_EQ(typed("-1.5"), "number");
    EXPECT_EQ(typed("true"), "boolean");
    EXPECT_EQ(typed("a red ball"), "text");
    EXPECT_EQ(typed("12 monkeys"), "text");
}

TEST(Expression, ReferencesHaveTheTypesOfWhatTheyName) {
    EXPECT_EQ(typed("${inputs.clip}"), "video");
    EXPECT_EQ(typed("${inputs.photos}"), "images");
    EXPECT_EQ(typed("${inputs.photos[2]}"), "image");
    EXPECT_EQ(typed("${ inputs.photos.count }"), "integer");
    EXPECT_EQ(typed("${steps.cut.outputs}"), "videos");
    EXPECT_EQ(typed("${steps.cut.outputs[item.index].duration_ms}"), "integer");
    EXPECT_EQ(typed("${steps.one.output}"), "video");
    EXPECT_EQ(typed("${item.width}"), "integer");
    EXPECT_EQ(typed("no ${item.index} of ${inputs.prompt}"), "text");
    EXPECT_EQ(typed("${not (inputs.clip.width < 720 or inputs.hd) and item.index != 3}"), "boolean");
    EXPECT_EQ(typed("${inputs.prompt == 'a }'}"), "boolean");
}

TEST(Expression, ProblemsHaveTheirPlaceAndAdvice) {
    EXPECT_EQ(typed("${inputs.clop}"), "3:12: x: there is no input \"clop\"; did you mean \"clip\"?");
    EXPECT_EQ(
        typed("ab ${step.one.output}"),
        "3:15: x: unknown name step; write inputs.NAME, steps.ID.output, steps.ID.outputs, item or "
        "item.index; "
        "text needs quotes"
    );
    EXPECT_THAT(typed("${steps.two.output}"), HasSubstr("there is no step \"two\""));
    EXPECT_THAT(typed("${steps.cut.output}"), HasSubstr("write steps.cut.outputs"));
    EXPECT_THAT(typed("${steps.one}"), HasSubstr("write steps.one.output"));
    EXPECT_THAT(typed("${inputs.clip.size}"), HasSubstr("unknown property size"));
    EXPECT_THAT(typed("${inputs.clip[0]}"), HasSubstr("only lists have an index"));
    EXPECT_THAT(typed("${inputs.photos[-1]}"), HasSubstr("not an index"));
    EXPECT_THAT(typed("${item.duration_ms}"), HasSubstr("image has no such property"));
    EXPECT_THAT(typed("${inputs.clip < 3}"), HasSubstr("video cannot be compared with integer"));
    EXPECT_THAT(typed("${inputs.prompt < 'b'}"), HasSubstr("text cannot be compared with text"));
    EXPECT_THAT(typed("${inputs.prompt and true}"), HasSubstr("text where a condition is wanted"));
    EXPECT_THAT(typed("see ${inputs.clip}"), HasSubstr("video inside text"));
    EXPECT_THAT(typed("${1 2}"), HasSubstr("unexpected 2"));
    EXPECT_THAT(typed("${(1 == 1}"), HasSubstr("a ) is missing"));
    EXPECT_THAT(typed("${'open}"), HasSubstr("${ without }"));
    EXPECT_THAT(typed("${"), HasSubstr("${ without }"));
    EXPECT_THAT(typed("${}"), HasSubstr("ends too early"));
    EXPECT_THAT(typed(repeated(100, '(')), HasSubstr("nested too deeply"));
    EXPECT_THAT(typed(repeated(5000, ' ')), HasSubstr("too long"));
}

TEST(Expression, Values) {
    EXPECT_EQ(valued("${inputs.clip.width >= 640 and not inputs.clip.height > 360}"), "true");
    EXPECT_EQ(valued("${inputs.photos.count == 3.0}"), "true");
    EXPECT_EQ(valued("${1 != 1.5}"), "true");
    EXPECT_EQ(valued("${inputs.prompt == \"a ball\"}"), "true");
    EXPECT_EQ(valued("${true == false}"), "false");
    EXPECT_EQ(valued("no ${item.index} of ${inputs.prompt}, ${true} ${1.5}"), "no 4 of a ball, true 1.5");
    EXPECT_EQ(valued("costs $${x}"), "costs ${x}");
}

TEST(Expression, WhatIsNotThereYetIsWaitedForOnlyIfItMatters) {
    EXPECT_EQ(valued("${steps.one.output}"), "pending");
    EXPECT_EQ(valued("${steps.cut.outputs}"), "absent");
    EXPECT_EQ(valued("${inputs.hd or steps.one.output.width > 3}"), "true");
    EXPECT_EQ(valued("${steps.one.output.width > 3 and not inputs.hd}"), "false");
    EXPECT_EQ(valued("${steps.one.output.width > 3 and inputs.hd}"), "pending");
    EXPECT_EQ(valued("${steps.one.output.width > 3 or steps.cut.outputs.count > 1}"), "pending");
    EXPECT_EQ(valued("w ${steps.cut.outputs.count}"), "absent");
}

}  // namespace
}  // namespace framegrid::workflow
