#include <framegrid/app/json_lookup.hpp>

namespace framegrid::app {

namespace json = boost::json;

std::string text_of(const json::object& from, std::string_view name) {
    const auto* value = from.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::int64_t number_of(const json::object& from, std::string_view name) {
    const auto* value = from.if_contains(name);
    const auto number =
        value == nullptr ? boost::system::result<std::int64_t>(0) : value->try_to_number<std::int64_t>();
    return number ? *number : 0;
}

json::array list_of(const json::object& from, std::string_view name) {
    const auto* value = from.if_contains(name);
    return value != nullptr && value->is_array() ? value->get_array() : json::array{};
}

json::object object_of(const json::object& from, std::string_view name) {
    const auto* value = from.if_contains(name);
    return value != nullptr && value->is_object() ? value->get_object() : json::object{};
}

std::vector<json::object> objects_of(const json::object& from, std::string_view name) {
    std::vector<json::object> out;
    for (const auto& one : list_of(from, name)) {
        out.push_back(one.is_object() ? one.get_object() : json::object{});
    }
    return out;
}

}  // namespace framegrid::app
