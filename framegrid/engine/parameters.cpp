#include <framegrid/engine/parameters.hpp>

#include <charconv>
#include <cmath>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/engine/manifest.hpp>

namespace framegrid::engine {
namespace {

namespace json = boost::json;

constexpr std::size_t kPromptBytesMax = 16 * 1024;
constexpr std::int64_t kSeedMax = (std::int64_t{1} << 53) - 1;  // JavaScript clients round larger integers
constexpr std::int64_t kStepsMax = 10'000;

std::unexpected<Error> wrong(std::string_view key, std::string_view what) {
    return fail(Errc::kInvalidArgument, std::string(key) + " " + std::string(what), std::string(key));
}

// The value, or nullptr when it is absent, null or empty text.
const json::value* find(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr || value->is_null() || (value->is_string() && value->get_string().empty())) {
        return nullptr;
    }
    return value;
}

Result<std::string> text(const json::object& object, std::string_view key, std::size_t size_max) {
    const json::value* value = find(object, key);
    if (value == nullptr) {
        return std::string{};
    }
    if (!value->is_string()) {
        return wrong(key, "must be a string");
    }
    if (value->get_string().size() > size_max) {
        return wrong(key, "is longer than " + std::to_string(size_max) + " bytes");
    }
    return std::string(value->get_string());
}

Result<std::optional<std::int64_t>> integer(
    const json::object& object, std::string_view key, std::int64_t min, std::int64_t max
) {
    const json::value* value = find(object, key);
    if (value == nullptr) {
        return std::nullopt;
    }
    std::int64_t number = 0;
    if (value->is_int64()) {
        number = value->get_int64();
    } else if (value->is_uint64()) {
        return wrong(key, "is out of range");
    } else if (value->is_string()) {
        const std::string_view digits = value->get_string();
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        if (error != std::errc{} || end != digits.data() + digits.size()) {
            return wrong(key, "must be an integer");
        }
    } else if (value->is_double() && std::abs(value->get_double()) <= static_cast<double>(kSeedMax) &&
               value->get_double() == std::floor(value->get_double())) {
        number = static_cast<std::int64_t>(value->get_double());
    } else {
        return wrong(key, "must be an integer");
    }
    if (number < min || number > max) {
        return wrong(key, "must be " + std::to_string(min) + " to " + std::to_string(max));
    }
    return number;
}

Result<bool> boolean(const json::object& object, std::string_view key, bool fallback) {
    const json::value* value = find(object, key);
    if (value == nullptr) {
        return fallback;
    }
    if (value->is_bool()) {
        return value->get_bool();
    }
    if (value->is_string()) {
        const std::string_view word = value->get_string();
        if (word == "true" || word == "True" || word == "1") {
            return true;
        }
        if (word == "false" || word == "False" || word == "0") {
            return false;
        }
    }
    return wrong(key, "must be true or false");
}

Result<json::object> parse_object(std::string_view text) {
    if (text.empty()) {
        return json::object{};
    }
    if (text.size() > kParametersBytesMax) {
        return fail(Errc::kTooLarge, "parameters are over the size limit", "parameters");
    }
    boost::system::error_code error;
    json::value value = json::parse(text, error);
    if (error) {
        return fail(
            Errc::kInvalidArgument, "parameters are not JSON: " + printable(error.message()), "parameters"
        );
    }
    if (!value.is_object()) {
        return fail(Errc::kInvalidArgument, "parameters must be a JSON object", "parameters");
    }
    return std::move(value.get_object());
}

}  // namespace

Result<UpscaleParameters> parse_upscale_parameters(std::string_view json_text) {
    FG_TRY(object, parse_object(json_text));
    UpscaleParameters out;
    FG_TRY(prompt, text(object, "prompt", kPromptBytesMax));
    out.prompt = std::move(prompt);
    FG_TRY(model_id, text(object, "model_id", 256));
    out.model_id = std::move(model_id);
    FG_TRY(safety_check, boolean(object, "safety_check", true));
    out.safety_check = safety_check;
    FG_TRY(seed, integer(object, "seed", -kSeedMax, kSeedMax));
    out.seed = seed == 0 ? std::nullopt : seed;
    FG_TRY(steps, integer(object, "num_inference_steps", -kStepsMax, kStepsMax));
    // Below 1 means the default, as peers treat it.
    out.num_inference_steps = steps && *steps >= 1 ? static_cast<int>(*steps) : out.num_inference_steps;
    return out;
}

}  // namespace framegrid::engine
