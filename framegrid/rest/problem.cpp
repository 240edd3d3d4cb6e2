#include <framegrid/rest/problem.hpp>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>

namespace framegrid::rest {

namespace {

std::string_view title_of(Errc code) {
    switch (code) {
        case Errc::kInvalidArgument:
            return "The request is wrong";
        case Errc::kUnauthorized:
            return "Who are you?";
        case Errc::kForbidden:
            return "Not allowed";
        case Errc::kNotFound:
            return "Not found";
        case Errc::kTooLarge:
            return "Too large";
        case Errc::kUnsupported:
            return "Not supported";
        case Errc::kUnprocessable:
            return "The media cannot be processed";
        case Errc::kCapacity:
            return "Too much at once";
        case Errc::kUnavailable:
            return "Nobody can do this now";
        case Errc::kDeadline:
            return "Out of time";
        case Errc::kCancelled:
            return "Cancelled";
        case Errc::kProtocol:
            return "A node answered nonsense";
        case Errc::kIo:
        case Errc::kInternal:
            break;
    }
    return "The gateway failed";
}

}  // namespace

Answer problem_answer(const Error& error, const std::string& trace_id, int status) {
    namespace json = boost::json;
    status = status == 0 ? status_of(error) : status;
    const auto title = title_of(error.code);
    json::object out;
    out["type"] = "urn:framegrid:problem:" + std::string(to_string(error.code));
    out["title"] = title;
    out["status"] = status;
    out["detail"] = valid_utf8(error.message.empty() ? title : error.message);
    out["code"] = to_string(error.code);
    if (!error.field.empty()) {
        out["field"] = valid_utf8(error.field);
    }
    out["what_to_do"] = what_to_do(error.code);
    out["trace_id"] = trace_id;
    Answer answer = text_answer("application/problem+json", json::serialize(out));
    answer.status = status;
    answer.error = error;
    if (status == 503 || status == 429) {
        answer.headers.add("retry-after", status == 429 ? "5" : "1");
    }
    return answer;
}

}  // namespace framegrid::rest
