// What a worker and its executor processes say to each other: length-prefixed messages over a socket pair.
// Media over kInlineMax bytes travels as shared memory, and the message only says where it is.
//
// Frame: u32 length of what follows, u8 type, fields. Integers are little-endian; strings are u32 length and
// bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <framegrid/api/model_use.hpp>
#include <framegrid/api/work.hpp>

namespace framegrid::sandbox {

inline constexpr std::size_t kInlineMax = 64 * 1024;              // media bytes inside a message
inline constexpr std::size_t kMessageBytesMax = 4 * 1024 * 1024;  // a frame without its length
inline constexpr std::size_t kArtifactsMax = 256;                 // of one task
inline constexpr std::uint32_t kSlotsMax = 64;                    // tasks of one executor at a time

// Parent, first: the limits that the executor puts on itself.
struct SetupMessage {
    std::uint64_t memory_bytes_max = 0;  // 0: no limit
    bool gpu = false;                    // leave the devices of GPUs reachable
    std::vector<std::string> readable;   // files and directories (with content) that may be read
    friend bool operator==(const SetupMessage&, const SetupMessage&) = default;
};

// Executor: ready for work. `missing` names the protections that this system does not have.
struct ReadyMessage {
    std::vector<std::string> missing;
    friend bool operator==(const ReadyMessage&, const ReadyMessage&) = default;
};

// Parent: do this, in a slot that has no task. The descriptors that come with it: the input (if
// input_shared), then the output (if output_shared).
struct RunMessage {
    std::uint64_t task = 0;                     // not 0
    std::uint32_t slot = 0;                     // each has a thread and an output region of its own
    std::uint64_t deadline_ms = 0;              // from now; 0: none
    api::Work work;                             // `input` is set only when it is small
    std::optional<std::uint64_t> input_shared;  // size of the input in shared memory
    std::optional<std::uint64_t>
        output_shared;  // size of a new output region; absent: the slot's last one is unused yet
};

// Parent: nobody wants this task's result any more.
struct CancelMessage {
    std::uint64_t task = 0;
    friend bool operator==(const CancelMessage&, const CancelMessage&) = default;
};

// Parent: drop what is kept for the session.
struct EndSessionMessage {
    std::string session_id;
    friend bool operator==(const EndSessionMessage&, const EndSessionMessage&) = default;
};

// Parent: an AI task may come, get ready for it.
struct PrepareMessage {
    friend bool operator==(const PrepareMessage&, const PrepareMessage&) = default;
};

// A result file inside the output region.
struct Region {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    friend bool operator==(const Region&, const Region&) = default;
};

struct ArtifactMessage {
    api::Artifact artifact;        // `bytes` is set only when it is small
    std::optional<Region> region;  // else where they are
};

struct OutputMessage {
    std::vector<ArtifactMessage> artifacts;
    Pixels decoded;
    std::optional<api::AiRun> ai;
};

// Executor: a file of a task that is not finished; it comes again in the outcome.
struct EarlyMessage {
    std::uint64_t task = 0;
    std::uint32_t index = 0;  // its place in the outcome
    ArtifactMessage entry;
};

// Executor: how far a task is.
struct ProgressMessage {
    std::uint64_t task = 0;
    api::Progress progress;  // a preview has at most kInlineMax bytes
};

// Executor: the task's outcome.
struct DoneMessage {
    std::uint64_t task = 0;
    Result<OutputMessage> outcome;
    bool retire = false;  // this process should not be used again
};

// Executor: what it does with models, when that has changed; before the outcome of the task that changed it.
struct UsageMessage {
    api::DeviceUse use;
    friend bool operator==(const UsageMessage&, const UsageMessage&) = default;
};

using Message = std::variant<
    SetupMessage, ReadyMessage, RunMessage, CancelMessage, EndSessionMessage, EarlyMessage, ProgressMessage,
    DoneMessage, UsageMessage, PrepareMessage>;

// A whole frame. kTooLarge: over kMessageBytesMax.
Result<Bytes> encode(const Message& message);
// Reads what follows a frame's length. kProtocol: not a message; every field is checked, texts are made
// printable.
Result<Message> decode(BytesView payload);

// Cuts a byte stream into messages. Holds at most one frame and what was appended last.
class FrameReader {
  public:
    void append(BytesView bytes);
    // The next whole message; nullopt: more bytes are needed. kProtocol: the stream is broken for good.
    Result<std::optional<Message>> next();

  private:
    Bytes buffer_;
    std::size_t used_ = 0;
};

}  // namespace framegrid::sandbox
