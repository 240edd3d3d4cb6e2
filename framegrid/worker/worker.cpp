#include <framegrid/worker/worker.hpp>

#include <framegrid/api/early_artifacts.hpp>
#include <framegrid/base/counted.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::worker {

namespace {

constexpr Duration kDrainTick = std::chrono::milliseconds(20);
constexpr std::size_t kTasksPerSlot = 2;
constexpr std::size_t kRefusalsMax = 16;  // under way at once

class Role final : public Worker {
  public:
    Role(Ports ports, Settings settings) : ports_(std::move(ports)), settings_(std::move(settings)) {}

    Task<Result<void>> run() override;
    Task<void> drain(TimePoint until) override;
    Stats stats() const override { return stats_; }

  private:
    Task<Result<bool>> serve(api::WorkerKind kind);
    Task<Result<bool>> register_again_and_again(api::WorkerKind kind, TaskGroup& lasting);
    Task<Result<bool>> serve_once(std::string uri, api::WorkerKind kind, TaskGroup& lasting);
    std::size_t capacity_of(api::WorkerKind kind) const {
        return static_cast<std::size_t>(
            kind == api::WorkerKind::kAi ? settings_.ai_capacity : settings_.transcode_capacity
        );
    }
    Task<Result<bool>> take_tasks(
        std::shared_ptr<api::WorkerHost> host, api::TaskStream& stream, TaskGroup& tasks,
        api::WorkerKind kind, std::size_t capacity
    );
    Task<void> refuse(std::shared_ptr<api::WorkerHost> host, api::TaskReport report);
    Task<void> handle(std::shared_ptr<api::WorkerHost> host, api::WorkerTask task, api::WorkerKind kind);
    Task<Result<api::WorkOutput>> perform(
        std::shared_ptr<api::WorkerHost> host, api::WorkerTask task, api::TaskReport& report
    );
    Task<Result<api::WorkOutput>> run_work(
        std::shared_ptr<api::WorkerHost> host, api::Work work, TaskGroup& uploads, api::TaskReport& report
    );
    struct AiTask;
    Task<Result<api::WorkOutput>> run_reporting(
        std::shared_ptr<api::WorkerHost> host, api::Work work, TaskId id, AiTask& task
    );
    Task<void> run_ai(api::Work work, AiTask& task);
    Task<void> report_progress(std::shared_ptr<api::WorkerHost> host, TaskId id, AiTask& task);
    Task<void> deliver_early(
        std::shared_ptr<api::WorkerHost> host, api::EarlyReport early, api::TaskReport& report
    );
    Deadline work_deadline(const api::Work& work) const;
    Task<void> deliver(std::shared_ptr<api::WorkerHost> host, api::TaskReport report);
    api::TaskReport report_for(const api::WorkerTask& task, api::WorkerKind kind) const;
    api::Registration registration(api::WorkerKind kind) const;

