#include <framegrid/rest/jobs_api.hpp>

#include <algorithm>

#include <boost/json.hpp>

#include <framegrid/base/counted.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/http/event_stream.hpp>
#include <framegrid/http/multipart.hpp>
#include <framegrid/job/document.hpp>
#include <framegrid/job/record_json.hpp>
#include <framegrid/rest/problem.hpp>
#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

constexpr Duration kQuietMax = std::chrono::seconds(15);  // then a comment keeps an event stream alive
constexpr std::size_t kKeyBytesMax = 255;
constexpr Duration kPlacePeriod = std::chrono::seconds(1);

// Seconds of "Prefer: wait=10" (RFC 7240).
std::optional<std::int64_t> preferred_wait(const http::Headers& headers) {
    const auto prefer = headers.get("prefer").value_or("");
    const auto at = prefer.find("wait=");
    if (at == std::string_view::npos) {
        return std::nullopt;
    }
    const auto digits = prefer.substr(at + 5);
    return parse_integer(digits.substr(0, digits.find_first_of(",; ")));
}

json::object place_json(const gateway::QueuePlace& place) {
    json::object out{{"ahead", place.ahead}};
    if (place.wait) {
        out["eta_ms"] = milliseconds(*place.wait);
    }
    return out;
}

http::Event event_of(const gateway::ToldEvent& told) {
    const auto& event = told.event;
    auto data = json::parse(event.data).get_object();
    data["at"] = job::utc_text(event.at_unix_ms);
    if (!told.preview.empty()) {
        data["preview"] = "data:image/jpeg;base64," + crypto::base64(told.preview.view());
    }
    return {event.kind, json::serialize(data), std::to_string(event.number)};
}

Result<api::JobFilter> read_filter(const http::RequestHead& head) {
    api::JobFilter filter;
    for (const auto& [name, value] : query_of(head.query())) {
        if (name == "state") {
            filter.state = job::parse_state(value);
            if (!filter.state) {
                return fail(
                    Errc::kInvalidArgument, "state is queued, running, succeeded, failed or cancelled", name
                );
            }
        } else if (name == "pipeline") {
            filter.kind = value;
        } else if (name == "workflow") {
            filter.parent = value;
        } else if (name == "before") {
            if (!job::is_id("job", value)) {
                return fail(Errc::kInvalidArgument, "before is the id of a job", name);
            }
            filter.before = value;
        } else if (name == "limit") {
            const auto limit = parse_integer(value);
            if (!limit || *limit < 1 || *limit > static_cast<std::int64_t>(kPageMax)) {
                return fail(Errc::kInvalidArgument, "limit is a number from 1 to 200", name);
            }
            filter.limit = static_cast<std::size_t>(*limit);
        } else {
            return fail(
                Errc::kInvalidArgument, "filters are state, pipeline, workflow, before and limit",
                printable(name, 64)
            );
        }
    }
    return filter;
}

}  // namespace

JobsApi::JobsApi(JobPorts ports, WorkPool& pool, Clock& clock, Random& random, JobsApiSettings settings)
    : ports_(std::move(ports)),
      pool_(pool),
      clock_(clock),
      random_(random),
      settings_(std::move(settings)),
      files_(
          ports_.objects, ports_.artifacts, clock_, random_, ports_.work.artifact_life,
          ports_.work.store_time_max
      ) {}

int JobsApi::refusal_status(const Error& error) {
    if (error.code == Errc::kCapacity) {
        return 429;
    }
    return error.field == "idempotency-key" ? 409 : 0;
}

void JobsApi::add_routes(Router& router) {
    router.add<JobsApi>(
        *this,
        {
            {"POST", "/v1/jobs", RouteKind::kIntake, &JobsApi::submit},
            {"POST", "/v1/quotes", RouteKind::kJob, &JobsApi::quote},
            {"GET", "/v1/jobs", RouteKind::kPage, &JobsApi::list},
            {"GET", "/v1/jobs/{}", RouteKind::kPage, &JobsApi::show},
            {"DELETE", "/v1/jobs/{}", RouteKind::kPage, &JobsApi::cancel},
            {"POST", "/v1/jobs/{}/cancel", RouteKind::kPage, &JobsApi::cancel},
            {"GET", "/v1/jobs/{}/events", RouteKind::kPage, &JobsApi::events},
            {"GET", "/v1/jobs/{}/deliveries", RouteKind::kPage, &JobsApi::deliveries},
        }
    );
}

