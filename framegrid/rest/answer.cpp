#include <framegrid/rest/answer.hpp>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>

namespace framegrid::rest {

Answer text_answer(std::string content_type, std::string_view text) {
    Answer answer;
    answer.headers.add("content-type", std::move(content_type));
    answer.body.push_back(Blob::copy_of(text));
    return answer;
}

Answer json_answer(std::string_view json) {
    return text_answer("application/json", json);
}

Answer list_answer(const std::vector<std::string>& items, std::string_view next_before) {
    std::string text = R"({"object":"list","data":[)";
    for (std::size_t i = 0; i < items.size(); ++i) {
        text += (i == 0 ? "" : ",") + items[i];
    }
    text += "]";
    if (!next_before.empty()) {
        text += R"(,"next_before":")" + std::string(next_before) + "\"";
    }
    return json_answer(text + "}");
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

// A body that comes too slowly is the client's fault, not that of a node behind.
int status_of(const Error& error) {
    return error.code == Errc::kDeadline && error.field == "body" ? 408 : status_of(error.code);
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
    status = status == 0 ? status_of(error) : status;
    Answer answer = json_answer(error_json(error, status));
    answer.status = status;
    answer.error = error;
    if (status == 503) {
        answer.headers.add("retry-after", "1");
    }
    return answer;
}

}  // namespace framegrid::rest
