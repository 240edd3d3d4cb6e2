#include <framegrid/workflow/value.hpp>

#include <algorithm>
#include <array>
#include <charconv>

#include <framegrid/workflow/value_json.hpp>

namespace framegrid::workflow {

namespace {

constexpr std::array<std::string_view, 8> kNames{"text",  "integer", "number", "boolean",
                                                 "image", "video",   "times",  "playlist"};

}  // namespace

std::string to_string(Type type) {
    std::string name(kNames[static_cast<std::size_t>(type.kind)]);
    if (type.list) {
        name += type.kind == Kind::kTimes ? " list" : "s";
    }
    return name;
}

std::optional<Type> parse_type(std::string_view name) {
    for (std::size_t i = 0; i < kNames.size(); ++i) {
        const auto kind = static_cast<Kind>(i);
        if (name == kNames[i]) {
            return Type{kind, false};
        }
        if (is_media(kind) && name == to_string({kind, true})) {
            return Type{kind, true};
        }
    }
    return std::nullopt;
}

std::vector<std::string> type_names() {
    return {"text", "integer", "number", "boolean", "image", "images", "video", "videos", "times"};
}

std::optional<std::string> scalar_text(const Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) {
        return *text;
    }
    if (const auto* truth = std::get_if<bool>(&value)) {
        return *truth ? "true" : "false";
    }
    if (const auto* integer = std::get_if<std::int64_t>(&value)) {
        return std::to_string(*integer);
    }
    if (const auto* number = std::get_if<double>(&value)) {
        std::array<char, 64> text{};
        const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), *number);
        return error == std::errc{} ? std::string(text.data(), end) : std::string("0");
    }
    return std::nullopt;
}

bool fits(const Value& value, Type type) {
    if (const auto* list = std::get_if<std::vector<Artifact>>(&value)) {
        return type.list &&
               std::ranges::all_of(*list, [&](const Artifact& one) { return one.kind == type.kind; });
    }
    if (type.list) {
        return false;
    }
    switch (type.kind) {
        case Kind::kText:
            return std::holds_alternative<std::string>(value);
        case Kind::kInteger:
            return std::holds_alternative<std::int64_t>(value);
        case Kind::kNumber:
            return std::holds_alternative<std::int64_t>(value) || std::holds_alternative<double>(value);
        case Kind::kBoolean:
            return std::holds_alternative<bool>(value);
        default:
            break;
    }
    const auto* artifact = std::get_if<Artifact>(&value);
    return artifact != nullptr && artifact->kind == type.kind;
}

boost::json::value scalar_json(const Value& value) {
    if (const auto* truth = std::get_if<bool>(&value)) {
        return *truth;
    }
    if (const auto* integer = std::get_if<std::int64_t>(&value)) {
        return *integer;
    }
    if (const auto* number = std::get_if<double>(&value)) {
        return *number;
    }
    if (const auto* text = std::get_if<std::string>(&value)) {
        return boost::json::value(*text);
    }
    return nullptr;
}

}  // namespace framegrid::workflow