    Ports ports_;
    Settings settings_;
    Stats stats_;
    std::size_t refusing_ = 0;
    bool draining_ = false;
};

bool is_final(const Error& error) {
    return error.code == Errc::kUnauthorized || error.code == Errc::kInvalidArgument;
}

api::Registration Role::registration(api::WorkerKind kind) const {
    api::Registration out;
    out.kind = kind;
    out.secret = settings_.secret;
    out.hardware = settings_.hardware;
    const bool ai = kind == api::WorkerKind::kAi;
    out.capacity = ai ? settings_.ai_capacity : settings_.transcode_capacity;
    out.capabilities = ai ? settings_.ai_capabilities : settings_.transcode_capabilities;
    return out;
}

Task<Result<void>> Role::run() {
    if (settings_.orchestrators.empty()) {
        co_return fail(Errc::kInvalidArgument, "no orchestrator to work for", "orchestrators");
    }
    std::vector<Task<Result<bool>>> services;
    if (settings_.transcode_capacity > 0) {
        services.push_back(serve(api::WorkerKind::kTranscoder));
    }
    if (settings_.ai_capacity > 0 && !settings_.ai_capabilities.constraints.empty()) {
        services.push_back(serve(api::WorkerKind::kAi));
    }
    if (services.empty()) {
        co_return fail(
            Errc::kInvalidArgument, "nothing to offer: no transcoding capacity and no models", "capacity"
        );
    }
    auto results = co_await all_of(std::move(services));
    for (auto& result : results) {
        if (!result) {
            co_return fail(std::move(result.error()));
        }
    }
    co_return Result<void>{};
}

Task<void> Role::drain(TimePoint until) {
    draining_ = true;
    while ((stats_.tasks_running > 0 || refusing_ > 0) && ports_.clock.now() < until) {
        co_await sleep_for(ports_.clock, kDrainTick);
    }
}

Task<Result<bool>> Role::serve(api::WorkerKind kind) {
    TaskGroup lasting(ports_.executor, capacity_of(kind) * kTasksPerSlot + kRefusalsMax, ports_.log);
    co_return co_await with_group<bool>(lasting, register_again_and_again(kind, lasting));
}

Task<Result<bool>> Role::register_again_and_again(api::WorkerKind kind, TaskGroup& lasting) {
    Duration pause = settings_.reconnect_min;
    for (std::size_t turn = 0;; ++turn) {
        const std::string uri = settings_.orchestrators[turn % settings_.orchestrators.size()];
        const TimePoint started = ports_.clock.now();
        auto ended = co_await serve_once(uri, kind, lasting);
        FG_ASSERT(!ended);
        if (is_final(ended.error())) {
            ports_.log.error("worker.refused", {{"orchestrator", uri}, {"error", ended.error().message}});
            co_return fail(std::move(ended.error()));
        }
        // A registration that stood for a while was a good one: come back quickly.
        const bool stood = ports_.clock.now() - started > settings_.reconnect_max;
        pause = stood ? settings_.reconnect_min : std::min(pause * 2, settings_.reconnect_max);
        const Duration jittered{static_cast<Duration::rep>(
            static_cast<double>(pause.count()) * (0.5 + ports_.random.unit() * 0.5)
        )};
        ports_.log.info(
            "worker.reconnecting",
            {{"orchestrator", uri}, {"why", ended.error().message}, {"in_ms", milliseconds(jittered)}}
        );
        co_await sleep_for(ports_.clock, jittered);
    }
}

// Never returns a value: a registration ends with the reason why.
Task<Result<bool>> Role::serve_once(std::string uri, api::WorkerKind kind, TaskGroup& lasting) {
    const auto host = ports_.host_at(uri);
    const Deadline deadline = Deadline::after(ports_.clock, settings_.register_time_max);
    const std::size_t capacity = capacity_of(kind);
    auto stream = co_await host->register_worker(registration(kind), deadline);
    if (!stream) {
        co_return fail(std::move(stream.error()));
    }
    ++stats_.registrations;
    const Counted counted(stats_.registered);
    ports_.log.info(
        "worker.registered", {{"orchestrator", uri},
                              {"kind", kind == api::WorkerKind::kAi ? "ai" : "transcoder"},
                              {"capacity", capacity}}
    );
    if (kind == api::WorkerKind::kAi) {
        // Orchestrators of the other make wait for the result all the same, ours say with the next report of
        // progress that they do not.
        co_return co_await take_tasks(host, **stream, lasting, kind, capacity);
    }
    // Transcoding ends with its registration: the orchestrator has already given it to somebody else.
    TaskGroup tasks(ports_.executor, capacity * kTasksPerSlot + kRefusalsMax, ports_.log);
    co_return co_await with_group<bool>(tasks, take_tasks(host, **stream, tasks, kind, capacity));
}

Task<Result<bool>> Role::take_tasks(
    std::shared_ptr<api::WorkerHost> host, api::TaskStream& stream, TaskGroup& tasks, api::WorkerKind kind,
    std::size_t capacity
) {
    // Tasks that the orchestrator has given up may still be running here, so it may send more than the
    // capacity.
    const std::size_t limit = capacity * kTasksPerSlot;
    for (;;) {
        auto task = co_await stream.next();
        if (!task) {
            co_return fail(std::move(task.error()));
        }
        if (task->session_ended) {
            ports_.work.end_session(*task->session_ended);
            continue;
        }
        if (!draining_ && tasks.size() < limit) {
            tasks.spawn(handle(host, std::move(*task), kind));
            continue;
        }
        ++stats_.tasks_refused;
        api::TaskReport report = report_for(*task, kind);
        report.outcome = fail(Errc::kCapacity, draining_ ? "the worker stops" : "the worker is full");
        tasks.spawn(refuse(host, std::move(report)));
    }
}

Task<void> Role::refuse(std::shared_ptr<api::WorkerHost> host, api::TaskReport report) {
    const Counted counted(refusing_);
    co_await deliver(std::move(host), std::move(report));
}

api::TaskReport Role::report_for(const api::WorkerTask& task, api::WorkerKind kind) const {
    api::TaskReport report;
    report.kind = kind;
    report.id = task.id;
    report.secret = settings_.secret;
    if (const auto* ai = std::get_if<api::AiWork>(&task.work.kind)) {
        report.pipeline = ai->pipeline;
    }
    return report;
}

Task<void> Role::handle(std::shared_ptr<api::WorkerHost> host, api::WorkerTask task, api::WorkerKind kind) {
    const Counted counted(stats_.tasks_running);
    api::TaskReport report = report_for(task, kind);
    Span span = ports_.tracer.start("worker.task", SpanKind::kConsumer, task.work.trace);
    span.set("framegrid.task", report.id.value);
    task.work.trace = span.context();
    const std::string trace = task.work.trace.trace_id;
    const std::string pipeline = api::pipeline_of(task.work);
    const TimePoint began = ports_.clock.now();
    report.outcome = co_await perform(host, std::move(task), report);
    const auto how = report.outcome ? "done" : to_string(report.outcome.error().code);
    stats_.tasks.add(pipeline, how, ports_.clock.now() - began);
    if (report.outcome) {
        ++stats_.tasks_done;
        ports_.log.debug("worker.task_done", {{"task", report.id.value}, {"trace", trace}});
    } else {
        span.fail(report.outcome.error());
        ++stats_.tasks_failed;
        ports_.log.warn(
            "worker.task_failed", {{"task", report.id.value},
                                   {"code", to_string(report.outcome.error().code)},
                                   {"error", report.outcome.error().message},
                                   {"trace", trace}}
        );
    }
    co_await deliver(std::move(host), std::move(report));
}

Deadline Role::work_deadline(const api::Work& work) const {
    Duration limit = settings_.ai_time_max;
    if (const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind)) {
        limit = std::max(
            settings_.transcode_time_min, Duration(4 * std::chrono::milliseconds(transcode->duration_ms))
        );
    }
    return Deadline::after(ports_.clock, limit);
}

