#include <framegrid/rest/rest.hpp>

#include <algorithm>
#include <deque>

#include <framegrid/base/counted.hpp>
#include <framegrid/http/date.hpp>
#include <framegrid/http/multipart.hpp>
#include <framegrid/rest/ai_jobs.hpp>
#include <framegrid/rest/artifacts_api.hpp>
#include <framegrid/rest/async_videos.hpp>
#include <framegrid/rest/cors.hpp>
#include <framegrid/rest/gate.hpp>
#include <framegrid/rest/live_ingest.hpp>
#include <framegrid/rest/openai_error.hpp>
#include <framegrid/rest/openai_files.hpp>
#include <framegrid/rest/openai_images.hpp>
#include <framegrid/rest/openai_videos.hpp>
#include <framegrid/rest/openapi.hpp>
#include <framegrid/rest/playback.hpp>
#include <framegrid/rest/problem.hpp>
#include <framegrid/rest/results_store.hpp>
#include <framegrid/rest/router.hpp>
#include <framegrid/rest/streams.hpp>
#include <framegrid/rest/uploads_api.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::rest {

namespace {

constexpr std::size_t kRequestIdBytesMax = 128;
constexpr std::size_t kRequestIdBytes = 8;
constexpr Duration kReadyTimeMax = std::chrono::seconds(2);
constexpr std::size_t kEndingsMax = 64;  // streams being ended at orchestrators at once

// The client's own id if it is harmless, else a random one.
std::string request_id_of(const http::Headers& headers, Random& random) {
    const auto given = headers.get("x-request-id");
    const auto is_bad = [](char c) { return c <= ' ' || c >= 0x7f; };
    if (given && !given->empty() && given->size() <= kRequestIdBytesMax &&
        std::ranges::none_of(*given, is_bad)) {
        return std::string(*given);
    }
    return random.hex(kRequestIdBytes);
}

Bytes url_secret_of(const JobPorts& jobs, Random& random) {
    constexpr std::size_t kSecretBytes = 32;
    Bytes out = jobs.url_secret;
    if (out.empty()) {
        out.resize(kSecretBytes);
        random.fill(out);
    }
    return out;
}

// The OpenAI-compatible routes as a whole.
struct OpenAi {
    OpenAi(OpenAiPorts ports, OpenAiSettings settings) : common(std::move(ports), std::move(settings)) {}
    OpenAi(const OpenAi&) = delete;
    OpenAi& operator=(const OpenAi&) = delete;
    void add_routes(Router& router) {
        images.add_routes(router);
        videos.add_routes(router);
        files.add_routes(router);
    }

    OpenAiCommon common;
    OpenAiImages images{common};
    OpenAiVideos videos{common};
    OpenAiFiles files{common};
};

// In the form of the API that was called.
Answer own_error(const Call& call, const Error& error, int status = 0) {
    return call.exchange.head.path().starts_with("/v1/") ? problem_answer(error, call.trace_id, status)
                                                         : error_answer(error, status);
}

// Counts a request whose client went away, unless it is told that the answer was sent.
class Outcome {
  public:
    explicit Outcome(RestStats& stats) : stats_(stats) {}
    ~Outcome() { stats_.aborted += sent_ ? 0 : 1; }
    Outcome(const Outcome&) = delete;
    Outcome& operator=(const Outcome&) = delete;
    void sent(int status) {
        sent_ = true;
        ++(status >= 500 ? stats_.server_errors : status >= 400 ? stats_.client_errors : stats_.answered);
    }

  private:
    RestStats& stats_;
    bool sent_ = false;
};

}  // namespace

class Rest::Impl {
  public:
    Impl(RestPorts ports, RestSettings settings);
    Task<void> handle(http::Exchange& exchange, const Router& router);
    const Router& router() const { return router_; }
    const Router& admin_router() const { return admin_router_; }
    Task<Result<bool>> serve();
    RestStats stats() const;

