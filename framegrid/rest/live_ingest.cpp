#include <framegrid/rest/live_ingest.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <framegrid/job/capabilities.hpp>

namespace framegrid::rest {

namespace {

constexpr std::size_t kBoundaryBytes = 10;  // 20 hex digits
constexpr int kSourceSideMax = 16'384;

// Audio without a picture: no orchestrator can add one (section 1.3).
bool is_audio_only(const api::ProbeResult& source) {
    return !source.audio_codec.empty() && (source.video_codec.empty() || source.pixel_format.empty());
}

// What the job itself is at fault for is 422 here, whatever the orchestrator called it (section 1.5); what
// another attempt may cure is 503 with the text that existing clients look for.
Answer job_error(Error error) {
    switch (error.code) {
        case Errc::kInvalidArgument:
        case Errc::kUnsupported:
        case Errc::kUnprocessable:
        case Errc::kTooLarge:
            return error_answer(error, 422);
        case Errc::kUnavailable:
        case Errc::kCapacity:
        case Errc::kDeadline:
            if (error.message.find("No sessions available") == std::string::npos) {
                error.message = "No sessions available: " + error.message;
            }
            return error_answer(error, 503);
        case Errc::kForbidden:
            return error_answer(error, 403);
        default:
            return error_answer(error, 500);
    }
}

// A body that did not arrive is 500 in existing gateways, except where a better status exists.
Answer body_error(const Error& error) {
    switch (error.code) {
        case Errc::kTooLarge:
            return error_answer(error, 413);
        case Errc::kCapacity:
            return error_answer(error, 503);
        case Errc::kDeadline:
            return error_answer(error, 408);
        default:
            return error_answer(error, 500);
    }
}

// A probe that broke off or had no time says nothing about the segment: the client may send it again.
Answer probe_error(Error error) {
    const bool is_input = default_disposition(error.code) == Disposition::kReject;
    return is_input ? error_answer(error, 422) : job_error(std::move(error));
}

}  // namespace

LiveIngest::LiveIngest(
    gateway::Gateway& gateway, api::MediaProbe& probe, StreamTable& streams, Clock& clock, Random& random,
    IngestSettings settings, Duration upload_time_max, Logger log
)
    : gateway_(gateway),
      probe_(probe),
      streams_(streams),
      clock_(clock),
      random_(random),
      settings_(settings),
      upload_time_max_(upload_time_max),
      log_(std::move(log)) {}

Task<Answer> LiveIngest::push(Call& call) {
    auto headers = parse_push_headers(call.headers());
    if (!headers) {
        co_return error_answer(headers.error());
    }
    auto target = parse_push_path(call.parameters.at(0));
    if (!target) {
        co_return error_answer(target.error());
    }
    const TimePoint began = clock_.now();
    auto segment = co_await read_body(
        call.exchange, call.memory, settings_.segment_bytes_max, clock_, Deadline{began + upload_time_max_}
    );
    if (!segment) {
        co_return body_error(segment.error());
    }
    call.bytes_in = segment->size();
    ++stats_.segments;
    auto source = co_await look_into(*segment);
    if (!source) {
        co_return probe_error(std::move(source.error()));
    }
    if (source->size.width <= 0 && headers->resolution) {
        source->size = *headers->resolution;  // for the playlists only
    }
    auto push = streams_.begin(*target, headers->config, *source, call.owner);
    if (!push) {
        co_return job_error(std::move(push.error()));
    }
    RenditionStream stream(call, push->profiles(), target->seq, random_.hex(kBoundaryBytes));
    Job job{*target,    *headers, *source,    std::move(*segment), *push,
            call.trace, nullptr,  call.owner, call.key_limits()};
    // Haste costs memory: pictures wait for the renditions that are made after the first.
    if (headers->wants_renditions && !headers->background && push->profiles().size() > 1) {
        job.stream = &stream;
    }
    auto done = co_await run_and_stream(call, std::move(job));
    if (!done) {
        co_return job_error(std::move(done.error()));
    }
    Answer answer;
    if (headers->wants_renditions && !done->parts.empty()) {
        answer = stream.rest(done->parts);
    }
    auto& fields = call.exchange.response.started() ? answer.trailers : answer.headers;
    fields.add("x-framegrid-attempts", std::to_string(done->attempts));
    if (!done->orchestrator.empty()) {
        fields.add("x-framegrid-orchestrator", done->orchestrator);
    }
    if (done->cost) {
        fields.add("x-framegrid-wei", done->cost->str());
    }
    co_return answer;
}

Task<Result<LiveIngest::Done>> LiveIngest::run_and_stream(Call& call, Job job) {
    const TimePoint began = clock_.now();
    RenditionStream* stream = job.stream;
    const PushTarget target = job.target;
    std::vector<Task<Result<Done>>> tasks;
    tasks.push_back(transcode(std::move(job)));
    if (stream != nullptr) {
        tasks.push_back(send_early(*stream));
    }
    auto results = co_await all_of(std::move(tasks));
    auto done = std::move(results.front());
    if (!done) {
        co_return done;
    }
    for (const auto& part : done->parts) {
        call.memory.hold(part.bytes.size());
    }
    if (log_.enabled(LogLevel::kInfo)) {
        const auto took = milliseconds(clock_.now() - began);
        log_.info(
            "rest.segment_transcoded", {{"stream", target.stream},
                                        {"seq", target.seq},
                                        {"orchestrator", done->orchestrator},
                                        {"attempts", done->attempts},
                                        {"took_ms", took},
                                        {"request", call.request_id},
                                        {"trace", call.trace_id}}
        );
    }
    co_return done;
}

// A client that is gone ends the whole exchange.
Task<Result<LiveIngest::Done>> LiveIngest::send_early(RenditionStream& stream) {
    FG_CO_CHECK(co_await stream.send());
    co_return Done{};
}

Task<Result<api::ProbeResult>> LiveIngest::look_into(Blob segment) {
    if (segment.empty()) {
        co_return fail(Errc::kUnprocessable, "the segment is empty", "body");
    }
    const Deadline deadline = Deadline::after(clock_, settings_.probe_time_max);
    auto source = co_await probe_.probe(std::move(segment), deadline);
    if (!source && default_disposition(source.error().code) != Disposition::kReject) {
        co_return fail(std::move(source.error()).with_context("the segment could not be looked into"));
    }
    if (!source) {
        if (source.error().field.empty()) {
            source.error().field = "body";
        }
        co_return source;
    }
    if (source->video_codec.empty() && source->audio_codec.empty()) {
        co_return fail(Errc::kUnprocessable, "the segment holds neither video nor audio", "body");
    }
    if (!source->video_codec.empty() && !job::source_codec(source->video_codec)) {
        co_return fail(
            Errc::kUnsupported, "Unsupported input codec " + printable(source->video_codec, 40), "body"
        );
    }
    if (source->size.width > kSourceSideMax || source->size.height > kSourceSideMax) {
        co_return fail(
            Errc::kUnprocessable,
            fmt::format(
                "the video is {}x{}; {} is the largest side", source->size.width, source->size.height,
                kSourceSideMax
            ),
            "body"
        );
    }
    co_return source;
}

gateway::JobRequest LiveIngest::job_of(
    const Push& push, const PushTarget& target, const PushHeaders& headers, const api::ProbeResult& source
) const {
    api::TranscodeWork work;
    work.profiles = push.profiles();
    work.duration_ms = headers.duration_ms;
    work.clip = headers.clip;
    work.force_reinit = push.source_changed() || (headers.config && headers.config->force_reinit);
    gateway::JobRequest job;
    job.manifest_id = push.manifest_id();
    job.seq = target.seq;
    job.needs = job::transcode_needs(
        work.profiles, job::source_codec(source.video_codec).value_or(job::SourceCodec::kUnknown),
        work.clip.has_value(), source.pixel_format
    );
    job.work.kind = std::move(work);
    job.work.input_content_type = media::content_type_of(target.container);
    return job;
}

Deadline LiveIngest::deadline_of(const Push& push, std::int64_t duration_ms) const {
    const Duration scaled = settings_.transcode_time_factor * std::chrono::milliseconds(duration_ms);
    const Duration whole = std::max(settings_.transcode_time_min, scaled) * push.timeout_multiplier();
    return Deadline::after(clock_, std::min(whole, settings_.transcode_time_max));
}

Task<Result<LiveIngest::Done>> LiveIngest::transcode(Job job) {
    auto done = co_await renditions_of(job);
    if (job.stream != nullptr) {
        job.stream->close();
    }
    co_return done;
}

Task<Result<LiveIngest::Done>> LiveIngest::renditions_of(Job& job) {
    Push& push = job.push;
    Done done;
    if (push.profiles().empty()) {
        co_return done;
    }
    std::vector<Blob> renditions;
    if (is_audio_only(job.source)) {
        ++stats_.bypassed;
        renditions.assign(push.profiles().size(), job.segment);
    } else {
        auto request = job_of(push, job.target, job.headers, job.source);
        request.work.input = std::move(job.segment);
        request.work.trace = job.trace;
        request.owner = job.owner;
        request.key_limits = job.key_limits;
        if (job.stream != nullptr) {
            request.early = [stream = job.stream](std::size_t index, const api::Artifact& artifact) {
                stream->put(index, artifact.bytes);
            };
        }
        const Deadline deadline = deadline_of(push, job.headers.duration_ms);
        auto result = co_await gateway_.run(std::move(request), deadline);
        if (!result) {
            co_return fail(std::move(result.error()));
        }
        if (result->output.artifacts.size() != push.profiles().size()) {
            co_return fail(Errc::kProtocol, "the answer does not hold every rendition");
        }
        done.orchestrator = std::move(result->orchestrator);
        done.attempts = result->attempts;
        done.cost = result->cost;
        for (auto& artifact : result->output.artifacts) {
            renditions.push_back(std::move(artifact.bytes));
        }
    }
    for (std::size_t i = 0; i < renditions.size(); ++i) {
        const auto& profile = push.profiles()[i];
        done.parts.push_back({profile.name, job.target.seq, profile.container, renditions[i]});
    }
    push.complete(std::move(renditions), job.headers.duration_ms);
    co_return done;
}

}  // namespace framegrid::rest
