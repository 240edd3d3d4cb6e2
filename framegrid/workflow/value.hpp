// Types and values that flow between the steps of a workflow.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace framegrid::workflow {

enum class Kind : std::uint8_t {
    kText,
    kInteger,
    kNumber,
    kBoolean,
    kImage,
    kVideo,
    kTimes,     // a JSON file with positions in a video
    kPlaylist,  // a folder with playlists and segments
};

constexpr bool is_media(Kind kind) {
    return kind >= Kind::kImage;
}

struct Type {
    Kind kind = Kind::kText;
    bool list = false;  // only of media
    friend bool operator==(const Type&, const Type&) = default;
};

// "text", "integer", "number", "boolean", "image", "video", "times", "playlist"; of lists "images", "videos"
// ...
std::string to_string(Type type);
std::optional<Type> parse_type(std::string_view name);
// All names, for advice.
std::vector<std::string> type_names();

// A stored file, and what is known of it. Sizes that do not apply are 0.
struct Artifact {
    Kind kind = Kind::kImage;
    std::string digest;  // SHA-256 of the bytes, hex; of a folder: of its list of files
    std::uint64_t bytes = 0;
    std::string content_type;
    int width = 0;   // pixels
    int height = 0;  // pixels
    std::int64_t duration_ms = 0;
    std::int64_t frames = 0;  // of a video
    friend bool operator==(const Artifact&, const Artifact&) = default;
};

// monostate: nothing, as for a parameter that is left out.
using Value =
    std::variant<std::monostate, bool, std::int64_t, double, std::string, Artifact, std::vector<Artifact>>;
using Values = std::map<std::string, Value, std::less<>>;

// A scalar as it stands in text; nothing for media.
std::optional<std::string> scalar_text(const Value& value);
// True when a value of this type may stand where `type` is wanted.
bool fits(const Value& value, Type type);

}  // namespace framegrid::workflow