  private:
    void add_routes();
    void add_operator_pages(Router& router);
    Task<Answer> answer_to(Call& call, const Router& router);
    Task<Answer> answer_of_route(Call& call, Match match);
    Task<Answer> run_job(const Route& route, Call& call);
    Answer unknown_path(const Call& call) const;
    void add_common_headers(const Call& call, const Router& router, http::Headers& headers) const;
    Task<Result<void>> send(http::Exchange& exchange, Answer answer);
    Span begin_trace(Call& call) const;
    void describe(Span& span, const Call& call, int status) const;
    void count(const Call& call, int status, TimePoint began);
    void log_answer(const Call& call, int status, std::size_t bytes, TimePoint began) const;

    Task<Answer> echo(Call& call);
    Task<Answer> healthz();
    Task<Answer> readyz(Call& call);
    Task<Answer> help();
    Task<Answer> openapi();
    Task<Answer> status();
    Task<Answer> metrics();

    Task<Result<bool>> sweep(TaskGroup& endings);

    RestPorts ports_;
    RestSettings settings_;
    TimePoint started_at_;
    MemoryBudget memory_;
    RestStats stats_;
    StreamTable streams_;
    ResultsStore results_;
    LiveIngest ingest_;
    AiJobs ai_jobs_;
    Playback playback_;
    std::optional<JobsApi> jobs_;
    std::optional<ArtifactsApi> artifacts_;
    std::optional<UploadsApi> uploads_;
    std::optional<OpenAi> openai_;
    std::optional<AsyncVideos> async_videos_;
    Cors cors_;
    Gate gate_;
    Router router_;
    Router admin_router_;
};

Rest::Impl::Impl(RestPorts ports, RestSettings settings)
    : ports_(std::move(ports)),
      settings_(std::move(settings)),
      started_at_(ports_.clock.now()),
      memory_(settings_.memory_bytes_max),
      streams_(settings_.ingest.streams, ports_.clock),
      results_(settings_.ai.results_bytes_max, settings_.ai.results_life, ports_.clock, ports_.random),
      ingest_(
          ports_.gateway, ports_.probe, streams_, ports_.clock, ports_.random, settings_.ingest,
          settings_.upload_time_max, ports_.log
      ),
      ai_jobs_(
          ports_.gateway, results_, ports_.pool, ports_.clock, ports_.random, settings_.ai,
          settings_.upload_time_max, settings_.public_url, ports_.log
      ),
      playback_(streams_, results_),
      cors_(settings_.cors_origins),
      gate_(ports_.authenticator, ports_.clock) {
    if (const auto& jobs = ports_.jobs) {
        JobsApiSettings jobs_settings;
        jobs_settings.body_bytes_max = settings_.ai.body_bytes_max;
        jobs_settings.upload_time_max = settings_.upload_time_max;
        jobs_settings.public_url = settings_.public_url;
        jobs_.emplace(*jobs, ports_.pool, ports_.clock, ports_.random, std::move(jobs_settings));
        ArtifactsSettings files;
        files.life = jobs->work.artifact_life;
        files.store_time_max = jobs->work.store_time_max;
        files.public_url = settings_.public_url;
        files.upkeep = jobs->upkeep;
        files.sweep = jobs->sweep;
        artifacts_.emplace(
            jobs->objects, jobs->artifacts, ports_.clock, ports_.random, ports_.log, std::move(files),
            url_secret_of(*jobs, ports_.random)
        );
        if (jobs->uploads != nullptr) {
            const api::StoredFiles stored(
                jobs->objects, jobs->artifacts, ports_.clock, ports_.random, jobs->work.artifact_life,
                jobs->work.store_time_max
            );
            UploadsSettings uploads;
            uploads.public_url = settings_.public_url;
            uploads_.emplace(
                UploadsPorts{
                    *jobs->uploads, jobs->objects, *artifacts_, stored, ports_.clock, ports_.random,
                    ports_.pool, ports_.log
                },
                std::move(uploads)
            );
        }
        OpenAiSettings openai;
        openai.body_bytes_max = settings_.ai.body_bytes_max;
        openai.upload_time_max = settings_.upload_time_max;
        openai.image_time_max = settings_.ai.time_max;
        openai.public_url = settings_.public_url;
        openai_.emplace(
            OpenAiPorts{*jobs, *jobs_, *artifacts_, ports_.gateway, ports_.pool, ports_.clock, ports_.random},
            std::move(openai)
        );
        async_videos_.emplace(ai_jobs_, openai_->common);
    }
    add_routes();
}