// An AI task that runs beside the reports of its progress.
struct Role::AiTask {
    TaskGroup* group = nullptr;
    std::optional<Result<api::WorkOutput>> outcome;
    std::optional<api::Progress> newest;  // not reported yet
    bool unwanted = false;                // the orchestrator said so
    Notifier changed;
};

Task<Result<api::WorkOutput>> Role::perform(
    std::shared_ptr<api::WorkerHost> host, api::WorkerTask task, api::TaskReport& report
) {
    if (!task.input_url.empty()) {
        const Deadline deadline = Deadline::after(ports_.clock, settings_.fetch_time_max);
        auto input = co_await host->fetch_input(task.input_url, deadline);
        if (!input) {
            co_return fail(
                std::move(input.error()).with_context("fetch input").with_disposition(Disposition::kRetry)
            );
        }
        task.work.input = std::move(*input);
    }
    if (const auto* ai = std::get_if<api::AiWork>(&task.work.kind); ai != nullptr && ai->progress) {
        AiTask state;
        TaskGroup group(ports_.executor, 2, ports_.log);
        state.group = &group;
        co_return co_await with_group<api::WorkOutput>(
            group, run_reporting(std::move(host), std::move(task.work), report.id, state)
        );
    }
    const std::size_t early = api::early_count(task.work);
    if (early == 0) {
        const Deadline deadline = work_deadline(task.work);
        co_return co_await ports_.work.run(std::move(task.work), deadline, {});
    }
    TaskGroup uploads(ports_.executor, early, ports_.log);
    co_return co_await with_group<api::WorkOutput>(
        uploads, run_work(std::move(host), std::move(task.work), uploads, report)
    );
}

Task<Result<api::WorkOutput>> Role::run_reporting(
    std::shared_ptr<api::WorkerHost> host, api::Work work, TaskId id, AiTask& task
) {
    task.group->spawn(run_ai(std::move(work), task));
    task.group->spawn(report_progress(std::move(host), id, task));
    while (!task.outcome && !task.unwanted) {
        co_await task.changed.wait();
    }
    if (!task.outcome) {
        co_return fail(Errc::kCancelled, "nobody waits for the task any more");
    }
    co_return std::move(*task.outcome);
}

Task<void> Role::run_ai(api::Work work, AiTask& task) {
    const Deadline deadline = work_deadline(work);
    api::WorkEvents events;
    events.progress = [&task](const api::Progress& progress) {
        const auto preview =
            task.newest && progress.preview.empty() ? task.newest->preview : progress.preview;
        task.newest = progress;
        task.newest->preview = preview;
        task.changed.notify_all();
    };
    task.outcome.emplace(co_await ports_.work.run(std::move(work), deadline, std::move(events)));
    task.changed.notify_all();
}

