#include <framegrid/pay/field_text.hpp>

#include <array>
#include <charconv>

#include <boost/json.hpp>

namespace framegrid::pay {

std::string field_text(const boost::json::value& value) {
    if (value.is_string()) {
        return std::string(value.get_string());
    }
    if (value.is_double()) {
        std::array<char, 400> text{};
        const auto [end, error] = std::to_chars(
            text.data(), text.data() + text.size(), value.get_double(), std::chars_format::fixed, 6
        );
        return error == std::errc{} ? std::string(text.data(), end) : "0.000000";
    }
    return boost::json::serialize(value);
}

}  // namespace framegrid::pay
