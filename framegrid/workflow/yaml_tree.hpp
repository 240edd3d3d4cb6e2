// The document's text as a tree with positions. The only part that knows the YAML library.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/workflow/problem.hpp>

namespace framegrid::workflow {

enum class NodeKind : std::uint8_t { kNull, kScalar, kSequence, kMap };

struct NodeEntry;

struct Node {
    NodeKind kind = NodeKind::kNull;
    Place place;
    std::string text;     // of a scalar
    bool quoted = false;  // a scalar that is text whatever it looks like
    std::vector<Node> items;
    std::vector<NodeEntry> entries;  // in the order of the text; names may repeat
};

struct NodeEntry {
    std::string name;
    Place place;
    Node value;
};

inline constexpr std::size_t kDocumentBytesMax = 256 * 1024;
inline constexpr int kDepthMax = 16;
inline constexpr std::size_t kNodesMax = 20'000;

// One YAML or JSON document without anchors, aliases and tags. Nothing after a problem, which is added.
std::optional<Node> read_tree(std::string_view text, Problems& problems);

}  // namespace framegrid::workflow
