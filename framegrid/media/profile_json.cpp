// Reading and writing the JSON form of profiles.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include <boost/json.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/media/profile.hpp>

namespace framegrid::media {
namespace {

namespace json = boost::json;

constexpr std::size_t kJsonBytesMax = 65'536;
constexpr int kSideMax = 16'384;
constexpr std::size_t kNameBytesMax = 128;
constexpr double kGopSecondsMax = 3600;

// Reads the members of one profile; remembers the path for errors.
class ProfileReader {
  public:
    ProfileReader(const json::object& object, std::string path) : object_(object), path_(std::move(path)) {}

    Result<VideoProfile> read();

  private:
    std::unexpected<Error> wrong(std::string_view key, std::string_view why) const {
        return fail(
            Errc::kInvalidArgument, std::string(key) + " " + std::string(why), path_ + "." + std::string(key)
        );
    }
    Result<std::int64_t> integer(std::string_view key, std::int64_t max) const;
    Result<std::string> text(std::string_view key) const;
    Result<std::string> name(const VideoProfile& profile) const;
    Result<H264Profile> h264_profile() const;
    Result<Encoder> encoder() const;
    Result<int> gop_ms() const;

    const json::object& object_;
    std::string path_;
};

Result<std::int64_t> ProfileReader::integer(std::string_view key, std::int64_t max) const {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr || value->is_null()) {
        return 0;
    }
    std::int64_t number = 0;
    if (const auto* signed_value = value->if_int64()) {
        number = *signed_value;
    } else if (value->if_uint64() != nullptr) {
        return wrong(key, "is too large");  // only values over INT64_MAX are stored as uint64
    } else if (const auto* real = value->if_double(); real != nullptr && *real == std::floor(*real)) {
        if (std::abs(*real) > 1e15) {
            return wrong(key, "is too large");
        }
        number = static_cast<std::int64_t>(*real);
    } else {
        return wrong(key, "must be a whole number");
    }
    if (number < 0) {
        return wrong(key, "must not be negative");
    }
    if (number > max) {
        return wrong(key, "is too large");
    }
    return number;
}

Result<std::string> ProfileReader::text(std::string_view key) const {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr || value->is_null()) {
        return std::string();
    }
    const json::string* string = value->if_string();
    if (string == nullptr) {
        return wrong(key, "must be a string");
    }
    return std::string(string->data(), string->size());
}

// Names end up in file names and header values, so they must not be able to change either.
Result<std::string> ProfileReader::name(const VideoProfile& profile) const {
    FG_TRY(name, text("name"));
    if (name.empty()) {
        return "custom_" + std::to_string(profile.width) + "x" + std::to_string(profile.height) + "_" +
               std::to_string(profile.bitrate_bps);
    }
    if (name.size() > kNameBytesMax) {
        return wrong("name", "is longer than 128 bytes");
    }
    const auto is_bad = [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '/' || c == '\\' || c == '"';
    };
    if (name == "." || name == ".." || std::ranges::any_of(name, is_bad)) {
        return wrong("name", "must not contain control characters, slashes or quotes");
    }
    return name;
}

Result<H264Profile> ProfileReader::h264_profile() const {
    FG_TRY(name, text("profile"));
    std::ranges::transform(name, name.begin(), [](unsigned char c) {
        return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    });
    if (name.empty() || name == "none") {
        return H264Profile::kDefault;
    }
    if (name == "h264baseline") {
        return H264Profile::kBaseline;
    }
    if (name == "h264main") {
        return H264Profile::kMain;
    }
    if (name == "h264high") {
        return H264Profile::kHigh;
    }
    if (name == "h264constrainedhigh") {
        return H264Profile::kConstrainedHigh;
    }
    return wrong("profile", "is not a known codec profile (TranscoderUnrecognizedProfile)");
}

Result<Encoder> ProfileReader::encoder() const {
    FG_TRY(name, text("encoder"));
    if (name.empty()) {
        return Encoder::kH264;
    }
    for (const Encoder encoder : {Encoder::kH264, Encoder::kHevc, Encoder::kVp8, Encoder::kVp9}) {
        if (name == encoder_name(encoder)) {
            return encoder;
        }
    }
    return wrong("encoder", "must be H.264, HEVC, VP8 or VP9");
}

Result<int> ProfileReader::gop_ms() const {
    const json::value* value = object_.if_contains("gop");
    double seconds = 0;
    if (value != nullptr && value->is_number()) {
        seconds = value->is_double()  ? value->get_double()
                  : value->is_int64() ? static_cast<double>(value->get_int64())
                                      : static_cast<double>(value->get_uint64());
    } else {
        FG_TRY(gop, text("gop"));
        if (gop == "intra") {
            return kGopIntra;
        }
        if (gop.empty()) {
            return 0;
        }
        const auto [end, error] = std::from_chars(gop.data(), gop.data() + gop.size(), seconds);
        if (error != std::errc{} || end != gop.data() + gop.size()) {
            return wrong("gop", "must be seconds or intra (TranscoderInvalidGOP)");
        }
    }
    if (!std::isfinite(seconds) || seconds < 0 || seconds > kGopSecondsMax) {
        return wrong("gop", "must be between 0 and 3600 seconds (TranscoderInvalidGOP)");
    }
    return static_cast<int>(std::lround(seconds * 1000));
}