Task<void> Role::report_progress(std::shared_ptr<api::WorkerHost> host, TaskId id, AiTask& task) {
    for (TimePoint next{};;) {
        while (!task.newest) {
            co_await task.changed.wait();
        }
        if (const TimePoint now = ports_.clock.now(); now < next && task.newest->preview.empty()) {
            co_await task.changed.wait_until(ports_.clock, next);
            continue;
        }
        api::ProgressReport report{id, settings_.secret, *std::exchange(task.newest, std::nullopt)};
        next = ports_.clock.now() + settings_.progress_period;
        const Deadline deadline = Deadline::after(ports_.clock, settings_.submit_progress_time_max);
        const auto told = co_await host->submit_progress(std::move(report), deadline);
        stats_.progress_reports += told ? 1 : 0;
        if (!told && told.error().code == Errc::kNotFound) {
            task.unwanted = true;
            task.changed.notify_all();
            co_return;
        }
    }
}

// Renditions are uploaded while the next ones are made.
Task<Result<api::WorkOutput>> Role::run_work(
    std::shared_ptr<api::WorkerHost> host, api::Work work, TaskGroup& uploads, api::TaskReport& report
) {
    const Deadline deadline = work_deadline(work);
    api::ArtifactSink early = [&, host](std::size_t index, const api::Artifact& artifact) {
        uploads.spawn(deliver_early(host, {report.id, settings_.secret, index, artifact}, report));
    };
    auto output = co_await ports_.work.run(std::move(work), deadline, {.artifact = std::move(early)});
    if (output) {
        co_await uploads.join();
    }
    co_return output;
}

Task<void> Role::deliver_early(
    std::shared_ptr<api::WorkerHost> host, api::EarlyReport early, api::TaskReport& report
) {
    const std::size_t index = early.index;
    const Deadline deadline = Deadline::after(ports_.clock, settings_.submit_early_time_max);
    const auto sent = co_await host->submit_early(std::move(early), deadline);
    if (sent) {
        ++stats_.renditions_early;
        report.delivered.push_back(index);
    } else {
        ports_.log.debug(
            "worker.early_rendition_lost", {{"task", report.id.value}, {"error", sent.error().message}}
        );
    }
}

Task<void> Role::deliver(std::shared_ptr<api::WorkerHost> host, api::TaskReport report) {
    Duration pause = settings_.reconnect_min;
    report.draining = draining_;
    const bool ai = report.kind == api::WorkerKind::kAi;
    for (int attempt = 1;; ++attempt) {
        const Deadline deadline = Deadline::after(ports_.clock, settings_.submit_time_max);
        auto sent = co_await host->submit(report, deadline);
        if (sent) {
            co_return;
        }
        const int attempts = ai && !draining_ ? settings_.ai_submit_attempts : settings_.submit_attempts;
        if (is_final(sent.error()) || attempt >= attempts) {
            ++stats_.reports_lost;
            ports_.log.warn(
                "worker.report_lost", {{"task", report.id.value}, {"error", sent.error().message}}
            );
            co_return;
        }
        co_await sleep_for(ports_.clock, pause);
        pause = std::min(pause * 2, settings_.reconnect_max);
    }
}

}  // namespace

std::unique_ptr<Worker> make_worker(Ports ports, Settings settings) {
    return std::make_unique<Role>(std::move(ports), std::move(settings));
}

void dump(MetricsWriter& out, const Stats& stats) {
    out.counter("framegrid_worker_tasks_total", stats.tasks_done, {{"result", "done"}});
    out.counter("framegrid_worker_tasks_total", stats.tasks_failed, {{"result", "failed"}});
    out.counter("framegrid_worker_tasks_total", stats.tasks_refused, {{"result", "refused"}});
    out.counter("framegrid_worker_renditions_early_total", stats.renditions_early);
    out.counter("framegrid_worker_progress_reports_total", stats.progress_reports);
    out.counter("framegrid_worker_registrations_total", stats.registrations);
    out.counter("framegrid_worker_reports_lost_total", stats.reports_lost);
    out.gauge("framegrid_worker_tasks_running", static_cast<double>(stats.tasks_running));
    out.gauge("framegrid_worker_registered", static_cast<double>(stats.registered));
    stats.tasks.dump(out, "framegrid_worker_task_seconds", "pipeline");
}

}  // namespace framegrid::worker
