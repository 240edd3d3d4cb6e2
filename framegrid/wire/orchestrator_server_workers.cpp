#include <framegrid/base/counted.hpp>
#include <framegrid/wire/convert.hpp>
#include <framegrid/wire/orchestrator_server_impl.hpp>
#include <framegrid/wire/task_messages.hpp>
#include <framegrid/wire/task_result.hpp>

namespace framegrid::wire {

namespace {

constexpr Duration kCallTimeMax = std::chrono::seconds(8);

std::unexpected<Refusal> refused(UploadRefusal refusal) {
    const Errc code = refusal.status == 401 ? Errc::kUnauthorized : Errc::kInvalidArgument;
    return std::unexpected(Refusal{refusal.status, std::move(refusal.text), code});
}

Refusal refusal_of(const Error& error) {
    if (error.code == Errc::kUnauthorized) {
        return {401, "Unauthorized", error.code};
    }
    const bool theirs = error.code == Errc::kNotFound || error.code == Errc::kInvalidArgument;
    return {theirs ? http::status_of(error.code) : 500, error.message, error.code};
}

}  // namespace

Task<Result<void>> OrchestratorServer::Impl::register_transcoder(std::string request, GrpcSink& sink) {
    FG_CO_TRY(message, parse_message<net::RegisterRequest>(request));
    FG_CO_TRY(registration, read_registration(message));
    co_return co_await send_tasks(std::move(registration), sink);
}

Task<Result<void>> OrchestratorServer::Impl::register_ai_worker(std::string request, GrpcSink& sink) {
    FG_CO_TRY(message, parse_message<net::RegisterAIWorkerRequest>(request));
    FG_CO_TRY(registration, read_registration(message));
    co_return co_await send_tasks(std::move(registration), sink);
}

Task<Result<void>> OrchestratorServer::Impl::send_tasks(api::Registration registration, GrpcSink& sink) {
    const api::WorkerKind kind = registration.kind;
    const Deadline deadline = Deadline::after(ports_.clock, kCallTimeMax);
    FG_CO_TRY(stream, co_await ports_.service.register_worker(std::move(registration), deadline));
    const Counted counted(stats_.task_streams);
    while (true) {
        FG_CO_TRY(task, co_await stream->next());
        FG_CO_TRY(message, notification(kind, task));
        FG_CO_CHECK(co_await sink.send(std::move(message)));
    }
}

Result<std::string> OrchestratorServer::Impl::notification(
    api::WorkerKind kind, const api::WorkerTask& task
) {
    std::string url = task.input_url;
    if (url.empty() && !task.work.input.empty()) {
        const std::string name = "task/" + std::to_string(next_file_++);
        url = stored_url(task.work.session_id, name, task.work.input);
    } else if (url.starts_with('/')) {
        url = settings_.service_uri + url;
    }
    if (kind == api::WorkerKind::kTranscoder) {
        return write_segment_task(task, url).SerializeAsString();
    }
    FG_TRY(message, write_ai_task(task, url));
    return message.SerializeAsString();
}

Task<Checked<void>> OrchestratorServer::Impl::take_result(http::Exchange& exchange, api::WorkerKind kind) {
    auto report = read_result_head(kind, exchange.head.headers);
    if (!report) {
        co_return refused(std::move(report).error());
    }
    // Before the body is read: nobody without the secret makes us hold one.
    if (!ports_.service.is_worker_secret(report->secret)) {
        co_return refused({401, "Unauthorized"});
    }
    const auto body =
        co_await http::read_all(exchange.body, settings_.body_bytes_max + (std::size_t{1} << 20));
    if (!body) {
        co_return refused({500, body.error().message});
    }
    if (auto read = read_result_body(exchange.head.headers, *body, *report); !read) {
        co_return refused(std::move(read).error());
    }
    const Deadline deadline = Deadline::after(ports_.clock, kCallTimeMax);
    const auto taken = co_await ports_.service.submit(std::move(*report), deadline);
    if (!taken) {
        co_return std::unexpected(refusal_of(taken.error()));
    }
    co_return Checked<void>{};
}

// The secret is checked before the body is read: nobody without it makes us hold one.
template <class Report>
Task<Checked<void>> OrchestratorServer::Impl::take_part(
    http::Exchange& exchange, std::expected<Report, UploadRefusal> report, std::size_t bytes_max,
    Blob& (*bytes_of)(Report&), Task<Result<void>> (api::WorkerHost::*submit)(Report, Deadline)
) {
    if (!report) {
        co_return refused(std::move(report).error());
    }
    if (!ports_.service.is_worker_secret(report->secret)) {
        co_return refused({401, "Unauthorized"});
    }
    auto body = co_await http::read_all(exchange.body, bytes_max);
    if (!body) {
        co_return refused({500, body.error().message});
    }
    bytes_of(*report) = std::move(*body);
    const Deadline deadline = Deadline::after(ports_.clock, kCallTimeMax);
    const auto taken = co_await (ports_.service.*submit)(std::move(*report), deadline);
    if (!taken) {
        co_return std::unexpected(refusal_of(taken.error()));
    }
    co_return Checked<void>{};
}

Task<Checked<void>> OrchestratorServer::Impl::take_early(http::Exchange& exchange) {
    return take_part<api::EarlyReport>(
        exchange, read_early_head(exchange.head.headers), settings_.body_bytes_max,
        [](api::EarlyReport& report) -> Blob& { return report.artifact.bytes; },
        &api::WorkerHost::submit_early
    );
}

Task<Checked<void>> OrchestratorServer::Impl::take_progress(http::Exchange& exchange) {
    return take_part<api::ProgressReport>(
        exchange, read_progress_head(exchange.head.headers), kPreviewBytesMax,
        [](api::ProgressReport& report) -> Blob& { return report.progress.preview; },
        &api::WorkerHost::submit_progress
    );
}

Task<void> OrchestratorServer::Impl::answer_upload(http::Exchange& exchange, Task<Checked<void>> taking) {
    auto taken = co_await std::move(taking);
    if (!taken) {
        ++stats_.results_refused;
        ports_.log.warn("wire.result_refused", {{"peer", exchange.head.peer}, {"why", taken.error().text}});
        co_await refuse(exchange, std::move(taken).error());
        co_return;
    }
    ++stats_.results;
    http::ResponseHead head;
    head.headers = {{"content-type", "text/plain; charset=utf-8"}};
    [[maybe_unused]] const auto sent =
        co_await exchange.response.respond(std::move(head), Blob::copy_of("OK"));
}

}  // namespace framegrid::wire
