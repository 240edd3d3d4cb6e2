#include <framegrid/rest/problem.hpp>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>

namespace framegrid::rest {

namespace {

struct Texts {
    std::string_view title;
    std::string_view what_to_do;
};

Texts texts_of(Errc code) {
    switch (code) {
        case Errc::kInvalidArgument:
            return {"The request is wrong", "correct the field that is named and send it again"};
        case Errc::kUnauthorized:
            return {"Who are you?", "send an API key: Authorization: Bearer KEY"};
        case Errc::kForbidden:
            return {"Not allowed", "use a key that may do this, or another address"};
        case Errc::kNotFound:
            return {"Not found", "check the spelling; jobs and files are deleted after a while"};
        case Errc::kTooLarge:
            return {"Too large", "send less, or upload it as a file of its own first"};
        case Errc::kUnsupported:
            return {"Not supported", "use another format or another gateway"};
        case Errc::kUnprocessable:
            return {"The media cannot be processed", "check that the file plays elsewhere"};
        case Errc::kCapacity:
            return {"Too much at once", "try again after the time in Retry-After"};
        case Errc::kUnavailable:
            return {"Nobody can do this now", "try again later, or raise the price limit"};
        case Errc::kDeadline:
            return {"Out of time", "try again with a later deadline"};
        case Errc::kCancelled:
            return {"Cancelled", "submit it again if that was a mistake"};
        case Errc::kProtocol:
            return {"A node answered nonsense", "try again; the node is avoided for a while"};
        case Errc::kIo:
        case Errc::kInternal:
            break;
    }
    return {"The gateway failed", "try again; tell the gateway's operator the trace id if it stays"};
}

}  // namespace

Answer problem_answer(const Error& error, const std::string& trace_id, int status) {
    namespace json = boost::json;
    status = status == 0 ? status_of(error) : status;
    const auto texts = texts_of(error.code);
    json::object out;
    out["type"] = "urn:framegrid:problem:" + std::string(to_string(error.code));
    out["title"] = texts.title;
    out["status"] = status;
    out["detail"] = valid_utf8(error.message.empty() ? texts.title : error.message);
    out["code"] = to_string(error.code);
    if (!error.field.empty()) {
        out["field"] = valid_utf8(error.field);
    }
    out["what_to_do"] = texts.what_to_do;
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