void Rest::Impl::add_routes() {
    const auto push = [this](Call& call) { return ingest_.push(call); };
    router_.add({"POST", "/echo", RouteKind::kJob, [this](Call& call) { return echo(call); }});
    router_.add({"PUT", "/live/{*}", RouteKind::kJob, push, Access::kLive});
    router_.add({"POST", "/live/{*}", RouteKind::kJob, push, Access::kLive});
    for (const auto& spec : job::pipelines()) {
        router_.add({"POST", "/" + std::string(spec.name), RouteKind::kJob, [this, &spec](Call& call) {
                         return async_videos_ && AsyncVideos::is_wanted(call, spec)
                                    ? async_videos_->submit(call, spec)
                                    : ai_jobs_.post(call, spec);
                     }});
    }
    const auto playback = settings_.playback_open ? Access::kOpen : Access::kJobs;
    router_.add<Playback>(
        playback_,
        {
            {"GET", "/stream/{}", RouteKind::kPage, &Playback::master, playback},
            {"GET", "/stream/{}/{}", RouteKind::kPage, &Playback::file, playback},
            {"GET", "/stream/{}/{}/{}", RouteKind::kPage, &Playback::segment, playback},
        }
    );
    const auto help_page = [this](Call&) { return help(); };
    router_.add({"GET", "/", RouteKind::kPage, help_page, Access::kOpen});
    router_.add({"GET", "/openapi.json", RouteKind::kPage, [this](Call&) { return openapi(); }, Access::kOpen}
    );
    router_.add({"GET", "/healthz", RouteKind::kPage, [this](Call&) { return healthz(); }, Access::kOpen});
    router_.add(
        {"GET", "/readyz", RouteKind::kPage, [this](Call& call) { return readyz(call); }, Access::kOpen}
    );
    if (gate_.open()) {
        add_operator_pages(router_);
    }
    admin_router_.add(
        {"GET", "/healthz", RouteKind::kPage, [this](Call&) { return healthz(); }, Access::kOpen}
    );
    admin_router_.add(
        {"GET", "/readyz", RouteKind::kPage, [this](Call& call) { return readyz(call); }, Access::kOpen}
    );
    add_operator_pages(admin_router_);
    if (jobs_) {
        jobs_->add_routes(router_);
        artifacts_->add_routes(router_);
        if (uploads_) {
            uploads_->add_routes(router_);
        }
        openai_->add_routes(router_);
        async_videos_->add_routes(router_);
    }
}

void Rest::Impl::add_operator_pages(Router& router) {
    router.add({"GET", "/status", RouteKind::kPage, [this](Call&) { return status(); }, Access::kOpen});
    router.add({"GET", "/metrics", RouteKind::kPage, [this](Call&) { return metrics(); }, Access::kOpen});
}

Task<void> Rest::Impl::handle(http::Exchange& exchange, const Router& router) {
    Outcome outcome(stats_);
    const TimePoint began = ports_.clock.now();
    Call call{exchange, request_id_of(exchange.head.headers, ports_.random), {}, MemoryLease(memory_), {}};
    Span span = begin_trace(call);
    call.start = [this, &call, &router](http::ResponseHead head) {
        add_common_headers(call, router, head.headers);
        return call.exchange.response.start(std::move(head));
    };
    Answer answer = co_await answer_to(call, router);
    const int refusal = exchange.response.refusal();
    const int status = refusal > 0 ? refusal : answer.status;
    describe(span, call, status);
    count(call, status, began);
    const std::size_t bytes = call.bytes_out + http::total_size(answer.body);
    if (exchange.response.started() && status >= 400) {
        outcome.sent(status);
        log_answer(call, status, bytes, began);
        co_return;  // without an end: the client sees that something is missing
    }
    add_common_headers(call, router, answer.headers);
    auto sent = co_await send(exchange, std::move(answer));
    if (sent) {
        outcome.sent(status);
        stats_.bytes_in += call.bytes_in;
        stats_.bytes_out += bytes;
    }
    log_answer(call, sent ? status : 499, bytes, began);
}