// A form whose part "job" is the document; files become its inputs.
Task<Result<std::string>> JobsApi::read_form(Call& call, std::string boundary) {
    const auto deadline = Deadline::after(clock_, settings_.upload_time_max);
    auto body = co_await read_body(call.exchange, call.memory, settings_.body_bytes_max, clock_, deadline);
    if (!body) {
        co_return fail(std::move(body.error()));
    }
    call.bytes_in = body->size();
    auto parse = [&body, &boundary] { return http::parse_multipart(*body, boundary); };
    auto parts = co_await offload(pool_, std::move(parse));
    if (!parts) {
        co_return fail(std::move(parts.error()));
    }
    const auto described = std::ranges::find(*parts, "job", &http::Part::name);
    boost::system::error_code error;
    auto document = described == parts->end() ? json::value() : json::parse(described->body.text(), error);
    if (error || !document.is_object()) {
        co_return fail(Errc::kInvalidArgument, "the part \"job\" is the job's JSON document", "job");
    }
    auto& inputs = document.get_object()["inputs"];
    if (!inputs.is_object()) {
        inputs = json::object{};
    }
    for (auto& part : *parts) {
        if (part.name == "job") {
            continue;
        }
        job::ArtifactRecord about;
        about.owner = call.owner;
        about.name = safe_file_name(part.filename);
        const auto kept = co_await files_.keep(std::move(about), std::move(part.body));
        if (!kept) {
            co_return fail(kept.error());
        }
        inputs.get_object()[part.name] = kept->id;
    }
    co_return json::serialize(document);
}

Task<Result<job::Document>> JobsApi::read_document(Call& call) {
    std::string text;
    const auto type = call.headers().get("content-type").value_or("application/json");
    if (const auto boundary = http::boundary_of(type); boundary && type.starts_with("multipart/")) {
        auto form = co_await read_form(call, *boundary);
        if (!form) {
            co_return fail(std::move(form.error()));
        }
        text = *std::move(form);
    } else {
        const auto deadline = Deadline::after(clock_, settings_.upload_time_max);
        auto body = co_await read_body(call.exchange, call.memory, job::kDocumentBytesMax, clock_, deadline);
        if (!body) {
            co_return fail(std::move(body.error()));
        }
        call.bytes_in = body->size();
        text = std::string(body->text());
    }
    auto document = job::parse_document(text);
    if (!document) {
        co_return fail(std::move(document.error()));
    }
    co_return document;
}

// What is asked for, so that one idempotency key means one request. Files count by their bytes: a form that
// is sent again has stored them under new ids.
Task<std::string> JobsApi::request_digest(Call& call, job::Document document) {
    if (!document.idempotency_key.empty()) {
        for (auto& [name, text] : document.inputs) {
            if (job::input_kind(text) == job::InputKind::kArtifact) {
                const auto file = co_await ports_.artifacts.find(text);
                text = file && call.sees(file->owner) ? file->digest : text;
            }
        }
    }
    co_return crypto::hex(crypto::sha256(as_bytes(job::to_json(document))));
}

Task<Result<api::Submitted>> JobsApi::accept(Call& call, job::Document document) {
    if (const auto key = call.headers().get("idempotency-key"); key && !key->empty()) {
        if (key->size() > kKeyBytesMax ||
            std::ranges::any_of(*key, [](char c) { return c <= ' ' || c >= 0x7f; })) {
            co_return fail(
                Errc::kInvalidArgument, "Idempotency-Key is up to 255 printable ASCII characters",
                "idempotency_key"
            );
        }
        document.idempotency_key = *key;
    }
    gateway::NewJob out;
    out.request_digest = co_await request_digest(call, document);
    if (document.workflow.empty()) {
        gateway::settle_document(document, ports_.work, random_);
    } else {
        auto settle = [this, &document] { return gateway::settle_workflow(document, random_); };
        const auto settled = co_await offload(pool_, std::move(settle));
        if (!settled) {
            co_return fail(settled.error());
        }
    }
    out.owner = call.owner;
    out.queued_max = call.permit ? call.permit->limits.queued_max : 0;
    out.kind = document.pipeline;
    out.priority = document.priority;
    out.deadline_ms = document.deadline_ms;
    out.idempotency_key = document.idempotency_key;
    out.trace = job::trace_text(call.trace);
    out.request = job::to_json(document);
    co_return co_await ports_.desk.submit(std::move(out));
}

