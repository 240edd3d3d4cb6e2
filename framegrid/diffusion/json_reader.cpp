#include <framegrid/diffusion/json_reader.hpp>

#include <cmath>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>

namespace framegrid::diffusion {

namespace json = boost::json;

Result<json::object> parse_json_object(BytesView bytes, std::string_view file, std::size_t bytes_max) {
    if (bytes.size() > bytes_max) {
        return fail(
            Errc::kTooLarge, std::string(file) + " is over " + std::to_string(bytes_max) + " bytes",
            std::string(file)
        );
    }
    json::parse_options options;
    options.allow_infinity_and_nan = true;
    boost::system::error_code error;
    json::value value = json::parse(as_text(bytes), error, {}, options);
    if (error) {
        return fail(
            Errc::kInvalidArgument, std::string(file) + " is not JSON: " + printable(error.message()),
            std::string(file)
        );
    }
    if (!value.is_object()) {
        return fail(
            Errc::kInvalidArgument, std::string(file) + " must hold a JSON object", std::string(file)
        );
    }
    return std::move(value.get_object());
}

std::string field_name(std::string_view file, std::string_view key) {
    std::string out(file);
    out += ": ";
    out += key;
    return out;
}

bool JsonReader::has(std::string_view key) const {
    const json::value* value = object_.if_contains(key);
    return value != nullptr && !value->is_null();
}

double JsonReader::number(std::string_view key, double fallback, double min, double max) {
    if (!has(key)) {
        return fallback;
    }
    const json::value& value = object_.at(key);
    if (!value.is_number()) {
        wrong(key, "must be a number");
        return fallback;
    }
    const auto out = value.to_number<double>();
    if (!(out >= min && out <= max)) {
        wrong(key, "is out of range");
        return fallback;
    }
    return out;
}

std::int64_t JsonReader::integer(
    std::string_view key, std::int64_t fallback, std::int64_t min, std::int64_t max
) {
    if (!has(key)) {
        return fallback;
    }
    const json::value& value = object_.at(key);
    if (!value.is_int64() || value.get_int64() < min || value.get_int64() > max) {
        wrong(key, "must be an integer from " + std::to_string(min) + " to " + std::to_string(max));
        return fallback;
    }
    return value.get_int64();
}

bool JsonReader::boolean(std::string_view key, bool fallback) {
    if (!has(key)) {
        return fallback;
    }
    const json::value& value = object_.at(key);
    if (!value.is_bool()) {
        wrong(key, "must be true or false");
        return fallback;
    }
    return value.get_bool();
}

std::string JsonReader::text(std::string_view key, std::string_view fallback, std::size_t size_max) {
    if (has(key)) {
        const json::value& value = object_.at(key);
        if (value.is_string() && value.get_string().size() <= size_max) {
            return std::string(value.get_string());
        }
        wrong(key, "must be a string of at most " + std::to_string(size_max) + " bytes");
    }
    return std::string(fallback);
}

std::vector<std::int64_t> JsonReader::integers(
    std::string_view key, std::int64_t min, std::int64_t max, std::size_t count_max
) {
    if (!has(key)) {
        return {};
    }
    const json::value& value = object_.at(key);
    if (!value.is_array()) {
        return {integer(key, min, min, max)};
    }
    std::vector<std::int64_t> out;
    for (const json::value& item : value.get_array()) {
        if (out.size() == count_max || !item.is_int64() || item.get_int64() < min || item.get_int64() > max) {
            wrong(key, "must hold at most " + std::to_string(count_max) + " integers in range");
            return {};
        }
        out.push_back(item.get_int64());
    }
    return out;
}

void JsonReader::expect(std::string_view key, bool value) {
    if (boolean(key, value) != value) {
        unsupported(key, value ? "must be true" : "is not supported");
    }
}

void JsonReader::expect_text(std::string_view key, std::string_view value) {
    if (text(key, value) != value) {
        unsupported(key, "must be \"" + std::string(value) + "\"");
    }
}

void JsonReader::expect_absent(std::string_view key) {
    if (has(key)) {
        unsupported(key, "is not supported");
    }
}

void JsonReader::unsupported(std::string_view key, std::string_view what) {
    keep(Errc::kUnsupported, key, what);
}

void JsonReader::wrong(std::string_view key, std::string_view what) {
    keep(Errc::kInvalidArgument, key, what);
}

Result<void> JsonReader::finish() const {
    return error_ ? Result<void>(fail(*error_)) : Result<void>();
}

void JsonReader::keep(Errc code, std::string_view key, std::string_view what) {
    if (!error_) {
        const std::string field = field_name(file_, key);
        error_ = make_error(code, field + " " + std::string(what), field);
    }
}

}  // namespace framegrid::diffusion