Result<VideoProfile> ProfileReader::read() {
    VideoProfile profile;
    FG_TRY(width, integer("width", kSideMax));
    FG_TRY(height, integer("height", kSideMax));
    if (width == 0 && height == 0) {
        return wrong("width", "or height must be given (TranscoderInvalidResolution)");
    }
    FG_TRY(bitrate, integer("bitrate", std::numeric_limits<std::int32_t>::max()));
    FG_TRY(fps, integer("fps", 1'000'000));
    FG_TRY(fps_den, integer("fpsDen", 1'000'000));
    FG_TRY(depth, integer("colorDepth", 8));
    if (depth != 0 && depth != 2 && depth != 4 && depth != 8) {
        return wrong("colorDepth", "must be 0, 2, 4 or 8");
    }
    FG_TRY(chroma, integer("chromaFormat", 2));
    FG_TRY(quality, integer("quality", 63));
    profile.width = static_cast<int>(width);
    profile.height = static_cast<int>(height);
    profile.bitrate_bps = bitrate;
    profile.fps_num = static_cast<std::uint32_t>(fps);
    profile.fps_den = fps_den == 0 ? 1 : static_cast<std::uint32_t>(fps_den);
    if (fps > std::int64_t{1000} * profile.fps_den) {
        return wrong("fps", "must not be over 1000 frames per second");
    }
    FG_TRY(h264, h264_profile());
    profile.h264_profile = h264;
    FG_TRY(gop, gop_ms());
    profile.gop_ms = gop;
    FG_TRY(codec, encoder());
    profile.encoder = codec;
    profile.container = container_for(codec, Container::kMpegTs);
    profile.color_depth = static_cast<int>(depth);
    profile.chroma = static_cast<Chroma>(chroma);
    profile.quality = static_cast<std::uint32_t>(quality);
    FG_TRY(checked_name, name(profile));
    profile.name = std::move(checked_name);
    return profile;
}

std::string_view h264_profile_name(H264Profile profile) {
    switch (profile) {
        case H264Profile::kDefault:
            return "";
        case H264Profile::kBaseline:
            return "H264Baseline";
        case H264Profile::kMain:
            return "H264Main";
        case H264Profile::kHigh:
            return "H264High";
        case H264Profile::kConstrainedHigh:
            return "H264ConstrainedHigh";
    }
    return "";
}

// Milliseconds as decimal seconds without a trailing zero: 2000 -> "2", 2500 -> "2.5".
std::string gop_text(int gop_ms) {
    if (gop_ms == kGopIntra) {
        return "intra";
    }
    if (gop_ms <= 0) {
        return "";
    }
    std::string text = std::to_string(gop_ms / 1000);
    if (const int rest = gop_ms % 1000; rest != 0) {
        std::string digits = std::to_string(1000 + rest).substr(1);
        digits.erase(digits.find_last_not_of('0') + 1);
        text += "." + digits;
    }
    return text;
}

}  // namespace

Result<std::vector<VideoProfile>> parse_profiles(std::string_view text) {
    if (text.size() > kJsonBytesMax) {
        return fail(Errc::kTooLarge, "the profiles JSON is over 64 KiB", "profiles");
    }
    boost::system::error_code error;
    const json::value value = json::parse(text, error);
    if (error) {
        return fail(
            Errc::kInvalidArgument, "the profiles are not valid JSON: " + error.message(), "profiles"
        );
    }
    const json::array* array = value.if_array();
    if (array == nullptr) {
        return fail(Errc::kInvalidArgument, "the profiles must be a JSON array", "profiles");
    }
    if (array->size() > kProfilesMax) {
        return fail(Errc::kInvalidArgument, "more than 10 profiles (Too many outputs)", "profiles");
    }
    std::vector<VideoProfile> profiles;
    std::set<std::string> names;
    for (const json::value& item : *array) {
        const std::string path = "profiles[" + std::to_string(profiles.size()) + "]";
        const json::object* object = item.if_object();
        if (object == nullptr) {
            return fail(Errc::kInvalidArgument, "a profile must be a JSON object", path);
        }
        FG_TRY(profile, ProfileReader(*object, path).read());
        if (!names.insert(profile.name).second) {
            return fail(
                Errc::kInvalidArgument, "two profiles are named " + printable(profile.name), path + ".name"
            );
        }
        profiles.push_back(std::move(profile));
    }
    return profiles;
}

std::string format_profiles(const std::vector<VideoProfile>& profiles) {
    json::array array;
    for (const VideoProfile& profile : profiles) {
        json::object object;
        object["name"] = profile.name;
        object["width"] = profile.width;
        object["height"] = profile.height;
        object["bitrate"] = profile.bitrate_bps;
        object["fps"] = profile.fps_num;
        object["fpsDen"] = profile.fps_den;
        object["profile"] = h264_profile_name(profile.h264_profile);
        object["gop"] = gop_text(profile.gop_ms);
        object["encoder"] = encoder_name(profile.encoder);
        object["colorDepth"] = profile.color_depth;
        object["chromaFormat"] = static_cast<int>(profile.chroma);
        object["quality"] = profile.quality;
        array.push_back(std::move(object));
    }
    return json::serialize(array);
}

}  // namespace framegrid::media