std::string JobsApi::described(const Call& call, const job::Record& record) const {
    const auto base = origin_of(call.exchange.head, settings_.public_url);
    std::string text = job::describe(record, base);
    text.pop_back();
    if (const auto place = ports_.desk.place_of(record.id)) {
        text += R"(,"queue":)" + json::serialize(place_json(*place));
    }
    const std::string path = base + "/v1/jobs/" + record.id;
    return text + R"(,"urls":{"self":")" + path + R"(","events":")" + path + R"(/events"}})";
}

Answer JobsApi::job_answer(const Call& call, const job::Record& record, int status) const {
    Answer answer = json_answer(described(call, record));
    answer.status = status;
    answer.headers.add("cache-control", "no-store");
    return answer;
}

Task<Result<job::Record>> JobsApi::wait_for(std::string id, TimePoint until) {
    const auto channel = ports_.desk.listen(id);
    std::uint64_t number = 0;
    for (;;) {
        const auto record = co_await ports_.store.get(id);
        if (!record || job::is_final(record->state) || clock_.now() >= until) {
            co_return record;
        }
        number = std::max(number, record->events);
        const auto told = co_await ports_.desk.events_after(id, channel, number, until);
        if (!told) {
            co_return fail(told.error());
        }
        number = told->empty() ? number : told->back().event.number;
    }
}

Task<Answer> JobsApi::submit(Call& call) {
    auto document = co_await read_document(call);
    if (!document) {
        co_return problem_answer(document.error(), call.trace_id);
    }
    auto submitted = co_await accept(call, *std::move(document));
    if (!submitted) {
        co_return problem_answer(submitted.error(), call.trace_id, refusal_status(submitted.error()));
    }
    auto record = std::move(submitted->record);
    const auto wait = preferred_wait(call.headers());
    if (wait && *wait > 0 && !job::is_final(record.state)) {
        const auto most = std::chrono::duration_cast<std::chrono::seconds>(settings_.wait_max).count();
        const auto until = clock_.now() + std::chrono::seconds(std::min<std::int64_t>(*wait, most));
        auto waited = co_await wait_for(record.id, until);
        if (!waited) {
            co_return problem_answer(waited.error(), call.trace_id);
        }
        record = std::move(*waited);
    }
    Answer answer = job_answer(call, record, job::is_final(record.state) ? 200 : 202);
    answer.headers.add("location", "/v1/jobs/" + record.id);
    if (wait) {
        answer.headers.add("preference-applied", "wait=" + std::to_string(*wait));
    }
    if (!submitted->is_new) {
        answer.headers.add("idempotent-replayed", "true");
    }
    co_return answer;
}

Task<Answer> JobsApi::quote(Call& call) {
    auto document = co_await read_document(call);
    if (!document) {
        co_return problem_answer(document.error(), call.trace_id);
    }
    const auto deadline = Deadline::after(clock_, settings_.quote_time_max);
    const bool steps = !document->workflow.empty();
    if (!steps) {
        gateway::settle_document(*document, ports_.work, random_);
    }
    auto asked = steps ? ports_.workflows.quote(call.owner, std::move(*document), deadline)
                       : ports_.singles.quote(call.owner, std::move(*document), deadline);
    auto quote = co_await std::move(asked);
    if (!quote) {
        co_return problem_answer(quote.error(), call.trace_id, refusal_status(quote.error()));
    }
    co_return json_answer(std::move(*quote));
}

Task<Result<job::Record>> JobsApi::find(Call& call, std::string id) {
    auto record = co_await ports_.store.get(std::move(id));
    if (record && !call.sees(record->owner)) {
        co_return fail(Errc::kNotFound, "there is no such job", "id");
    }
    co_return record;
}

Task<Answer> JobsApi::show(Call& call) {
    const auto record = co_await find(call, call.parameters.front());
    if (!record) {
        co_return problem_answer(record.error(), call.trace_id);
    }
    co_return job_answer(call, *record, 200);
}

Task<Answer> JobsApi::list(Call& call) {
    auto filter = read_filter(call.exchange.head);
    if (!filter) {
        co_return problem_answer(filter.error(), call.trace_id);
    }
    if (!call.is_admin()) {
        filter->owner = call.owner;
    }
    const auto limit = filter->limit;
    const auto records = co_await ports_.store.list(*std::move(filter));
    if (!records) {
        co_return problem_answer(records.error(), call.trace_id);
    }
    std::vector<std::string> items;
    for (const auto& record : *records) {
        items.push_back(described(call, record));
    }
    const bool full = records->size() == limit;
    co_return list_answer(items, full ? records->back().id : "");
}