// The caller's trace (W3C Trace Context), else a new one.
Span Rest::Impl::begin_trace(Call& call) const {
    constexpr std::size_t kTraceBytes = 16;
    constexpr std::size_t kSpanBytes = 8;
    call.trace = parse_traceparent(call.headers().get("traceparent").value_or(""));
    if (call.trace.trace_id.empty()) {
        call.trace.trace_id = ports_.random.hex(kTraceBytes);
    }
    Span span = ports_.tracer.start(call.exchange.head.method, SpanKind::kServer, call.trace);
    call.trace = span.context();
    if (call.trace.span_id.empty()) {
        call.trace.span_id = ports_.random.hex(kSpanBytes);
    }
    call.trace_id = call.trace.trace_id;
    return span;
}

// Named after the route, not the path: there are few of them.
void Rest::Impl::describe(Span& span, const Call& call, int status) const {
    if (!span) {
        return;
    }
    if (call.route != nullptr) {
        span.rename(call.exchange.head.method + " " + call.route->pattern);
        span.set("http.route", call.route->pattern);
    }
    span.set("http.request.method", call.exchange.head.method);
    span.set("http.response.status_code", status);
    span.set("framegrid.request", call.request_id);
    if (status >= 500) {
        span.fail(make_error(Errc::kInternal, "HTTP " + std::to_string(status)));
    }
}

void Rest::Impl::count(const Call& call, int status, TimePoint began) {
    const std::string route = call.route == nullptr ? "none" : call.route->method + " " + call.route->pattern;
    stats_.requests.add(route, std::to_string(status / 100) + "xx", ports_.clock.now() - began);
}

Task<Answer> Rest::Impl::answer_to(Call& call, const Router& router) {
    const auto& head = call.exchange.head;
    Match match = router.find(head.method, head.path());
    const bool openai = match.errors == ErrorForm::kOpenAi;
    Answer answer = co_await answer_of_route(call, std::move(match));
    if (openai) {
        write_openai_error(answer);
    }
    co_return answer;
}

Task<Answer> Rest::Impl::answer_of_route(Call& call, Match match) {
    const auto& head = call.exchange.head;
    if (match.route == nullptr) {
        if (match.allow.empty()) {
            co_return unknown_path(call);
        }
        Answer answer;
        if (head.method == "OPTIONS") {
            answer.status = 204;
        } else {
            const std::string message =
                printable(head.method, 20) + " is not possible here; use " + match.allow;
            answer = own_error(call, make_error(Errc::kInvalidArgument, message, "method"), 405);
        }
        answer.headers.add("allow", match.allow + ", OPTIONS");
        co_return answer;
    }
    call.route = match.route;
    call.parameters = std::move(match.parameters);
    if (auto refusal = co_await gate_.admit(call, *match.route)) {
        co_return *std::move(refusal);
    }
    if (match.route->kind != RouteKind::kPage) {
        co_return co_await run_job(*match.route, call);
    }
    co_return co_await match.route->endpoint(call);
}

Task<Answer> Rest::Impl::run_job(const Route& route, Call& call) {
    if (stats_.jobs_in_flight >= settings_.jobs_max) {
        ++stats_.refused;
        co_return own_error(
            call, make_error(Errc::kCapacity, "the gateway runs as many jobs as it may; try again later")
        );
    }
    const Counted counted(stats_.jobs_in_flight);
    Answer answer = co_await route.endpoint(call);
    co_return answer;
}

