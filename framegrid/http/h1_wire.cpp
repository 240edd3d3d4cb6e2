#include <framegrid/http/h1_wire.hpp>

#include <array>
#include <charconv>

#include <framegrid/http/text.hpp>

namespace framegrid::http {

namespace {

void put_fields(std::string& out, const Headers& headers) {
    for (const auto& field : headers.fields()) {
        out += capital_name(field.name);
        out += ": ";
        out += field.value;
        out += "\r\n";
    }
    out += "\r\n";
}

}  // namespace

template <bool kRequest>
void H1Parser<
    kRequest>::on_request_impl(boost::beast::http::verb, View method, View target, int version, Code&) {
    message_.method = method;
    message_.target = target;
    message_.version = version;
}

template <bool kRequest>
void H1Parser<kRequest>::on_response_impl(int status, View, int version, Code&) {
    message_.status = status;
    message_.version = version;
}

template <bool kRequest>
void H1Parser<kRequest>::on_field_impl(boost::beast::http::field, View name, View value, Code&) {
    Headers& into = message_.head_complete ? message_.body.trailers : message_.headers;
    into.add(to_lower({name.data(), name.size()}), std::string(value));
}

template class H1Parser<true>;
template class H1Parser<false>;

std::string format_response_head(int status, const Headers& headers) {
    std::string out = "HTTP/1.1 " + std::to_string(status) + " ";
    out += reason_of(status);
    out += "\r\n";
    put_fields(out, headers);
    return out;
}

std::string format_request_head(
    const std::string& method, const std::string& target, const Headers& headers
) {
    std::string out = method + " " + target + " HTTP/1.1\r\n";
    put_fields(out, headers);
    return out;
}

std::string format_chunk_head(std::size_t size) {
    std::array<char, 20> digits{};
    const auto [end, code] = std::to_chars(digits.data(), digits.data() + digits.size(), size, 16);
    return std::string(digits.data(), end) + "\r\n";
}

std::string format_chunk_end(const Headers& trailers) {
    std::string out = "0\r\n";
    put_fields(out, trailers);
    return out;
}

}  // namespace framegrid::http
