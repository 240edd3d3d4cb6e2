#include <framegrid/http/h2_fields.hpp>

#include <algorithm>
#include <array>
#include <charconv>

#include <framegrid/http/text.hpp>

namespace framegrid::http {

namespace {

// Secrets, and what is never the same twice: the table that both ends keep of what was sent holds 4 KiB, and
// such values would push out the ones that repeat.
bool is_worth_no_entry(std::string_view name) {
    constexpr std::array<std::string_view, 6> kNames{"authorization", "cookie",     "traceparent",
                                                     "x-request-id",  "x-trace-id", "x-framegrid-receipt"};
    return std::ranges::find(kNames, name) != kNames.end();
}

}  // namespace

void FieldList::put(std::string_view name, std::string_view value) {
    const auto flags = is_worth_no_entry(name) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
    // nghttp2 copies and does not write: the casts only bridge its C interface.
    fields_.push_back(
        {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
         reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
         static_cast<std::uint8_t>(flags)}
    );
}

void FieldList::add(std::string_view name, const std::string& value) {
    put(name, value);
}

void FieldList::add(std::string_view name, std::string&& value) {
    put(name, kept_.emplace_back(std::move(value)));
}

void FieldList::add(const Headers& headers) {
    fields_.reserve(fields_.size() + headers.fields().size());
    for (const auto& field : headers.fields()) {
        std::string_view name = field.name;
        if (std::ranges::any_of(name, [](char c) { return c >= 'A' && c <= 'Z'; })) {
            name = kept_.emplace_back(to_lower(name));
        }
        if (!is_connection_field(name) && name != "host") {
            put(name, field.value);
        }
    }
}

void store_field(H2Stream& stream, std::string_view name, std::string_view value) {
    if (stream.head_complete) {
        if (!name.starts_with(':')) {
            stream.in.trailers.add(std::string(name), std::string(value));
        }
        return;
    }
    if (!name.starts_with(':')) {
        stream.headers.add(std::string(name), std::string(value));
    } else if (name == ":method") {
        stream.method = value;
    } else if (name == ":scheme") {
        stream.scheme = value;
    } else if (name == ":authority") {
        stream.authority = value;
    } else if (name == ":path") {
        stream.target = value;
    } else if (name == ":status") {
        std::from_chars(value.data(), value.data() + value.size(), stream.status);
    }
}

}  // namespace framegrid::http
