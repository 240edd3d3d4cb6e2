#include <framegrid/app/jobs_client.hpp>

#include <cstdlib>
#include <fstream>

#include <boost/json.hpp>

#include <framegrid/app/json_lookup.hpp>
#include <framegrid/http/event_stream.hpp>
#include <framegrid/job/document.hpp>
#include <framegrid/job/record.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::app {

namespace {

namespace json = boost::json;

constexpr std::size_t kAnswerBytesMax = std::size_t{16} << 20;
constexpr std::size_t kEventBytesMax = std::size_t{4} << 20;
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr Duration kPauseFirst = std::chrono::milliseconds(200);
constexpr Duration kPauseMax = std::chrono::seconds(5);

Result<json::object> parse_object(const Blob& body) {
    boost::system::error_code error;
    auto value = json::parse(body.text(), error);
    if (error || !value.is_object()) {
        return fail(Errc::kProtocol, "the gateway's answer is not JSON; is this a Framegrid gateway?");
    }
    return std::move(value.get_object());
}

// A state's name, which is that of the last event, too.
bool is_over(std::string_view name) {
    const auto state = job::parse_state(name);
    return state && job::is_final(*state);
}

// The gateway's own words (problem details).
Error error_of(const http::Fetched& fetched) {
    Error error =
        make_error(http::errc_of(fetched.status), "the gateway answered " + std::to_string(fetched.status));
    if (const auto body = parse_object(fetched.body)) {
        const auto detail = text_of(*body, "detail");
        error.message = detail.empty() ? error.message : detail;
        error.field = text_of(*body, "field");
    }
    return error;
}

// Worth another try: the gateway is away, busy, or being restarted.
bool may_pass(const Result<http::Fetched>& fetched) {
    return fetched ? fetched->status == 429 || fetched->status == 502 || fetched->status == 503
                   : fetched.error().disposition == Disposition::kRetry;
}

// A file piece by piece.
class FileBody final : public http::BodyReader {
  public:
    FileBody(host::Path file, WorkPool& pool) : in_(file, std::ios::binary), pool_(pool) {}
    Task<Result<Blob>> read() override {
        co_return co_await offload(pool_, [this]() -> Result<Blob> {
            Bytes piece(kPieceBytes);
            in_.read(reinterpret_cast<char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
            if (in_.bad()) {
                return fail(Errc::kIo, "the file cannot be read");
            }
            piece.resize(static_cast<std::size_t>(in_.gcount()));
            return Blob(std::move(piece));
        });
    }
    const http::Headers& trailers() const override { return trailers_; }

  private:
    std::ifstream in_;
    WorkPool& pool_;
    http::Headers trailers_;
};

}  // namespace

JobsClient::JobsClient(Session& session, std::string url) : session_(session), url_(std::move(url)) {
    if (const char* key = std::getenv("FRAMEGRID_API_KEY")) {
        api_key_ = key;
    }
}

Result<http::Request> JobsClient::request_for(std::string method, const std::string& path) const {
    http::Request request;
    FG_TRY(url, http::parse_url(url_ + path));
    request.url = std::move(url);
    request.method = std::move(method);
    if (!api_key_.empty()) {
        request.headers.set("authorization", "Bearer " + api_key_);
    }
    return request;
}

Task<Result<http::Fetched>> JobsClient::fetch(
    http::Request request, Tries tries, Deadline deadline, std::optional<host::Path> body
) {
    Duration pause = kPauseFirst;
    for (;;) {
        if (body) {
            request.body_source = std::make_shared<FileBody>(*body, session_.pool);
        }
        auto fetched = co_await session_.client.fetch(request, kAnswerBytesMax, deadline);
        if (tries == Tries::kOne || !may_pass(fetched) || deadline.left(session_.clock) <= pause) {
            if (fetched && fetched->status >= 400) {
                co_return fail(error_of(*fetched));
            }
            co_return fetched;
        }
        co_await sleep_for(session_.clock, pause);
        pause = std::min(pause * 2, kPauseMax);
    }
}

Task<Result<json::object>> JobsClient::call(
    std::string method, std::string path, std::string body, Deadline deadline, Tries tries
) {
    auto request = request_for(std::move(method), path);
    if (!request) {
        co_return fail(std::move(request.error()));
    }
    if (!body.empty()) {
        request->headers.add("content-type", "application/json");
        request->body = Blob::copy_of(body);
    }
    auto fetched = co_await fetch(std::move(*request), tries, deadline);
    if (!fetched) {
        co_return fail(std::move(fetched.error()));
    }
    co_return parse_object(fetched->body);
}

// That nobody offers it now is an answer, too.
Task<Result<json::object>> JobsClient::quote(json::object document, Deadline deadline) {
    co_return co_await call("POST", "/v1/quotes", json::serialize(document), deadline, Tries::kOne);
}

Task<Result<std::string>> JobsClient::input(std::string text, Deadline deadline) {
    if (job::input_kind(text)) {
        co_return text;
    }
    co_return co_await upload(host::expand_home(text), deadline);
}

Task<Result<std::string>> JobsClient::upload(host::Path file, Deadline deadline) {
    std::error_code failed;
    const auto size = std::filesystem::file_size(file, failed);
    auto request = request_for("POST", "/v1/artifacts");
    if (failed || !request) {
        co_return failed ? fail(Errc::kNotFound, "cannot read " + file.string() + ": " + failed.message())
                         : fail(request.error());
    }
    request->headers.add("content-length", std::to_string(size));
    request->headers.add("content-type", "application/octet-stream");
    auto fetched = co_await fetch(std::move(*request), Tries::kMany, deadline, file);
    if (!fetched) {
        co_return fail(std::move(fetched.error()).with_context("uploading " + file.string()));
    }
    const auto answer = parse_object(fetched->body);
    if (!answer) {
        co_return fail(answer.error());
    }
    co_return text_of(*answer, "id");
}

Task<Result<json::object>> JobsClient::submit(json::object document, Deadline deadline) {
    document["idempotency_key"] = "cli-" + session_.random.hex(16);
    co_return co_await call("POST", "/v1/jobs", json::serialize(document), deadline);
}

Task<Result<json::object>> JobsClient::get(std::string id, Deadline deadline) {
    co_return co_await call("GET", "/v1/jobs/" + id, "", deadline);
}

Task<Result<json::object>> JobsClient::list(std::string query, Deadline deadline) {
    co_return co_await call("GET", "/v1/jobs" + (query.empty() ? "" : "?" + query), "", deadline);
}

Task<Result<void>> JobsClient::cancel(std::string id, Deadline deadline) {
    const auto cancelled = co_await call("DELETE", "/v1/jobs/" + id, "", deadline);
    if (!cancelled) {
        co_return fail(cancelled.error());
    }
    co_return Result<void>{};
}

// True: the job has ended. False: the stream broke off.
Task<Result<bool>> JobsClient::read_events(std::string id, Told& told, std::string& last, Deadline deadline) {
    auto request = request_for("GET", "/v1/jobs/" + id + "/events");
    if (!request) {
        co_return fail(std::move(request.error()));
    }
    request->headers.add("accept", std::string(http::kEventStreamType));
    if (!last.empty()) {
        request->headers.add("last-event-id", last);
    }
    auto response = co_await session_.client.open(std::move(*request), deadline);
    if (!response) {
        co_return false;
    }
    if (response->head.status != 200) {
        http::Fetched refusal;
        refusal.status = response->head.status;
        auto body = co_await with_deadline<Blob>(
            session_.clock, deadline, http::read_all(*response->body, kAnswerBytesMax)
        );
        refusal.body = body ? std::move(*body) : Blob();
        if (refusal.status >= 500 || may_pass(refusal)) {
            co_return false;
        }
        co_return fail(error_of(refusal));
    }
    http::EventReader events(kEventBytesMax);
    for (;;) {
        auto event = co_await with_deadline<std::optional<http::Event>>(
            session_.clock, deadline, http::read_event(*response->body, events)
        );
        if (!event) {
            co_return deadline.passed(session_.clock) ? fail(std::move(event.error())) : Result<bool>(false);
        }
        if (!*event) {
            co_return false;
        }
        if (const auto data = parse_object(Blob::copy_of((*event)->data))) {
            told((*event)->name, *data);
        }
        last = (*event)->id.empty() ? last : (*event)->id;
        if (is_over((*event)->name)) {
            co_return true;
        }
    }
}

Task<Result<json::object>> JobsClient::follow(std::string id, Told told, Deadline deadline) {
    std::string last;
    Duration pause = kPauseFirst;
    for (;;) {
        const auto ended = co_await read_events(id, told, last, deadline);
        if (!ended) {
            co_return fail(ended.error());
        }
        if (*ended) {
            co_return co_await get(id, deadline);
        }
        // The stream of a job that is over already ends without events, too.
        auto job = co_await get(id, deadline);
        if (!job) {
            co_return job;
        }
        if (is_over(text_of(*job, "state"))) {
            co_return job;
        }
        if (deadline.left(session_.clock) <= pause) {
            co_return fail(Errc::kDeadline, "the gateway went away and did not come back in time");
        }
        co_await sleep_for(session_.clock, pause);
        pause = std::min(pause * 2, kPauseMax);
    }
}

Task<Result<std::uint64_t>> JobsClient::download(std::string artifact, host::Path to, Deadline deadline) {
    auto request = request_for("GET", "/v1/artifacts/" + artifact + "/content");
    if (!request) {
        co_return fail(std::move(request.error()));
    }
    auto response = co_await session_.client.open(std::move(*request), deadline);
    if (!response) {
        co_return fail(std::move(response.error()));
    }
    if (response->head.status != 200) {
        co_return fail(
            http::errc_of(response->head.status),
            "the gateway answered " + std::to_string(response->head.status) + " for " + to.string()
        );
    }
    host::Path part = to;
    part += ".part";
    std::ofstream out(part, std::ios::binary | std::ios::trunc);
    std::uint64_t bytes = 0;
    for (;;) {
        auto piece = co_await with_deadline<Blob>(session_.clock, deadline, response->body->read());
        if (!piece) {
            co_return fail(std::move(piece.error()));
        }
        if (piece->empty()) {
            break;
        }
        bytes += piece->size();
        const auto wrote = co_await offload(session_.pool, [&]() -> Result<bool> {
            out.write(
                reinterpret_cast<const char*>(piece->data()), static_cast<std::streamsize>(piece->size())
            );
            return out.good();
        });
        if (!wrote || !*wrote) {
            co_return fail(Errc::kIo, "cannot write " + part.string());
        }
    }
    out.close();
    std::error_code failed;
    std::filesystem::rename(part, to, failed);
    if (failed || !out.good()) {
        co_return fail(Errc::kIo, "cannot write " + to.string() + (failed ? ": " + failed.message() : ""));
    }
    co_return bytes;
}

}  // namespace framegrid::app
