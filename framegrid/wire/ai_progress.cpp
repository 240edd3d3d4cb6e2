#include <framegrid/wire/ai_progress.hpp>

#include <charconv>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>
#include <framegrid/wire/ai_messages.hpp>
#include <framegrid/wire/protocol_error.hpp>

namespace framegrid::wire {

namespace {

namespace json = boost::json;

int number_of(std::string_view text, int least, int most) {
    int value = 0;
    const auto end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, value);
    return error == std::errc() && at == end && value >= least && value <= most ? value : 0;
}

std::unexpected<Error> odd(std::string_view what) {
    return fail(Errc::kProtocol, "an event of progress " + std::string(what));
}

}  // namespace

int preview_steps(std::string_view header) {
    return number_of(header, 0, api::kProgressStepsMax);
}

api::Priority priority_of(const http::Headers& headers) {
    return static_cast<api::Priority>(number_of(headers.get(kPriorityHeader).value_or(""), -1, 1));
}

std::string write_progress(const api::Progress& progress) {
    json::object out{{"step", progress.done}, {"steps", progress.total}};
    if (!progress.preview.empty()) {
        out["preview"] = data_url("image/jpeg", progress.preview.view());
    }
    return json::serialize(out);
}

Result<api::Progress> read_progress(std::string_view text) {
    boost::system::error_code error;
    const auto parsed = json::parse(text, error);
    if (error || !parsed.is_object()) {
        return odd("is not a JSON object");
    }
    const auto& object = parsed.get_object();
    const auto number = [&](std::string_view name) {
        const auto* value = object.if_contains(name);
        const bool fits =
            value != nullptr && value->is_int64() && value->get_int64() <= api::kProgressStepsMax;
        return fits ? static_cast<int>(value->get_int64()) : -1;
    };
    api::Progress progress;
    progress.done = number("step");
    progress.total = number("steps");
    if (!api::is_consistent(progress)) {
        return odd("has no step, or one outside its steps");
    }
    if (const auto* preview = object.if_contains("preview"); preview != nullptr && preview->is_string()) {
        FG_TRY(data, parse_data_url(preview->get_string()));
        progress.preview = Blob(std::move(data.bytes));
    }
    return progress;
}

std::string write_error_event(int status, Errc code, std::string_view message) {
    return json::serialize(json::object{
        {"status", status}, {"code", to_string(code)}, {"message", valid_utf8(std::string(message))}
    });
}

Error read_error_event(std::string_view text) {
    boost::system::error_code error;
    const auto parsed = json::parse(text, error);
    const auto* object = error ? nullptr : parsed.if_object();
    const auto* status = object != nullptr ? object->if_contains("status") : nullptr;
    if (status == nullptr || !status->is_int64() || status->get_int64() < 400 || status->get_int64() > 599) {
        return as_peer_fault(make_error(Errc::kProtocol, "an error without a status"), "progress");
    }
    const auto string = [&](std::string_view name) {
        const auto* value = object->if_contains(name);
        return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
    };
    http::Headers headers;
    headers.add(std::string(kErrorCodeHeader), string("code"));
    return error_from_answer(static_cast<int>(status->get_int64()), headers, string("message"));
}

}  // namespace framegrid::wire
