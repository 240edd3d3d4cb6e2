#include <framegrid/rest/push_request.hpp>

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

constexpr std::size_t kStreamNameBytesMax = 255;
constexpr int kTimeoutMultiplierMax = 100;
constexpr std::string_view kConfigHeader = "livepeer-transcode-configuration";

std::unexpected<Error> invalid(std::string message, std::string field) {
    return fail(Errc::kInvalidArgument, std::move(message), std::move(field));
}

// The value of `key`, or null when it is absent or JSON's null.
const json::value* find(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value == nullptr || value->is_null() ? nullptr : value;
}

Result<std::vector<media::VideoProfile>> read_presets(const json::value& value) {
    const json::array* names = value.if_array();
    if (names == nullptr) {
        return invalid("presets must be an array of preset names", "presets");
    }
    std::vector<media::VideoProfile> profiles;
    for (std::size_t i = 0; i < names->size(); ++i) {
        const std::string field = fmt::format("presets[{}]", i);
        const json::string* name = (*names)[i].if_string();
        if (name == nullptr) {
            return invalid("a preset must be a string", field);
        }
        auto preset = media::parse_presets({name->data(), name->size()});
        if (!preset) {
            preset.error().field = field;
            return fail(std::move(preset.error()));
        }
        if (preset->size() != 1) {
            return invalid("must be one preset name", field);
        }
        if (profiles.size() == media::kProfilesMax) {
            return invalid("more than 10 presets", "presets");
        }
        profiles.push_back(std::move(preset->front()));
    }
    return profiles;
}

Result<std::optional<std::vector<media::VideoProfile>>> read_ladder(const json::object& object) {
    const json::value* presets = find(object, "presets");
    const json::value* profiles = find(object, "profiles");
    if (presets == nullptr && profiles == nullptr) {
        return std::nullopt;
    }
    std::vector<media::VideoProfile> ladder;
    if (presets != nullptr) {
        FG_TRY(from_presets, read_presets(*presets));
        ladder = std::move(from_presets);
    }
    if (profiles != nullptr) {
        FG_TRY(from_profiles, media::parse_profiles(json::serialize(*profiles)));
        std::ranges::move(from_profiles, std::back_inserter(ladder));
    }
    if (ladder.size() > media::kProfilesMax) {
        return invalid("more than 10 profiles and presets", "profiles");
    }
    std::set<std::string_view> names;
    for (const auto& profile : ladder) {
        if (!names.insert(profile.name).second) {
            return invalid("two renditions are named " + printable(profile.name), "profiles");
        }
    }
    return ladder;
}

Result<int> read_multiplier(const json::object& object) {
    const json::value* value = find(object, "timeoutMultiplier");
    if (value == nullptr) {
        return 1;
    }
    boost::system::error_code error;
    const auto number = value->to_number<std::int64_t>(error);
    if (error) {
        return invalid("timeoutMultiplier must be a whole number", "timeoutMultiplier");
    }
    if (number < 0) {
        return invalid("timeoutMultiplier must not be negative", "timeoutMultiplier");
    }
    return static_cast<int>(std::clamp<std::int64_t>(number, 1, kTimeoutMultiplierMax));
}

Result<std::int64_t> read_duration(const http::Headers& headers) {
    const auto text = headers.get("content-duration");
    if (!text) {
        return media::kSegmentMsDefault;
    }
    const auto number = parse_integer(*text);
    if (!number && text->size() > 12 && text->find_first_not_of("0123456789") == std::string_view::npos) {
        return invalid("Content-Duration is over 300000 milliseconds", "content-duration");
    }
    if (!number || *number == 0) {
        return media::kSegmentMsDefault;  // what existing gateways do with what they cannot read
    }
    if (*number < 0 || *number > media::kSegmentMsMax) {
        return invalid(
            fmt::format("Content-Duration must be between 0 and {} milliseconds", media::kSegmentMsMax),
            "content-duration"
        );
    }
    return *number;
}

