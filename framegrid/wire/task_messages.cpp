#include <framegrid/wire/task_messages.hpp>

#include <framegrid/wire/ai_messages.hpp>
#include <framegrid/wire/convert.hpp>

namespace framegrid::wire {

namespace {

constexpr std::size_t kSecretBytesMax = 4096;

}  // namespace

net::RegisterRequest write_transcoder_registration(const api::Registration& registration) {
    net::RegisterRequest message;
    message.set_secret(registration.secret);
    message.set_capacity(registration.capacity);
    *message.mutable_capabilities() = to_proto(registration.capabilities);
    return message;
}

net::RegisterAIWorkerRequest write_ai_registration(const api::Registration& registration) {
    net::RegisterAIWorkerRequest message;
    message.set_secret(registration.secret);
    *message.mutable_capabilities() = to_proto(registration.capabilities);
    for (const auto& hardware : registration.hardware) {
        *message.add_hardware() = to_proto(hardware);
    }
    return message;
}

Result<api::Registration> read_registration(const net::RegisterRequest& message) {
    FG_CHECK(check_text(message.secret(), kSecretBytesMax, "secret"));
    api::Registration registration;
    registration.kind = api::WorkerKind::kTranscoder;
    registration.secret = message.secret();
    registration.capacity = message.capacity();
    registration.capabilities = job::default_capabilities();
    if (message.has_capabilities()) {
        FG_TRY(capabilities, from_proto(message.capabilities()));
        registration.capabilities = std::move(capabilities);
    }
    return registration;
}

Result<api::Registration> read_registration(const net::RegisterAIWorkerRequest& message) {
    FG_CHECK(check_text(message.secret(), kSecretBytesMax, "secret"));
    api::Registration registration;
    registration.kind = api::WorkerKind::kAi;
    registration.secret = message.secret();
    FG_TRY(capabilities, from_proto(message.capabilities()));
    registration.capabilities = std::move(capabilities);
    registration.capacity = 0;
    for (const auto& [number, models] : registration.capabilities.constraints) {
        for (const auto& [id, model] : models) {
            registration.capacity += model.capacity;
        }
    }
    if (static_cast<std::size_t>(message.hardware_size()) > Limits::kHardware) {
        return fail(Errc::kInvalidArgument, "hardware has too many entries", "hardware");
    }
    for (const auto& entry : message.hardware()) {
        FG_TRY(hardware, from_proto(entry));
        registration.hardware.push_back(std::move(hardware));
    }
    return registration;
}

net::NotifySegment write_segment_task(const api::WorkerTask& task, const std::string& input_url) {
    net::NotifySegment message;
    message.set_profiles("invalid");
    message.set_orchid("offchain");
    message.set_taskid(task.id.value);
    api::Job job;
    job.token.session_id = task.session_ended.value_or(task.work.session_id);
    if (task.session_ended) {
        *message.mutable_segdata()->mutable_auth_token() = to_proto(job.token);
        return message;
    }
    message.set_url(input_url);
    message.set_traceparent(write_traceparent(task.work.trace));
    job.manifest_id = task.work.session_id;
    job.work.kind = task.work.kind;
    *message.mutable_segdata() = to_proto(job);
    return message;
}

Result<net::NotifyAIJob> write_ai_task(const api::WorkerTask& task, const std::string& input_url) {
    const auto* work = std::get_if<api::AiWork>(&task.work.kind);
    if (work == nullptr) {
        return fail(Errc::kInvalidArgument, "not an AI task");
    }
    FG_TRY(request, write_ai_job(*work, task.work.priority, task.work.trace, input_url));
    net::NotifyAIJob message;
    message.set_taskid(task.id.value);
    message.mutable_aijobdata()->set_pipeline(work->pipeline);
    message.mutable_aijobdata()->set_requestdata(std::move(request));
    return message;
}

Result<api::WorkerTask> read_task(const net::NotifySegment& message) {
    api::WorkerTask task;
    FG_CHECK(check_text(message.url(), Limits::kUrlBytes, "url"));
    FG_TRY(job, from_proto(message.segdata()));
    task.id.value = message.taskid();
    if (message.url().empty()) {
        if (job.token.session_id.empty()) {
            return fail(Errc::kInvalidArgument, "a task without a URL names no session", "url");
        }
        task.session_ended = job.token.session_id;
        return task;
    }
    task.input_url = message.url();
    task.work = std::move(job.work);
    task.work.session_id = job.token.session_id;
    task.work.trace = parse_traceparent(message.traceparent());
    return task;
}

Result<api::WorkerTask> read_task(const net::NotifyAIJob& message) {
    const auto& data = message.aijobdata();
    FG_CHECK(check_text(data.pipeline(), Limits::kTextBytes, "pipeline"));
    FG_TRY(job, read_ai_job(data.pipeline(), data.requestdata()));
    FG_CHECK(check_text(job.input_url, Limits::kUrlBytes, "input_url"));
    api::WorkerTask task;
    task.id.value = message.taskid();
    task.input_url = std::move(job.input_url);
    task.work.kind = std::move(job.work);
    task.work.priority = job.priority;
    task.work.trace = std::move(job.trace);
    return task;
}

}  // namespace framegrid::wire