Task<Answer> JobsApi::cancel(Call& call) {
    const auto known = co_await find(call, call.parameters.front());
    if (!known) {
        co_return problem_answer(known.error(), call.trace_id);
    }
    const auto record = co_await ports_.desk.cancel(known->id);
    if (!record) {
        co_return problem_answer(record.error(), call.trace_id);
    }
    co_return job_answer(call, *record, job::is_final(record->state) ? 200 : 202);
}

Task<Answer> JobsApi::deliveries(Call& call) {
    const auto record = co_await find(call, call.parameters.front());
    if (!record) {
        co_return problem_answer(record.error(), call.trace_id);
    }
    const auto log = co_await ports_.store.deliveries(record->id);
    if (!log) {
        co_return problem_answer(log.error(), call.trace_id);
    }
    json::array data;
    for (const auto& delivery : *log) {
        json::object one{
            {"id", delivery.id},
            {"url", delivery.url},
            {"attempts", delivery.attempts},
            {"state", delivery.given_up ? "given_up"
                      : delivery.done   ? "delivered"
                                        : "pending"},
            {"last_outcome", delivery.last_outcome}
        };
        if (!delivery.done) {
            one["next_at"] = job::utc_text(delivery.next_unix_ms);
        }
        data.push_back(std::move(one));
    }
    co_return json_answer(json::serialize(json::object{{"object", "list"}, {"data", std::move(data)}}));
}

Task<Answer> JobsApi::events(Call& call) {
    if (listeners_ >= settings_.listeners_max) {
        co_return problem_answer(
            make_error(Errc::kCapacity, "as many event streams are open as may be"), call.trace_id, 429
        );
    }
    const Counted counted(listeners_);
    const auto record = co_await find(call, call.parameters.front());
    if (!record) {
        co_return problem_answer(record.error(), call.trace_id);
    }
    const auto last = call.headers().get("last-event-id");
    const auto number = parse_integer(last.value_or("0"));
    if (!number || *number < 0) {
        co_return problem_answer(
            make_error(Errc::kInvalidArgument, "Last-Event-ID is the number of an event", "last-event-id"),
            call.trace_id
        );
    }
    http::ResponseHead head;
    head.headers.add("content-type", std::string(http::kEventStreamType));
    head.headers.add("cache-control", "no-store");
    Answer rest;
    if (const auto begun = co_await call.start(std::move(head)); !begun) {
        rest.status = 499;
        co_return rest;
    }
    if (!co_await tell(call, *record, static_cast<std::uint64_t>(*number))) {
        rest.status = 499;  // the stream ends without its end: the client comes back with the last number
    }
    co_return rest;
}

Task<Result<void>> JobsApi::tell(Call& call, job::Record record, std::uint64_t number) {
    const auto channel = ports_.desk.listen(record.id);
    std::string last_place;
    TimePoint written = clock_.now();
    for (;;) {
        std::string text;
        if (const auto place = ports_.desk.place_of(record.id)) {
            std::string now = json::serialize(place_json(*place));
            if (now != last_place) {
                text += http::format_event({"place", now});
                last_place = std::move(now);
            }
        }
        const bool ended = job::is_final(record.state);
        const TimePoint until = clock_.now() + (ended                ? Duration{}
                                                : last_place.empty() ? kQuietMax
                                                                     : kPlacePeriod);
        if (text.empty()) {
            auto told = co_await ports_.desk.events_after(record.id, channel, number, until);
            if (!told) {
                co_return fail(std::move(told.error()));
            }
            bool over = told->empty() && channel->over();
            for (const auto& one : *told) {
                text += http::format_event(event_of(one));
                number = one.event.number;
                over = over || one.event.kind == "succeeded" || one.event.kind == "failed" ||
                       one.event.kind == "cancelled";
                last_place.clear();
            }
            if (over || (told->empty() && ended)) {
                co_return co_await call.exchange.response.write(Blob(to_bytes(text)));
            }
        }
        if (text.empty() && clock_.now() - written >= kQuietMax) {
            text = ":\n\n";
        }
        if (!text.empty()) {
            call.bytes_out += text.size();
            FG_CO_CHECK(co_await call.exchange.response.write(Blob(to_bytes(text))));
            written = clock_.now();
        }
    }
}

}  // namespace framegrid::rest