Answer Rest::Impl::unknown_path(const Call& call) const {
    const auto& head = call.exchange.head;
    std::string_view name = head.path().substr(1);
    if (name.ends_with('/')) {
        name.remove_suffix(1);
    }
    if (head.method == "POST" && !name.empty() && name.find('/') == std::string_view::npos) {
        std::string known;
        for (const auto& spec : job::pipelines()) {
            known += (known.empty() ? "" : ", ") + std::string(spec.name);
        }
        return error_answer(make_error(
            Errc::kNotFound, "unknown pipeline " + printable(name, 64) + "; this gateway serves: " + known,
            "pipeline"
        ));
    }
    return own_error(
        call, make_error(
                  Errc::kNotFound,
                  "nothing is served at " + printable(head.path(), 100) + "; /openapi.json lists what is"
              )
    );
}

void Rest::Impl::add_common_headers(const Call& call, const Router& router, http::Headers& headers) const {
    const auto& head = call.exchange.head;
    headers.set("x-request-id", call.request_id);
    headers.set("x-trace-id", call.trace_id);
    for (const auto& [name, value] : call.limit_headers.fields()) {
        headers.set(name, value);
    }
    const bool is_preflight = head.method == "OPTIONS";
    cors_.add_headers(head, is_preflight ? router.find(head.method, head.path()).allow : "", headers);
}

Task<Result<void>> Rest::Impl::send(http::Exchange& exchange, Answer answer) {
    if (!exchange.response.started()) {
        http::ResponseHead head{answer.status, std::move(answer.headers)};
        if (answer.status != 204 && answer.status != 304 && !head.headers.get("content-length")) {
            head.headers.set("content-length", std::to_string(http::total_size(answer.body)));
        }
        answer.trailers = {};
        FG_CO_CHECK(co_await exchange.response.start(std::move(head)));
    }
    if (exchange.head.method != "HEAD") {
        for (auto& piece : answer.body) {
            if (!piece.empty()) {
                FG_CO_CHECK(co_await exchange.response.write(std::move(piece)));
            }
        }
    }
    co_return co_await exchange.response.finish(std::move(answer.trailers));
}

void Rest::Impl::log_answer(const Call& call, int status, std::size_t bytes, TimePoint began) const {
    const auto level = status >= 500 ? LogLevel::kWarn : LogLevel::kDebug;
    if (!ports_.log.enabled(level)) {
        return;
    }
    const auto& head = call.exchange.head;
    const auto took = milliseconds(ports_.clock.now() - began);
    const std::initializer_list<LogField> fields{
        {"method", head.method},  {"path", head.path()},
        {"status", status},       {"bytes_in", call.bytes_in},
        {"bytes_out", bytes},     {"took_ms", took},
        {"peer", head.peer},      {"request", call.request_id},
        {"trace", call.trace_id}, {"key", call.permit ? call.permit->subject : ""}
    };
    if (level == LogLevel::kWarn) {
        ports_.log.warn("rest.request_failed", fields);
    } else {
        ports_.log.debug("rest.request_answered", fields);
    }
}

Task<Answer> Rest::Impl::echo(Call& call) {
    const auto& settings = settings_.ai;
    const Deadline deadline = Deadline::after(ports_.clock, settings.echo_time_max);
    auto body =
        co_await read_body(call.exchange, call.memory, settings.echo_bytes_max, ports_.clock, deadline);
    if (!body) {
        co_return error_answer(body.error());
    }
    call.bytes_in = body->size();
    gateway::JobRequest job;
    job.manifest_id = "echo";
    job.owner = call.owner;
    job.key_limits = call.key_limits();
    job.work.kind = api::AiWork{"echo", {}, {}};
    job.work.input = std::move(*body);
    job.work.input_content_type = "application/octet-stream";
    job.work.trace = call.trace;
    auto result = co_await ports_.gateway.run(std::move(job), deadline);
    if (!result) {
        co_return error_answer(result.error());
    }
    Answer answer;
    answer.headers.add("content-type", "application/octet-stream");
    if (result->cost) {
        answer.headers.add("x-framegrid-wei", result->cost->str());
    }
    if (!result->output.artifacts.empty()) {
        answer.body.push_back(std::move(result->output.artifacts.front().bytes));
    }
    co_return answer;
}

// With the time, so that others can tell whose clock is wrong (framegrid doctor).
Task<Answer> Rest::Impl::healthz() {
    Answer answer;
    answer.headers.add("date", http::date_text(ports_.clock.unix_ms()));
    co_return answer;
}

