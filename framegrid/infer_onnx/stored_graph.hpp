// Networks as ONNX Runtime leaves them when it has optimised them, kept beside their model: loading one of
// these takes a third of the time, and its weights are mapped instead of read.
//   <model>/.optimized/<network>/<source>-<environment>/ { graph.onnx, weights.bin, digests }
#pragma once

#include <filesystem>
#include <string>

#include <framegrid/base/result.hpp>
#include <framegrid/engine/manifest.hpp>

namespace framegrid::infer_onnx {

inline constexpr const char* kStoredGraph = "graph.onnx";
inline constexpr const char* kStoredWeights = "weights.bin";

// What a graph optimised by this process depends on, in a few letters and digits: `library` and the
// processor.
std::string processor_environment(const std::string& library);

// Where the stored graph of the network at `path` is, relative to the model's directory. Another network,
// library or processor: another place. The manifest must state every digest.
std::filesystem::path stored_graph_place(
    const engine::ModelManifest& manifest, const std::string& path, const std::string& environment
);

// Takes out of the graph in `growing` what need not be computed (onnx_graph::simplify); the one that it was
// is kept until keep_stored_graph().
Result<void> simplify_stored_graph(const std::filesystem::path& growing);
Result<void> undo_simplified_graph(const std::filesystem::path& growing);

// Says that what lies in `growing` is whole, and puts it in place. What was stored of another state of the
// network is removed.
Result<void> keep_stored_graph(const std::filesystem::path& growing, const std::filesystem::path& place);

// Whether there is one; says nothing about its files.
bool has_stored_graph(const std::filesystem::path& place);

// file_state() of all its files.
std::string stored_graph_state(const std::filesystem::path& place);

// Compares the files with their digests. kUnprocessable: changed since they were stored.
Result<void> verify_stored_graph(const std::filesystem::path& place);

}  // namespace framegrid::infer_onnx
