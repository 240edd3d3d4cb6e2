#include <framegrid/rest/openai_error.hpp>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>

namespace framegrid::rest {

namespace {

std::string_view openai_type(int status) {
    switch (status) {
        case 401:
            return "authentication_error";
        case 403:
            return "permission_error";
        case 429:
            return "rate_limit_error";
        default:
            return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

std::string_view openai_code(const Error& error, int status) {
    if (status == 401) {
        return "invalid_api_key";
    }
    return status == 404 && error.field == "model" ? "model_not_found" : to_string(error.code);
}

}  // namespace

std::string openai_error_json(const Error& error, int status) {
    namespace json = boost::json;
    json::object inner;
    inner["message"] = valid_utf8(error.message.empty() ? to_string(error.code) : error.message);
    inner["type"] = openai_type(status);
    if (error.field.empty()) {
        inner["param"] = nullptr;
    } else {
        inner["param"] = valid_utf8(error.field);
    }
    inner["code"] = openai_code(error, status);
    return json::serialize(json::object{{"error", std::move(inner)}});
}

void write_openai_error(Answer& answer) {
    if (answer.status < 400 || !answer.error) {
        return;
    }
    answer.headers.set("content-type", "application/json");
    answer.body.assign(1, Blob(to_bytes(openai_error_json(*answer.error, answer.status))));
}

}  // namespace framegrid::rest
