// The AI routes: POST /{pipeline} and what the live-runner routes share with it.
#include <framegrid/http/event_stream.hpp>
#include <framegrid/media/file_types.hpp>
#include <framegrid/wire/ai_messages.hpp>
#include <framegrid/wire/ai_progress.hpp>
#include <framegrid/wire/orchestrator_server_impl.hpp>
#include <framegrid/wire/protocol_error.hpp>
#include <framegrid/wire/transfers.hpp>

namespace framegrid::wire {

namespace {

Refusal job_refusal(const Error& error) {
    const bool internal = error.code == Errc::kInternal || error.code == Errc::kIo ||
                          error.code == Errc::kProtocol || error.code == Errc::kUnavailable;
    return {internal ? 500 : http::status_of(error.code), error.message, error.code};
}

Refusal ai_refusal(std::string_view pipeline, const Error& error) {
    auto refusal = job_refusal(error);
    refusal.text = ai_text(pipeline, error);
    refusal.detail = refusal.text == error.message ? std::string() : error.message;
    return refusal;
}

// "<capability>_<model>": AI jobs name their model before the body says so.
std::string model_of_manifest(const std::string& manifest_id) {
    const auto mark = manifest_id.find('_');
    return mark == std::string::npos ? std::string() : manifest_id.substr(mark + 1);
}

}  // namespace

Task<void> OrchestratorServer::Impl::serve_ai(http::Exchange& exchange, std::string pipeline) {
    auto header = read_headers(exchange);
    if (!header) {
        co_await refuse(exchange, std::move(header).error());
        co_return;
    }
    api::Job job = std::move(header->job);
    const std::string model = model_of_manifest(job.manifest_id);
    job.work.kind = api::AiWork{.pipeline = pipeline, .model_id = model, .parameters = {}};
    if (const auto admitted = ports_.service.admit(job); !admitted) {
        co_await refuse(exchange, ai_refusal(pipeline, admitted.error()));
        co_return;
    }
    if (!co_await take_payment(exchange, job)) {
        co_return;
    }
    // Gateways that do not name the protocol predate result URLs.
    const bool inline_images = exchange.head.headers.get("authorization") != kAiAuthorization;
    co_await run_ai(exchange, std::move(job), inline_images);
}

// An admitted job whose request is still to be read.
Task<void> OrchestratorServer::Impl::run_ai(http::Exchange& exchange, api::Job job, bool inline_images) {
    const auto& expected = std::get<api::AiWork>(job.work.kind);
    const std::string model = expected.model_id;
    const std::string pipeline = expected.pipeline;
    auto body = co_await read_body(exchange);
    if (!body) {
        co_await refuse(exchange, std::move(body).error());
        co_return;
    }
    auto request = read_ai_request(pipeline, content_type_of(exchange), *body);
    if (!request) {
        const auto& why = request.error().message;
        co_await refuse(exchange, ai_refusal(pipeline, make_error(Errc::kInvalidArgument, why)));
        co_return;
    }
    if (request->work.model_id.empty()) {
        request->work.model_id = model;
    }
    const std::string session_id = job.token.session_id;
    const auto previews = exchange.head.headers.get(kProgressHeader);
    request->work.preview_steps = previews ? preview_steps(*previews) : 0;
    job.work.kind = std::move(request->work);
    job.work.priority = priority_of(exchange.head.headers);
    job.work.input = std::move(request->input);
    job.work.input_content_type = std::move(request->input_content_type);
    const Deadline deadline = Deadline::after(ports_.clock, settings_.ai_time_max);
    http::EventOutlet outlet(
        [&exchange](http::ResponseHead head) { return exchange.response.start(std::move(head)); },
        exchange.response, ports_.clock
    );
    if (previews) {
        job.progress = [&outlet](const api::Progress& progress) {
            outlet.put({std::string(kProgressEvent), write_progress(progress)});
        };
    }
    auto work = ports_.service.run(std::move(job), deadline);
    const auto output = co_await http::while_telling(outlet, std::move(work));
    if (!output) {
        co_await answer_ai(exchange, pipeline, std::unexpected(output.error()));
        co_return;
    }
    ++stats_.ai_jobs;
    co_await answer_ai(exchange, pipeline, ai_answer(*output, session_id, inline_images));
}

// As the last event, when there were others; else as everybody expects it.
Task<void> OrchestratorServer::Impl::answer_ai(
    http::Exchange& exchange, std::string pipeline, Result<std::string> answer
) {
    if (!exchange.response.started()) {
        if (!answer) {
            co_await refuse(exchange, ai_refusal(pipeline, answer.error()));
            co_return;
        }
        http::ResponseHead head;
        head.headers = {{"content-type", "application/json"}};
        [[maybe_unused]] const auto sent =
            co_await exchange.response.respond(std::move(head), Blob(to_bytes(*answer)));
        co_return;
    }
    http::Event event;
    if (answer) {
        event = {std::string(kResultEvent), std::move(*answer)};
    } else {
        ++stats_.refused;
        const Refusal refusal = job_refusal(answer.error());
        event = {std::string(kErrorEvent), write_error_event(refusal.status, refusal.code, refusal.text)};
    }
    if (co_await exchange.response.write(Blob(to_bytes(http::format_event(event))))) {
        [[maybe_unused]] const auto finished = co_await exchange.response.finish();
    }
}

std::string OrchestratorServer::Impl::ai_answer(
    const api::JobOutput& output, const std::string& session_id, bool inline_images
) {
    std::vector<AiMedia> files;
    for (const auto& artifact : output.output.artifacts) {
        if (inline_images && artifact.content_type.starts_with("image/")) {
            files.push_back(
                {data_url(artifact.content_type, artifact.bytes.view()), artifact.seed, artifact.nsfw}
            );
            continue;
        }
        const std::string name =
            "ai/" + std::to_string(next_file_++) + std::string(media::extension_of(artifact.content_type));
        files.push_back({stored_url(session_id, name, artifact.bytes), artifact.seed, artifact.nsfw});
    }
    return write_ai_response({std::move(files), output.output.ai});
}

// The shortest way through a node: what is measured as the overhead of every job.
Task<void> OrchestratorServer::Impl::serve_echo(http::Exchange& exchange) {
    auto header = read_headers(exchange);
    if (!header) {
        co_await refuse(exchange, std::move(header).error());
        co_return;
    }
    api::Job job = std::move(header->job);
    job.work.kind = api::AiWork{.pipeline = std::string(kEcho), .model_id = {}, .parameters = {}};
    if (const auto bytes = content_length(exchange.head); bytes && *bytes > api::kTransferBytesMin) {
        co_await serve_echo_transfer(exchange, std::move(job), *bytes);
        co_return;
    }
    auto body = co_await read_body(exchange);
    if (!body) {
        co_await refuse(exchange, std::move(body).error());
        co_return;
    }
    job.work.input = *std::move(body);
    job.work.input_content_type = content_type_of(exchange);
    const Deadline deadline = Deadline::after(ports_.clock, settings_.transcode_time_min);
    auto output = co_await ports_.service.run(std::move(job), deadline);
    if (!output || output->output.artifacts.size() != 1) {
        const Error error = output ? make_error(Errc::kInternal, "echo made no answer") : output.error();
        co_await refuse(exchange, job_refusal(error));
        co_return;
    }
    ++stats_.ai_jobs;
    auto& artifact = output->output.artifacts.front();
    http::ResponseHead head;
    head.headers = {{"content-type", artifact.content_type}};
    [[maybe_unused]] const auto sent =
        co_await exchange.response.respond(std::move(head), std::move(artifact.bytes));
}

// The same with what is too large for memory: it goes back while it comes.
Task<void> OrchestratorServer::Impl::serve_echo_transfer(
    http::Exchange& exchange, api::Job job, std::uint64_t bytes
) {
    if (bytes > api::kTransferBytesMax) {
        co_await refuse(exchange, {413, "the input is too large", Errc::kTooLarge});
        co_return;
    }
    job.work.transfer = transfer_of(exchange, bytes);
    job.work.input_content_type = content_type_of(exchange);
    const Deadline deadline = Deadline::after(ports_.clock, settings_.ai_time_max);
    auto work = ports_.service.run(std::move(job), deadline);
    const auto output = co_await with_deadline<api::JobOutput>(ports_.clock, deadline, std::move(work));
    if (output) {
        ++stats_.ai_jobs;
        [[maybe_unused]] const auto finished = co_await exchange.response.finish();
    } else if (!exchange.response.started()) {
        co_await refuse(exchange, job_refusal(output.error()));
    } else {
        ++stats_.refused;  // the answer is broken off, which says it
    }
}

}  // namespace framegrid::wire
