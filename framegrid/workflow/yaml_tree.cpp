#include <framegrid/workflow/yaml_tree.hpp>

#include <sstream>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <framegrid/base/log.hpp>
#include <framegrid/base/utf8.hpp>

namespace framegrid::workflow {

namespace {

Place place_of(const YAML::Mark& mark) {
    return mark.is_null() ? Place{} : Place{mark.line + 1, mark.column + 1};
}

// Builds the tree from the library's events, so that its own tree, which follows aliases, never exists.
// Refuses by throwing the library's own exception, which read_tree() catches.
class Builder final : public YAML::EventHandler {
  public:
    void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        refuse_anchor(mark, anchor);
        Node node;
        node.place = place_of(mark);
        take(mark, std::move(node));
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
        refuse(mark, "aliases (*name) are not allowed; write the value out");
    }

    void OnScalar(
        const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value
    ) override {
        refuse_anchor(mark, anchor);
        refuse_tag(mark, tag);
        Node node;
        node.place = place_of(mark);
        node.kind = NodeKind::kScalar;
        node.text = value;
        node.quoted = tag == "!";
        take(mark, std::move(node));
    }

    void OnSequenceStart(
        const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
        YAML::EmitterStyle::value /*style*/
    ) override {
        begin(mark, tag, anchor, NodeKind::kSequence);
    }
    void OnSequenceEnd() override { finish(); }

    void OnMapStart(
        const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
        YAML::EmitterStyle::value /*style*/
    ) override {
        begin(mark, tag, anchor, NodeKind::kMap);
    }
    void OnMapEnd() override { finish(); }

    std::optional<Node> take_root() { return std::move(root_); }

  private:
    struct Open {
        Node node;
        std::optional<std::pair<std::string, Place>> key;  // of a map: read, its value not yet
    };

    [[noreturn]] static void refuse(const YAML::Mark& mark, const std::string& why) {
        throw YAML::ParserException(mark, why);
    }
    static void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
        if (anchor != YAML::NullAnchor) {
            refuse(mark, "anchors (&name) are not allowed; write the value out");
        }
    }
    static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
        if (!tag.empty() && tag != "?" && tag != "!") {
            refuse(mark, "tags (!name) are not allowed");
        }
    }

    void begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, NodeKind kind) {
        refuse_anchor(mark, anchor);
        refuse_tag(mark, tag);
        if (open_.size() >= static_cast<std::size_t>(kDepthMax)) {
            refuse(mark, "nested deeper than " + std::to_string(kDepthMax) + " levels");
        }
        if (!open_.empty() && open_.back().node.kind == NodeKind::kMap && !open_.back().key) {
            refuse(mark, "a field's name must be plain text");
        }
        Node node;
        node.place = place_of(mark);
        node.kind = kind;
        open_.push_back({std::move(node), std::nullopt});
    }

    void finish() {
        Node node = std::move(open_.back().node);
        open_.pop_back();
        attach(std::move(node));
    }

    void take(const YAML::Mark& mark, Node node) {
        if (++nodes_ > kNodesMax) {
            refuse(mark, "more than " + std::to_string(kNodesMax) + " values");
        }
        if (!open_.empty() && open_.back().node.kind == NodeKind::kMap && !open_.back().key) {
            if (node.kind != NodeKind::kScalar) {
                refuse(mark, "a field needs a name");
            }
            open_.back().key.emplace(std::move(node.text), node.place);
            return;
        }
        attach(std::move(node));
    }

    void attach(Node node) {
        if (open_.empty()) {
            root_ = std::move(node);
            return;
        }
        Open& parent = open_.back();
        if (parent.node.kind == NodeKind::kSequence) {
            parent.node.items.push_back(std::move(node));
            return;
        }
        parent.node.entries.push_back({std::move(parent.key->first), parent.key->second, std::move(node)});
        parent.key.reset();
    }

    std::vector<Open> open_;
    std::optional<Node> root_;
    std::size_t nodes_ = 0;
};

}  // namespace

std::optional<Node> read_tree(std::string_view text, Problems& problems) {
    if (text.size() > kDocumentBytesMax) {
        problems.add(
            {}, {}, "the document is longer than " + std::to_string(kDocumentBytesMax) + " bytes",
            "split it into several workflows"
        );
        return std::nullopt;
    }
    if (text.find('\0') != std::string_view::npos || valid_utf8(text) != text) {
        problems.add({}, {}, "the document is not UTF-8 text", "save it as UTF-8");
        return std::nullopt;
    }
    Builder builder;
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        if (!parser.HandleNextDocument(builder)) {
            problems.add({1, 1}, {}, "the document is empty", "start with `workflow: NAME`");
            return std::nullopt;
        }
        auto root = builder.take_root();
        Builder rest;
        if (parser.HandleNextDocument(rest)) {
            auto second = rest.take_root();
            problems.add(
                second ? second->place : Place{}, {}, "a second document starts here",
                "keep one workflow in a file"
            );
            return std::nullopt;
        }
        return root;
    } catch (const YAML::Exception& error) {
        problems.add(place_of(error.mark), {}, "cannot be read: " + printable(error.msg));
        return std::nullopt;
    }
}

}  // namespace framegrid::workflow