Result<std::optional<api::Clip>> read_clip(const http::Headers& headers, std::int64_t duration_ms) {
    const auto read = [&](std::string_view name) -> std::int64_t {
        const auto text = headers.get(name);
        return text ? parse_integer(*text).value_or(0) : 0;
    };
    const std::int64_t from = read("content-slice-from");
    const std::int64_t to = read("content-slice-to");
    if (from <= 0 && to <= 0) {
        return std::nullopt;
    }
    const api::Clip clip{std::max<std::int64_t>(0, from), to > 0 ? to : duration_ms};
    if (clip.from_ms >= clip.to_ms) {
        return invalid("the slice ends before it begins", "content-slice-from");
    }
    return clip;
}

// "17" and "out17" are 17; what has no number is 0, as for existing gateways.
std::int64_t sequence_of(std::string_view name) {
    const auto last = name.find_last_not_of("0123456789");
    return parse_integer(last == std::string_view::npos ? name : name.substr(last + 1)).value_or(0);
}

}  // namespace

Result<PushTarget> parse_push_path(std::string_view path) {
    const auto slash = path.rfind('/');
    const std::string_view file = slash == std::string_view::npos ? path : path.substr(slash + 1);
    const auto dot = file.rfind('.');
    const std::string_view extension = dot == std::string_view::npos ? std::string_view{} : file.substr(dot);
    PushTarget target;
    if (extension == ".mp4") {
        target.container = media::Container::kMp4;
    } else if (extension != ".ts") {
        return invalid("only .ts and .mp4 segments can be pushed", "extension");
    }
    // Of a deeper path the first part is the stream.
    const auto name =
        percent_decode(slash == std::string_view::npos ? std::string_view{} : path.substr(0, path.find('/')));
    const auto is_bad = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '/'; };
    if (!name || name->empty() || std::ranges::any_of(*name, is_bad) || *name == "." || *name == "..") {
        return invalid("the path must be /live/{stream}/{number}.ts", "stream");
    }
    if (name->size() > kStreamNameBytesMax) {
        return invalid("the stream's name is longer than 255 bytes", "stream");
    }
    target.stream = *name;
    target.seq = sequence_of(file.substr(0, dot));
    return target;
}

Result<PushConfig> parse_push_config(std::string_view text) {
    boost::system::error_code error;
    const json::value value = json::parse(text, error);
    if (error) {
        return invalid("not valid JSON: " + error.message(), std::string(kConfigHeader));
    }
    if (value.is_null()) {
        return PushConfig{};
    }
    const json::object* object = value.if_object();
    if (object == nullptr) {
        return invalid("the configuration must be a JSON object", std::string(kConfigHeader));
    }
    PushConfig config;
    FG_TRY(ladder, read_ladder(*object));
    config.profiles = std::move(ladder);
    FG_TRY(multiplier, read_multiplier(*object));
    config.timeout_multiplier = multiplier;
    if (const json::value* force = find(*object, "forceSessionReinit")) {
        if (!force->is_bool()) {
            return invalid("forceSessionReinit must be true or false", "forceSessionReinit");
        }
        config.force_reinit = force->get_bool();
    }
    return config;
}

Result<PushHeaders> parse_push_headers(const http::Headers& headers) {
    PushHeaders out;
    if (const auto text = headers.get(kConfigHeader); text && !text->empty()) {
        FG_TRY(config, parse_push_config(*text));
        out.config = std::move(config);
    }
    FG_TRY(duration, read_duration(headers));
    out.duration_ms = duration;
    FG_TRY(clip, read_clip(headers, duration));
    out.clip = clip;
    if (const auto text = headers.get("content-resolution")) {
        out.resolution = parse_resolution(*text);
    }
    if (const auto accept = headers.get("accept")) {
        out.wants_renditions = asks_for(accepted_types(*accept), "multipart/mixed");
    }
    out.background = is_background(headers.get("priority").value_or(""));
    return out;
}

}  // namespace framegrid::rest
