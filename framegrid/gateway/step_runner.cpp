#include <framegrid/gateway/step_runner.hpp>

#include <algorithm>
#include <limits>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>
#include <framegrid/gateway/ai_request.hpp>
#include <framegrid/gateway/video_transcode.hpp>
#include <framegrid/gateway/work_units.hpp>
#include <framegrid/job/input_files.hpp>
#include <framegrid/media/file_types.hpp>
#include <framegrid/media/sniff.hpp>

namespace framegrid::gateway {

namespace {

namespace json = boost::json;
using workflow::Kind;

// The factor in an upscaler's name ("sr-2x", "x4plus"); the worst that is usual where there is none.
int scale_of(std::string_view model) {
    for (std::size_t at = 0; at < model.size(); ++at) {
        const char digit = model[at];
        if (digit != '2' && digit != '3' && digit != '4' && digit != '8') {
            continue;
        }
        const bool before = at > 0 && model[at - 1] == 'x';
        const bool after = at + 1 < model.size() && model[at + 1] == 'x';
        if (before || after) {
            return digit - '0';
        }
    }
    return 4;
}

// The price that an item may meet, so that it costs no more than was reserved for it.
Price price_limit(const workflow::Start& start) {
    const Pixels units = workflow::payable_units(start.work);
    Price limit{start.wei_max, std::max<std::int64_t>(units.value, 1)};
    return start.max_price ? std::min(limit, *start.max_price) : limit;
}

std::string file_name(const workflow::Start& start, std::size_t index, std::string_view content_type) {
    std::string name = start.id.step;
    if (start.id.item > 0) {
        name += "-" + std::to_string(start.id.item);
    }
    if (index > 0) {
        name += "-" + std::to_string(index);
    }
    return name + std::string(media::extension_of(content_type));
}

std::string type_of(const api::Artifact& artifact) {
    if (const auto known = media::recognise(artifact.bytes.view())) {
        return std::string(*known);
    }
    return artifact.content_type.empty() ? "application/octet-stream" : artifact.content_type;
}

}  // namespace

Task<Result<JobResult>> run_patiently(
    const WorkPorts& ports, const WorkSettings& settings, JobRequest request, Deadline deadline
) {
    Duration wait = settings.wait_first;
    for (;;) {
        auto result = co_await ports.gateway.run(request, deadline);
        const bool later =
            !result && (result.error().code == Errc::kCapacity || result.error().code == Errc::kUnavailable);
        if (!later || ports.clock.now() + wait >= deadline.at) {
            co_return result;
        }
        co_await sleep_for(ports.clock, wait);
        wait = std::min(wait * 2, settings.wait_max);
    }
}

Task<Result<CheckedResult>> run_checked(
    const WorkPorts& ports, const WorkSettings& settings, const StepOwner& owner, const StepEvents& events,
    JobRequest request, std::optional<Pixels> units, VerificationStats& checked, Deadline deadline
) {
    const bool twice = owner.verification.repeats();
    const auto both = request.price_max;
    if (twice && both) {
        request.price_max = half_of(*both);
    }
    auto done = co_await run_patiently(ports, settings, request, deadline);
    if (!done) {
        co_return fail(std::move(done.error()));
    }
    const Pixels counted = units.value_or(Pixels{units_of(request, done->output)});
    CheckedResult out{std::move(*done), 0};
    out.wei = cost_of(out.result, counted).value_or(std::numeric_limits<std::int64_t>::max());
    if (!twice) {
        co_return out;
    }
    const auto first = co_await run_of(ports.pool, out.result, out.wei);
    auto again = repeat_of(std::move(request), first.facts, std::nullopt);
    const RepeatedRun repeated(ports, settings);
    const auto verified = co_await repeated.run(owner.job_id, std::move(again), units, first, deadline);
    checked.count(verified.outcome);
    if (events.verified) {
        events.verified(verified);
    }
    if (verified.outcome == Outcome::kDisagreed && owner.verification.on_mismatch == job::OnMismatch::kFail) {
        co_return fail(mismatch_error(verified));
    }
    const std::int64_t room = std::numeric_limits<std::int64_t>::max() - out.wei;
    out.wei += std::min(room, verified.second.wei);
    co_return out;
}

StepRunner::StepRunner(const WorkPorts& ports, const WorkSettings& settings)
    : ports_(ports),
      settings_(settings),
      loader_(ports_, settings_),
      files_(
          ports_.objects, ports_.artifacts, ports_.clock, ports_.random, settings_.artifact_life,
          settings_.store_time_max
      ) {}

std::optional<workflow::Offer> StepRunner::offer(
    std::string_view pipeline, const std::string& model, const job::Constraints& constraints
) const {
    JobRequest request;
    if (const auto* spec = job::find_pipeline(pipeline)) {
        request = make_ai_request(*spec, model);
    } else {
        request.needs = job::transcode_needs({}, job::SourceCodec::kH264, false);
        request.work.kind = api::TranscodeWork{};
    }
    request.constraints = constraints;
    const auto found = ports_.gateway.offer(request);
    if (!found) {
        return std::nullopt;
    }
    // The digest is looked at when a kept result is found: this one may be older than the quote.
    return workflow::Offer{found->price, {}, scale_of(model)};
}

std::string StepRunner::model_digest(const workflow::Work& work) const {
    if (work.action->pipeline == nullptr) {
        return {};
    }
    const auto found = ports_.gateway.offer(make_ai_request(*work.action->pipeline, work.model));
    return found ? found->model_digest : std::string();
}

Task<Result<StepFile>> StepRunner::keep_as(
    StepOwner owner, Kind kind, std::string name, Blob bytes, Deadline deadline
) const {
    StepFile out;
    out.about.kind = kind;
    if (kind == Kind::kImage) {
        FG_CO_TRY(size, job::check_picture(bytes, settings_.image_pixels_max, ""));
        out.about.width = size.width;
        out.about.height = size.height;
    } else if (kind == Kind::kVideo) {
        auto found = co_await ports_.probe.probe(bytes, deadline);
        if (!found) {
            co_return fail(std::move(found.error()));
        }
        out.about.width = found->size.width;
        out.about.height = found->size.height;
        out.about.duration_ms = found->duration_ms;
        out.about.frames = found->frames;
    }
    job::ArtifactRecord about;
    about.owner = std::move(owner.owner);
    about.job_id = std::move(owner.job_id);
    about.name = std::move(name);
    if (!media::recognise(bytes.view())) {
        about.content_type = std::string(media::content_type_of(about.name));
    }
    auto kept = co_await files_.keep(std::move(about), std::move(bytes));
    if (!kept) {
        co_return fail(std::move(kept.error()).with_context("the result could not be stored"));
    }
    out.about.digest = std::move(kept->digest);
    out.about.bytes = kept->bytes;
    out.about.content_type = std::move(kept->content_type);
    out.id = std::move(kept->id);
    out.name = std::move(kept->name);
    co_return out;
}

Task<Result<StepFile>> StepRunner::keep_media(
    StepOwner owner, std::string name, Blob bytes, Deadline deadline
) const {
    const bool picture = media::still_format(bytes.view()).has_value();
    if (!picture && !media::looks_like_video(bytes.view())) {
        co_return fail(Errc::kUnprocessable, "neither a picture nor a video");
    }
    const Kind kind = picture ? Kind::kImage : Kind::kVideo;
    co_return co_await keep_as(std::move(owner), kind, std::move(name), std::move(bytes), deadline);
}

Task<Result<StepResult>> StepRunner::run(
    StepOwner owner, workflow::Start start, StepEvents events, Deadline deadline
) const {
    if (start.work.action->local) {
        co_return co_await run_local(std::move(owner), std::move(start), deadline);
    }
    if (start.work.action->pipeline == nullptr) {
        co_return co_await run_transcode(std::move(owner), std::move(start), std::move(events), deadline);
    }
    co_return co_await run_ai(std::move(owner), std::move(start), std::move(events), deadline);
}

Task<Result<StepResult>> StepRunner::run_ai(
    StepOwner owner, workflow::Start start, StepEvents events, Deadline deadline
) const {
    std::map<std::string, Blob> files;
    for (const auto& input : start.work.inputs) {
        auto file = co_await loader_.object(input.files.front().digest, deadline);
        if (!file) {
            co_return fail(std::move(file.error()));
        }
        files.emplace(input.name, std::move(*file));
    }
    auto job = make_ai_job(
        *start.work.action->pipeline, start.work.model, start.work.parameters.to_json(), std::move(files),
        settings_.image_pixels_max
    );
    if (!job) {
        co_return fail(std::move(job.error()));
    }
    job->request.work.priority = static_cast<api::Priority>(start.priority);
    job->request.work.trace = owner.trace;
    job->request.price_max = price_limit(start);
    job->request.owner = owner.owner;
    job->request.constraints = owner.constraints;
    job->request.progress = events.progress;
    job->request.attempt = events.node;
    job->request.refused = events.refused;
    job->request.paying = events.paying;
    StepResult out;
    auto done = co_await run_checked(
        ports_, settings_, owner, events, std::move(job->request), workflow::payable_units(start.work),
        out.checked, deadline
    );
    if (!done) {
        co_return fail(std::move(done.error()));
    }
    auto& result = done->result;
    out.orchestrator = std::move(result.orchestrator);
    out.attempts = result.attempts;
    out.model_digest = result.output.ai ? valid_utf8(result.output.ai->model_digest) : "";
    out.wei = std::min(done->wei, start.wei_max);
    for (auto& artifact : result.output.artifacts) {
        const auto name = file_name(start, out.files.size(), type_of(artifact));
        auto kept = co_await keep_media(owner, name, std::move(artifact.bytes), deadline);
        if (!kept) {
            co_return fail(std::move(kept.error()));
        }
        out.files.push_back(std::move(*kept));
    }
    co_return out;
}

Task<Result<StepResult>> StepRunner::run_transcode(
    StepOwner owner, workflow::Start start, StepEvents events, Deadline deadline
) const {
    auto video = co_await loader_.object(start.work.inputs.front().files.front().digest, deadline);
    if (!video) {
        co_return fail(std::move(video.error()));
    }
    VideoTranscode transcode(ports_, settings_, std::move(events));
    auto done = co_await transcode.run(
        owner, std::move(*video), start.work.parameters.text("profiles"), price_limit(start), deadline
    );
    if (!done) {
        co_return fail(std::move(done.error()));
    }
    StepResult out;
    out.orchestrator = std::move(done->orchestrator);
    out.wei = std::min(done->wei, start.wei_max);
    out.checked = done->checked;
    for (auto& rendition : done->renditions) {
        const auto name = rendition.name + std::string(media::extension_of(type_of(rendition)));
        auto kept = co_await keep_media(owner, name, std::move(rendition.bytes), deadline);
        if (!kept) {
            co_return fail(std::move(kept.error()));
        }
        out.files.push_back(std::move(*kept));
    }
    co_return out;
}

Task<Result<StepResult>> StepRunner::run_local(StepOwner owner, workflow::Start start, Deadline deadline)
    const {
    const workflow::Action& action = *start.work.action;
    api::MediaOperation operation{action.name, start.work.parameters.to_json(), {}};
    std::size_t bytes = 0;
    for (const auto& input : start.work.inputs) {
        for (const auto& about : input.files) {
            auto file = co_await loader_.object(about.digest, deadline);
            if (!file) {
                co_return fail(std::move(file.error()));
            }
            bytes += file->size();
            if (bytes > settings_.input_bytes_max) {
                co_return fail(
                    Errc::kTooLarge, "the files of " + action.name + " are over " +
                                         std::to_string(settings_.input_bytes_max) + " bytes together"
                );
            }
            operation.files.push_back({input.name, std::move(*file)});
        }
    }
    auto done = co_await ports_.operations.run(std::move(operation), deadline);
    if (!done) {
        co_return fail(std::move(done.error()));
    }
    if (action.gives == Kind::kPlaylist) {
        co_return co_await keep_folder(std::move(owner), std::move(*done));
    }
    StepResult out;
    for (auto& artifact : *done) {
        const auto name = file_name(start, out.files.size(), type_of(artifact));
        auto kept = co_await keep_as(owner, action.gives, name, std::move(artifact.bytes), deadline);
        if (!kept) {
            co_return fail(std::move(kept.error()));
        }
        out.files.push_back(std::move(*kept));
    }
    co_return out;
}

// Each file by itself, and their list: a player that is given the list's address finds the others below it.
Task<Result<StepResult>> StepRunner::keep_folder(StepOwner owner, std::vector<api::Artifact> files) const {
    json::array list;
    for (auto& file : files) {
        job::ArtifactRecord about;
        about.owner = owner.owner;
        about.job_id = owner.job_id;
        about.name = file.name.substr(file.name.rfind('/') + 1);
        about.content_type = std::string(media::content_type_of(file.name));
        const auto kept = co_await files_.keep(std::move(about), std::move(file.bytes));
        if (!kept) {
            co_return fail(kept.error());
        }
        list.push_back(json::object{
            {"path", file.name},
            {"artifact", kept->id},
            {"bytes", kept->bytes},
            {"content_type", kept->content_type},
            {"sha256", kept->digest}
        });
    }
    job::ArtifactRecord about;
    about.owner = std::move(owner.owner);
    about.job_id = std::move(owner.job_id);
    about.name = "folder.json";
    about.content_type = std::string(job::kFolderType);
    const std::string text = json::serialize(json::object{{"files", std::move(list)}});
    const auto kept = co_await files_.keep(std::move(about), Blob::copy_of(text));
    if (!kept) {
        co_return fail(kept.error());
    }
    StepFile folder;
    folder.about.kind = Kind::kPlaylist;
    folder.about.digest = kept->digest;
    folder.about.bytes = kept->bytes;
    folder.about.content_type = kept->content_type;
    folder.id = kept->id;
    folder.name = kept->name;
    StepResult out;
    out.files.push_back(std::move(folder));
    co_return out;
}

}  // namespace framegrid::gateway
