#include <framegrid/rest/answer.hpp>

#include <boost/json.hpp>

namespace framegrid::rest {

namespace {

// The length of the valid UTF-8 sequence at the start of `text`, or 0.
std::size_t sequence_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto is_tail = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xC0U) == 0x80; };
    const unsigned first = byte(0);
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xC2 && first <= 0xDF) {
        return is_tail(1) ? 2 : 0;
    }
    if (first >= 0xE0 && first <= 0xEF) {
        if (!is_tail(1) || !is_tail(2)) {
            return 0;
        }
        const bool is_overlong = first == 0xE0 && byte(1) < 0xA0;
        const bool is_surrogate = first == 0xED && byte(1) >= 0xA0;
        return is_overlong || is_surrogate ? 0 : 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        if (!is_tail(1) || !is_tail(2) || !is_tail(3)) {
            return 0;
        }
        const bool is_out_of_range = (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) >= 0x90);
        return is_out_of_range ? 0 : 4;
    }
    return 0;
}

}  // namespace

std::string valid_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = sequence_length(text);
        if (length == 0) {
            out += '?';
            text.remove_prefix(1);
        } else {
            out += text.substr(0, length);
            text.remove_prefix(length);
        }
    }
    return out;
}

Answer text_answer(std::string content_type, std::string_view text) {
    Answer answer;
    answer.headers.add("content-type", std::move(content_type));
    answer.body.push_back(Blob::copy_of(text));
    return answer;
}

Answer json_answer(std::string_view json) {
    return text_answer("application/json", json);
}

int status_of(Errc code) {
    switch (code) {
        case Errc::kUnavailable:
            return 503;
        case Errc::kIo:
            return 500;
        default:
            return http::status_of(code);
    }
}

std::string error_json(const Error& error, int status) {
    namespace json = boost::json;
    const std::string message = valid_utf8(error.message.empty() ? to_string(error.code) : error.message);
    const std::string field = valid_utf8(error.field);
    json::object inner;
    inner["code"] = to_string(error.code);
    inner["message"] = message;
    if (!field.empty()) {
        inner["field"] = field;
    }
    json::object out;
    out["error"] = std::move(inner);
    if (status == 422) {
        json::array location;
        location.emplace_back("body");
        if (!field.empty() && field != "body") {
            location.emplace_back(field);
        }
        json::object detail;
        detail["loc"] = std::move(location);
        detail["msg"] = message;
        detail["type"] = to_string(error.code);
        json::array details;
        details.push_back(std::move(detail));
        out["detail"] = std::move(details);
    } else {
        json::object detail;
        detail["msg"] = message;
        out["detail"] = std::move(detail);
    }
    return json::serialize(out);
}

Answer error_answer(const Error& error, int status) {
    status = status == 0 ? status_of(error.code) : status;
    Answer answer = json_answer(error_json(error, status));
    answer.status = status;
    if (status == 503) {
        answer.headers.add("retry-after", "1");
    }
    return answer;
}

}  // namespace framegrid::rest
