// The document that a client submits as a job: what to do with which inputs, at which price, until when.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <framegrid/base/result.hpp>
#include <framegrid/job/constraints.hpp>
#include <framegrid/job/pipelines.hpp>
#include <framegrid/job/verification.hpp>

namespace framegrid::job {

inline constexpr std::size_t kDocumentBytesMax = 1024 * 1024;
// The pipeline that gives its input back: no model, for measuring and for trying a gateway out.
inline constexpr std::string_view kEcho = "echo";
// A whole video in other sizes and rates: input "video", parameter "profiles" (preset names with commas
// between them, or a JSON array). Runs as a workflow of one step.
inline constexpr std::string_view kTranscode = "transcode";
// The kind of jobs that are a workflow.
inline constexpr std::string_view kWorkflow = "workflow";

struct Document {
    std::string pipeline;
    std::string model;  // empty: the gateway's default for the pipeline
    // By the names of the pipeline's files ("image", "video", "mask"; of echo "data"): the id of a stored
    // file, an http(s) URL or a base64 data URL.
    std::map<std::string, std::string> inputs{};
    std::string parameters = "{}";  // checked against the pipeline's table; JSON object, keys in order
    std::optional<std::int64_t> max_price_wei{};  // for the whole job; absent: the gateway's own limit
    std::int64_t deadline_ms = 0;                 // from acceptance on; 0: the gateway's default
    int priority = 0;                             // -1 low, 0 normal, 1 high
    int preview_steps = 0;                        // a preview with every so many steps; 0: none
    std::string webhook{};                        // http(s) URL that is told of the end
    std::string idempotency_key{};                // at most 255 printable characters
    Constraints constraints{};                    // who may have it
    Verification verification{};                  // how its result is checked
    std::string metadata = "{}";                  // the client's own JSON object, given back as it came
    // Of workflows, transcode included: what to do as YAML or JSON text, the values of its inputs by name as
    // a JSON object (files as in `inputs`, or lists of them; texts, numbers), and what seeds are derived
    // from.
    std::string workflow{};
    std::string values = "{}";
    std::optional<std::int64_t> seed{};
};

// kInvalidArgument names the field ("parameters.width", "inputs.image"), unknown fields included;
// kNotFound: unknown pipeline; kTooLarge.
Result<Document> parse_document(std::string_view json);
// Parses to the same document.
std::string to_json(const Document& document);

// What an input's text is.
enum class InputKind : std::uint8_t { kArtifact, kUrl, kData };
std::optional<InputKind> input_kind(std::string_view text);

}  // namespace framegrid::job
