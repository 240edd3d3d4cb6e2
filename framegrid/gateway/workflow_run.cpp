#include <framegrid/gateway/workflow_run.hpp>

#include <algorithm>
#include <limits>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/gateway/candidates.hpp>
#include <framegrid/job/record.hpp>

namespace framegrid::gateway {

namespace {

namespace json = boost::json;

json::object output_json(const std::string& name, std::size_t index, const StepFile& file) {
    json::object out{
        {"output", name},
        {"index", index},
        {"artifact", file.id},
        {"name", file.name},
        {"content_type", file.about.content_type},
        {"bytes", file.about.bytes},
        {"sha256", file.about.digest}
    };
    if (file.about.width > 0) {
        out["width"] = file.about.width;
        out["height"] = file.about.height;
    }
    if (file.about.kind == workflow::Kind::kVideo) {
        out["duration_ms"] = file.about.duration_ms;
        out["frames"] = file.about.frames;
    }
    return out;
}

}  // namespace

WorkflowRun::WorkflowRun(
    Executor executor, const WorkPorts& ports, const WorkSettings& settings, const StepRunner& runner,
    const KeptResults& results, WorkflowJob job
)
    : ports_(ports),
      runner_(runner),
      results_(results),
      run_(std::move(job.run)),
      owner_(std::move(job.owner)),
      tell_(std::move(job.tell)),
      // Those that are over leave a moment after the Run has heard of it.
      group_(
          std::move(executor), settings.items_max + static_cast<std::size_t>(workflow::kItemsMax), ports.log
      ) {
    for (auto& file : job.files) {
        files_.insert_or_assign(file.about.digest, std::move(file));
    }
}

Task<Result<std::string>> WorkflowRun::to_end(int priority, Deadline deadline) {
    priority_ = priority;
    deadline_ = deadline;
    co_return co_await with_group<std::string>(group_, follow());
}

Task<Result<std::string>> WorkflowRun::follow() {
    obey(run_.begin());
    while (!end_) {
        while (!events_.empty() && !end_) {
            const workflow::Event event = std::move(events_.front());
            events_.pop_front();
            obey(run_.on(event));
            tell_progress();
        }
        if (!end_ && !co_await something_came_.wait_until(ports_.clock, deadline_.at)) {
            co_return fail(Errc::kDeadline, "the deadline passed before the workflow was done");
        }
    }
    if (!*end_) {
        co_return fail(std::move(end_->error()));
    }
    co_return co_await finish(std::move(**end_));
}

void WorkflowRun::obey(std::vector<workflow::Command> commands) {
    for (auto& command : commands) {
        if (auto* begin = std::get_if<workflow::Start>(&command)) {
            start(std::move(*begin));
        } else if (const auto* stop = std::get_if<workflow::Stop>(&command)) {
            const auto item = items_.find(stop->id);
            if (item != items_.end() && item->second.attempt == stop->attempt) {
                item->second.canceller->cancel();
            }
        } else if (auto* finished = std::get_if<workflow::Finish>(&command)) {
            end_.emplace(std::move(*finished));
        } else {
            end_.emplace(fail(std::move(std::get<workflow::Fail>(command).error)));
        }
    }
}

void WorkflowRun::start(workflow::Start start) {
    auto canceller = std::make_shared<Canceller>();
    items_[start.id] = {start.attempt, canceller, {}};
    const workflow::ItemId id = start.id;
    const int attempt = start.attempt;
    if (!group_.spawn(run_item(std::move(start), std::move(canceller)))) {
        post(workflow::ItemFailed{id, attempt, make_error(Errc::kInternal, "too many items at once")});
    }
}

void WorkflowRun::post(workflow::Event event) {
    events_.push_back(std::move(event));
    something_came_.notify_all();
}

Task<void> WorkflowRun::run_item(workflow::Start start, std::shared_ptr<Canceller> canceller) {
    const workflow::ItemId id = start.id;
    const int attempt = start.attempt;
    auto result = co_await canceller->run<bool>(do_item(std::move(start)));
    const auto item = items_.find(id);
    if (item != items_.end() && item->second.attempt == attempt) {
        items_.erase(item);
    }
    if (!result && !canceller->cancelled()) {
        StepResult failed;
        failed.attempts = attempt;
        tell_item(id, "failed", &failed);
        post(workflow::ItemFailed{id, attempt, std::move(result.error())});
    }
}

StepEvents WorkflowRun::events_of(const workflow::Start& start) {
    StepEvents out;
    const workflow::ItemId id = start.id;
    out.paying = [this, id, key = start.key](Wei fee) { return note_paid(id, key, std::move(fee)); };
    out.node = [this, id](const std::string& orchestrator, int attempt) {
        tell_(
            "node",
            json::serialize(json::object{
                {"step", id.step},
                {"item", id.item},
                {"orchestrator", valid_utf8(orchestrator)},
                {"attempt", attempt}
            }),
            {}
        );
    };
    out.refused = [this, id](const market::Explanation& why) {
        auto data = candidates_json(why);
        data["step"] = id.step;
        data["item"] = id.item;
        tell_("candidates", json::serialize(data), {});
    };
    out.verified = [this, id](const Verified& verified) {
        auto data = verified_json(verified);
        data["step"] = id.step;
        data["item"] = id.item;
        tell_("verification", json::serialize(data), {});
    };
    out.progress = [this, id](const api::Progress& progress) {
        tell_(
            "progress",
            json::serialize(json::object{
                {"step", id.step}, {"item", id.item}, {"done", progress.done}, {"total", progress.total}
            }),
            progress.preview
        );
    };
    return out;
}

// Before it leaves: a process that takes the job up again bills what this one has paid for nothing.
Task<Result<void>> WorkflowRun::note_paid(workflow::ItemId id, std::string key, Wei fee) {
    const auto item = items_.find(id);
    if (item == items_.end()) {
        co_return Result<void>{};
    }
    auto& paid = item->second.paid;
    const std::int64_t room = std::numeric_limits<std::int64_t>::max() - paid.wei;
    paid.wei += fee < room ? static_cast<std::int64_t>(fee) : room;
    co_return co_await results_.keep_paid(owner_, std::move(key), paid);
}

Task<Result<StepResult>> WorkflowRun::do_work(workflow::Start start) {
    PaidWork before;
    if (start.wei_max > 0) {
        FG_CO_TRY(found, co_await results_.find_paid(owner_, start.key));
        before.lost_wei = std::min(found.lost_wei, start.wei_max);
        before.lost_wei += std::min(found.wei, start.wei_max);
        items_[start.id].paid = before;
    }
    const Deadline soon = deadline_.at_most(ports_.clock, std::chrono::milliseconds(start.deadline_ms));
    auto result = co_await with_deadline<StepResult>(
        ports_.clock, soon, runner_.run(owner_, start, events_of(start), soon)
    );
    if (result) {
        result->lost_wei = before.lost_wei;
    } else if (const auto item = items_.find(start.id); item != items_.end() && item->second.paid.wei > 0) {
        // It has failed here, not with this process: that is not billed.
        FG_CO_CHECK(co_await results_.keep_paid(owner_, start.key, before));
    }
    co_return result;
}

// What nobody has checked is no result of work that is to be checked.
std::string WorkflowRun::kept_key(const workflow::Start& start) const {
    const bool checked = owner_.verification.repeats() && !start.work.action->local;
    return checked ? crypto::hex(crypto::sha256(as_bytes("framegrid verified/" + start.key))) : start.key;
}

Task<Result<bool>> WorkflowRun::do_item(workflow::Start start) {
    const std::string key = kept_key(start);
    auto found = co_await results_.find(owner_, key, runner_.model_digest(start.work));
    if (!found) {
        co_return fail(std::move(found.error()));
    }
    if (*found && ((*found)->own || (*found)->result.checked.all_agreed())) {
        const auto how = (*found)->own ? "kept" : "cached";
        done(start, (*found)->result, how);
        co_return true;
    }
    start.priority = std::clamp(start.priority + priority_, -1, 1);
    auto result = co_await do_work(start);
    if (!result) {
        co_return fail(std::move(result.error()));
    }
    // Before anybody hears of it: what was paid for is not paid for again after a crash.
    FG_CO_CHECK(co_await results_.keep(owner_, key, *result));
    done(start, *result, "done");
    co_return true;
}

void WorkflowRun::done(const workflow::Start& start, const StepResult& result, std::string_view how) {
    const bool cached = how == "cached";
    workflow::ItemDone event{start.id, start.attempt, {}, result.wei, cached, cached ? 0 : result.lost_wei};
    for (const auto& file : result.files) {
        event.files.push_back(file.about);
        files_.insert_or_assign(file.about.digest, file);
    }
    if (cached) {
        ++cached_[start.id.step];
    }
    checked_ += result.checked;
    tell_item(start.id, how, &result);
    post(std::move(event));
}

void WorkflowRun::tell_item(const workflow::ItemId& id, std::string_view state, const StepResult* result) {
    json::object data{{"step", id.step}, {"item", id.item}, {"state", state}};
    if (state == "done") {
        data["wei"] = std::to_string(result->wei);
        if (!result->orchestrator.empty()) {
            data["orchestrator"] = valid_utf8(result->orchestrator);
        }
    } else if (state == "failed") {
        data["attempt"] = result->attempts;
    }
    tell_("step", json::serialize(data), {});
}

void WorkflowRun::tell_progress() {
    json::array steps;
    for (const auto& step : run_.progress()) {
        steps.push_back(json::object{
            {"step", step.step},
            {"waiting", step.waiting},
            {"running", step.running},
            {"done", step.done},
            {"skipped", step.skipped},
            {"complete", step.complete}
        });
    }
    tell_(
        "progress",
        json::serialize(json::object{
            {"steps", std::move(steps)},
            {"wei", std::to_string(run_.wei())},
            {"quote_wei", std::to_string(run_.quote().wei)}
        }),
        {}
    );
}

void WorkflowRun::tell_verification() const {
    auto data = job::verification_json(owner_.verification);
    data["outcome"] = to_string(
        checked_.disagreed > 0                             ? Outcome::kDisagreed
        : checked_.unavailable > 0 || checked_.agreed == 0 ? Outcome::kUnavailable
                                                           : Outcome::kAgreed
    );
    data["agreed"] = checked_.agreed;
    data["disagreed"] = checked_.disagreed;
    data["unavailable"] = checked_.unavailable;
    tell_("verification", json::serialize(data), {});
}

// An input that is passed through has no record of this job yet, when the job was taken up again.
Task<Result<StepFile>> WorkflowRun::file_for(workflow::Artifact about) {
    const auto known = files_.find(about.digest);
    if (known != files_.end()) {
        co_return known->second;
    }
    auto bytes = co_await ports_.objects.stat(about.digest, deadline_);
    if (!bytes) {
        co_return fail(std::move(bytes.error()));
    }
    job::ArtifactRecord record;
    record.owner = owner_.owner;
    record.job_id = owner_.job_id;
    record.content_type = about.content_type;
    auto kept = co_await runner_.files().add_record(std::move(record), std::move(*bytes), {});
    if (!kept) {
        co_return fail(std::move(kept.error()));
    }
    co_return StepFile{std::move(about), std::move(kept->id), std::move(kept->name)};
}

Task<Result<std::string>> WorkflowRun::finish(workflow::Finish finish) {
    json::array outputs;
    for (const auto& [name, value] : finish.outputs) {
        std::vector<workflow::Artifact> all;
        if (const auto* one = std::get_if<workflow::Artifact>(&value)) {
            all.push_back(*one);
        } else if (const auto* many = std::get_if<std::vector<workflow::Artifact>>(&value)) {
            all = *many;
        }
        for (std::size_t i = 0; i < all.size(); ++i) {
            const auto file = co_await file_for(all[i]);
            if (!file) {
                co_return fail(file.error());
            }
            outputs.push_back(output_json(name, i, *file));
        }
    }
    json::array steps;
    for (const auto& step : run_.progress()) {
        const auto cached = cached_.find(step.step);
        steps.push_back(json::object{
            {"step", step.step},
            {"done", step.done},
            {"skipped", step.skipped},
            {"cached", cached == cached_.end() ? 0 : cached->second},
            {"wei", std::to_string(step.wei)}
        });
    }
    if (owner_.verification.repeats()) {
        tell_verification();
    }
    json::object run{
        {"workflow", run_.workflow().name},
        {"seed", run_.seed()},
        {"wei", std::to_string(finish.wei)},
        {"quote_wei", std::to_string(run_.quote().wei)},
        {"steps", std::move(steps)}
    };
    co_return json::serialize(json::object{{"outputs", std::move(outputs)}, {"run", std::move(run)}});
}

}  // namespace framegrid::gateway