// Whether new jobs should be sent here: for load balancers, and for whoever waits for a network to come up.
Task<Answer> Rest::Impl::readyz(Call& call) {
    std::string why;
    if (ports_.jobs && ports_.jobs->desk.draining()) {
        why = "this gateway stops";
    } else if (ports_.gateway.stats().pool.usable == 0) {
        why = "no orchestrator answers: check --orchestrators, and /status for what is known of each";
    } else if (ports_.jobs) {
        const auto limit = Deadline::after(ports_.clock, kReadyTimeMax);
        const auto kept = co_await with_deadline<std::vector<job::Record>>(
            ports_.clock, limit, ports_.jobs->store.list({.limit = 1})
        );
        why = kept ? "" : "the store of jobs does not answer: " + kept.error().message;
    }
    Answer answer = why.empty() ? text_answer("text/plain; charset=utf-8", "ready\n")
                                : problem_answer(make_error(Errc::kUnavailable, why), call.trace_id);
    answer.headers.add("cache-control", "no-store");
    co_return answer;
}

Task<Answer> Rest::Impl::help() {
    co_return text_answer("text/plain; charset=utf-8", help_text(settings_.version));
}

Task<Answer> Rest::Impl::openapi() {
    co_return json_answer(openapi_document());
}

Task<Answer> Rest::Impl::status() {
    const auto pool = ports_.gateway.pool();
    const auto jobs = ports_.gateway.stats();
    Answer answer = json_answer(status_json(
        settings_.version, ports_.clock.now() - started_at_, pool, jobs, stats(),
        settings_.status_orchestrators_max
    ));
    answer.headers.add("cache-control", "no-store");
    co_return answer;
}

Task<Answer> Rest::Impl::metrics() {
    PrometheusText out;
    dump(out, stats());
    gateway::dump(out, ports_.gateway.stats());
    if (ports_.metrics) {
        ports_.metrics(out);
    }
    co_return text_answer("text/plain; version=0.0.4; charset=utf-8", out.text());
}

Task<Result<bool>> Rest::Impl::serve() {
    TaskGroup endings(ports_.executor, kEndingsMax, ports_.log);
    co_return co_await with_group<bool>(endings, sweep(endings));
}

Task<Result<bool>> Rest::Impl::sweep(TaskGroup& endings) {
    std::deque<std::string> over;
    for (;;) {
        co_await sleep_for(ports_.clock, settings_.sweep_period);
        results_.sweep();
        if (artifacts_) {
            co_await artifacts_->sweep();
        }
        if (uploads_) {
            co_await uploads_->sweep();
        }
        for (auto& manifest_id : streams_.sweep()) {
            over.push_back(std::move(manifest_id));
        }
        while (!over.empty() && endings.size() < endings.max()) {
            endings.spawn(ports_.gateway.end_stream(std::move(over.front())));
            over.pop_front();
        }
    }
}

RestStats Rest::Impl::stats() const {
    RestStats out = stats_;
    out.memory_bytes = memory_.used();
    out.memory_bytes_max = memory_.bytes_max();
    out.streams = streams_.size();
    out.hls_bytes = streams_.hls_bytes();
    out.results = results_.size();
    out.results_bytes = results_.bytes();
    out.ingest = ingest_.stats();
    out.gate = gate_.stats();
    return out;
}

Rest::Rest(RestPorts ports, RestSettings settings)
    : impl_(std::make_unique<Impl>(std::move(ports), std::move(settings))) {}

Rest::~Rest() = default;

http::Handler Rest::handler() {
    return [this](http::Exchange& exchange) { return impl_->handle(exchange, impl_->router()); };
}

http::Handler Rest::admin_handler() {
    return [this](http::Exchange& exchange) { return impl_->handle(exchange, impl_->admin_router()); };
}

std::vector<std::string> Rest::routes() const {
    return impl_->router().names();
}

Task<Result<bool>> Rest::serve() {
    return impl_->serve();
}

RestStats Rest::stats() const {
    return impl_->stats();
}

}  // namespace framegrid::rest
