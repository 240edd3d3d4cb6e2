#include "fake_service.hpp"

namespace framegrid::tests {

class FakeService::Stream final : public api::TaskStream {
  public:
    explicit Stream(FakeService& service) : service_(service) { ++service_.registered; }
    ~Stream() override { --service_.registered; }
    Task<Result<api::WorkerTask>> next() override {
        auto task = co_await service_.tasks.receive();
        if (!task) {
            co_return fail(Errc::kUnavailable, "the orchestrator is stopping");
        }
        co_return std::move(*task);
    }

  private:
    FakeService& service_;
};

api::AuthToken FakeService::token() {
    return {.token = Bytes(32, 0x5a), .session_id = kSession, .expires_unix_s = 4'000'000'000};
}

Task<Result<api::OrchestratorInfo>> FakeService::get_info(api::InfoRequest request, Deadline) {
    if (capped && !request.ignore_capacity) {
        co_return fail(Errc::kCapacity, "OrchestratorCapped");
    }
    api::OrchestratorInfo info;
    info.service_uri = service_uri;
    info.price = Price{.wei = 0, .units = 1};
    info.capabilities = job::default_capabilities();
    info.capabilities->version = "0.9.1";
    info.capabilities->add_model(job::Capability::kUpscale, "framegrid/sr-2x", {.warm = true, .capacity = 1});
    info.auth_token = token();
    if (!request.needs) {
        info.model_prices = {{{1, 1}, 30, "framegrid/sr-2x"}};
        info.hardware = {{"upscale", "framegrid/sr-2x", {}}};
    }
    co_return info;
}

Result<void> FakeService::admit(const api::Job& head) {
    if (head.token != token()) {
        return fail(Errc::kForbidden, "invalid auth token");
    }
    if (capped) {
        return fail(Errc::kCapacity, "OrchestratorCapped");
    }
    return {};
}

Task<Result<api::JobOutput>> FakeService::run(api::Job job, Deadline deadline) {
    FG_CO_CHECK(admit(job));
    if (job.manifest_id == "busy") {
        co_return fail(Errc::kCapacity, "OrchestratorBusy");
    }
    if (job.manifest_id == "no-keyframes") {
        co_return fail(Errc::kUnprocessable, "No keyframes in input");
    }
    if (job.manifest_id == "boom") {
        co_return fail(Errc::kInternal, "MediaStats Failure");
    }
    if (job.manifest_id == "slow") {
        co_await sleep_until(clock_, deadline.at);
        co_return fail(Errc::kDeadline, "too slow");
    }
    if (job.manifest_id == "work") {
        co_return co_await run_on_worker(std::move(job), deadline);
    }
    if (job.work.transfer) {
        co_return co_await give_back(std::move(job), deadline);
    }
    api::JobOutput out;
    if (const auto* work = std::get_if<api::TranscodeWork>(&job.work.kind)) {
        for (const auto& profile : work->profiles) {
            const Blob bytes = job.manifest_id == "short" ? Blob::copy_of("tiny") : job.work.input;
            api::Artifact artifact;
            artifact.name = profile.name;
            artifact.content_type = "video/mp2t";
            artifact.bytes = bytes;
            artifact.pixels = {1000};
            out.output.artifacts.push_back(std::move(artifact));
        }
    } else {
        api::Artifact artifact;
        artifact.name = "out.png";
        artifact.content_type = "image/png";
        artifact.bytes = job.work.input;
        artifact.seed = 5;
        out.output.artifacts.push_back(std::move(artifact));
    }
    co_return out;
}

// "half": breaks off after 6 MiB; "stuck": does not go on then.
Task<Result<api::JobOutput>> FakeService::give_back(api::Job job, Deadline deadline) {
    const auto input = job.work.transfer->open_input();
    FG_CO_CHECK(co_await job.work.transfer->begin_output(deadline));
    std::uint64_t bytes = 0;
    for (;;) {
        FG_CO_TRY(piece, co_await input->read());
        if (piece.empty()) {
            break;
        }
        bytes += piece.size();
        FG_CO_CHECK(co_await job.work.transfer->append(std::move(piece), deadline));
        if (bytes > (6U << 20U) && job.manifest_id == "half") {
            co_return fail(Errc::kInternal, "broken");
        }
        if (bytes > (6U << 20U) && job.manifest_id == "stuck") {
            co_await sleep_until(clock_, deadline.at);
        }
    }
    FG_CO_CHECK(co_await job.work.transfer->end_output(deadline));
    api::JobOutput out;
    out.output.artifacts.emplace_back();
    co_return out;
}

Task<Result<api::JobOutput>> FakeService::run_on_worker(api::Job job, Deadline deadline) {
    const std::int64_t id = next_task_++;
    auto pending = std::make_shared<Pending>();
    pending->early = job.early;
    pending->progress = job.progress;
    pending_[id] = pending;
    api::WorkerTask task;
    task.id = {id};
    task.work = std::move(job.work);
    if (!tasks.try_send(std::move(task))) {
        co_return fail(Errc::kCapacity, "no transcoders available");
    }
    struct Wait {
        static Task<Result<bool>> for_result(std::shared_ptr<Pending> waiting) {
            co_await waiting->done.wait();
            co_return true;
        }
    };
    Task<Result<bool>> waiting = Wait::for_result(pending);
    const auto done = co_await with_deadline<bool>(clock_, deadline, std::move(waiting));
    pending_.erase(id);
    if (!done) {
        co_return fail(done.error());
    }
    FG_CO_TRY(output, std::move(*pending->outcome));
    api::JobOutput out;
    out.output = std::move(output);
    co_return out;
}

Task<Result<void>> FakeService::end_session(api::AuthToken token_value, Deadline) {
    if (token_value.token != token().token) {
        co_return fail(Errc::kForbidden, "Invalid auth token");
    }
    ended_sessions.push_back(token_value.session_id);
    co_return Result<void>{};
}

Task<Result<std::unique_ptr<api::TaskStream>>> FakeService::register_worker(
    api::Registration registration, Deadline
) {
    last_registration = registration;
    if (registration.secret != kSecret) {
        co_return fail(Errc::kUnauthorized, "invalid secret");
    }
    if (registration.capacity <= 0) {
        co_return fail(Errc::kInvalidArgument, "zero capacity");
    }
    co_return std::make_unique<Stream>(*this);
}

Task<Result<Blob>> FakeService::fetch_input(std::string, Deadline) {
    co_return fail(Errc::kNotFound, "not here");
}

Task<Result<void>> FakeService::submit(api::TaskReport report, Deadline) {
    if (report.secret != kSecret) {
        ++refused_results;
        co_return fail(Errc::kUnauthorized, "wrong secret");
    }
    const auto found = pending_.find(report.id.value);
    if (found != pending_.end()) {
        for (const std::size_t index : report.delivered) {
            if (!report.outcome.value().artifacts.at(index).bytes.empty()) {
                co_return fail(Errc::kProtocol, "a rendition was sent twice");
            }
            report.outcome->artifacts[index] = found->second->delivered.at(index);
        }
        found->second->outcome = std::move(report.outcome);
        found->second->done.fire();
    }
    co_return Result<void>{};
}

Task<Result<void>> FakeService::submit_early(api::EarlyReport report, Deadline) {
    if (report.secret != kSecret) {
        co_return fail(Errc::kUnauthorized, "wrong secret");
    }
    const auto found = pending_.find(report.id.value);
    if (found == pending_.end() || !found->second->early) {
        co_return fail(Errc::kNotFound, "nobody waits for this task");
    }
    found->second->early(report.index, report.artifact);
    found->second->delivered.emplace(report.index, std::move(report.artifact));
    co_return Result<void>{};
}

Task<Result<void>> FakeService::submit_progress(api::ProgressReport report, Deadline) {
    if (report.secret != kSecret) {
        co_return fail(Errc::kUnauthorized, "wrong secret");
    }
    const auto found = pending_.find(report.id.value);
    if (found == pending_.end()) {
        co_return fail(Errc::kNotFound, "nobody waits for this task");
    }
    if (found->second->progress) {
        found->second->progress(report.progress);
    }
    co_return Result<void>{};
}

Bytes FakeService::sign_ping(BytesView value) {
    return signs ? Bytes{static_cast<std::uint8_t>(value.size()), 0x51} : Bytes{};
}

Bytes FakeService::sign_result(const std::vector<crypto::Hash32>& rendition_hashes) {
    ++signed_results;
    return Bytes(rendition_hashes.size(), 1);
}

std::string FakeService::store(const std::string& session_id, const std::string& name, Blob bytes) {
    std::string path = "/stream/" + session_id + "/" + name;
    files_[path] = std::move(bytes);
    return path;
}

std::optional<Blob> FakeService::stored(std::string_view path) {
    const auto found = files_.find(path);
    return found == files_.end() ? std::nullopt : std::optional(found->second);
}

api::Job transcode_job(const std::string& manifest_id, Blob input, int profiles) {
    api::Job job;
    job.manifest_id = manifest_id;
    job.seq = 3;
    job.token = FakeService::token();
    job.work.session_id = kSession;
    job.work.input = std::move(input);
    api::TranscodeWork work;
    for (int i = 0; i < profiles; ++i) {
        media::VideoProfile profile;
        profile.name = "p" + std::to_string(i);
        profile.width = 640;
        profile.height = 360;
        work.profiles.push_back(profile);
    }
    job.work.kind = std::move(work);
    job.needs = job::default_capabilities();
    return job;
}

api::Job ai_job(const std::string& pipeline, const std::string& manifest_id, Blob input) {
    api::Job job;
    job.manifest_id = manifest_id;
    job.token = FakeService::token();
    job.work.session_id = kSession;
    job.work.input = std::move(input);
    job.work.input_content_type = "image/png";
    job.work.kind = api::AiWork{pipeline, "framegrid/sr-2x", R"({"seed":5})"};
    return job;
}

}  // namespace framegrid::tests
