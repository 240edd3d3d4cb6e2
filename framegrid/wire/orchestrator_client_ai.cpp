#include <framegrid/wire/orchestrator_client.hpp>

#include <framegrid/http/event_stream.hpp>
#include <framegrid/media/file_types.hpp>
#include <framegrid/wire/ai_messages.hpp>
#include <framegrid/wire/ai_progress.hpp>
#include <framegrid/wire/protocol_error.hpp>
#include <framegrid/wire/transfers.hpp>

namespace framegrid::wire {

namespace {

// Results may be inlined as base64.
constexpr std::size_t kAnswerBytesMax = media::kSegmentBytesMax / 3 * 4 + 1024 * 1024;

constexpr Duration kStallMax = std::chrono::seconds(30);  // of a transfer

// AI jobs are signed as segments without media (protocol section 3.5).
const crypto::Hash32& empty_hash() {
    static const crypto::Hash32 hash = crypto::keccak256({});
    return hash;
}

std::string file_name(std::string_view url) {
    const auto path = url.substr(0, url.find('?'));
    return std::string(path.substr(path.find_last_of('/') + 1));
}

// Fills in what is inlined and lists what has to be downloaded, by index.
Result<std::vector<std::size_t>> take_inlined(const std::vector<AiMedia>& files, api::WorkOutput& output) {
    std::vector<std::size_t> missing;
    for (std::size_t i = 0; i < files.size(); ++i) {
        api::Artifact artifact;
        artifact.seed = files[i].seed;
        artifact.nsfw = files[i].nsfw;
        if (is_data_url(files[i].url)) {
            FG_TRY(data, parse_data_url(files[i].url));
            artifact.name = std::to_string(i);
            artifact.content_type = std::move(data.content_type);
            artifact.bytes = Blob(std::move(data.bytes));
        } else {
            artifact.name = file_name(files[i].url);
            artifact.content_type = media::content_type_of(files[i].url.substr(0, files[i].url.find('?')));
            missing.push_back(i);
        }
        output.artifacts.push_back(std::move(artifact));
    }
    return missing;
}

}  // namespace

Task<Result<api::JobOutput>> WireOrchestrator::run_ai(api::Job job, Deadline deadline) {
    const auto& work = std::get<api::AiWork>(job.work.kind);
    FG_CO_TRY(
        body, write_ai_request(
                  work, job.work.input, job.work.input_content_type, "framegrid" + ports_.random.hex(16)
              )
    );
    SegmentProof proof{empty_hash()};
    if (!signer_.at_once(job, proof)) {
        FG_CO_TRY(asked, co_await signer_.ask(job, proof.hash, deadline));
        proof = asked;
    }
    http::Request request = job_request(job, proof, "/" + work.pipeline, std::move(body.content_type));
    request.headers.add("authorization", std::string(kAiAuthorization));
    if (job.progress) {
        request.headers.add(std::string(kProgressHeader), std::to_string(work.preview_steps));
    }
    if (job.work.priority != api::Priority::kNormal) {
        const auto level = static_cast<int>(job.work.priority);
        request.headers.add(std::string(kPriorityHeader), std::to_string(level));
    }
    request.body = std::move(body.body);
    auto exchange = exchange_ai(std::move(request), deadline, job.progress);
    FG_CO_TRY(answer, co_await with_deadline<std::string>(ports_.clock, deadline, std::move(exchange)));
    auto response = read_ai_response(answer);
    if (!response) {
        co_return fail(as_peer_fault(response.error(), work.pipeline));
    }
    const auto& listed = response->media;
    api::JobOutput out;
    out.output.ai = std::move(response->run);
    const auto missing = take_inlined(listed, out.output);
    if (!missing) {
        co_return fail(as_peer_fault(missing.error(), work.pipeline));
    }
    std::vector<std::optional<std::string>> urls;
    for (const std::size_t i : *missing) {
        urls.push_back(listed[i].url);
    }
    FG_CO_TRY(files, co_await download_all(std::move(urls), deadline));
    for (std::size_t i = 0; i < files.size(); ++i) {
        out.output.artifacts[(*missing)[i]].bytes = std::move(files[i]);
    }
    co_return out;
}

Task<Result<std::string>> WireOrchestrator::exchange_ai(
    http::Request request, Deadline deadline, api::ProgressSink progress
) {
    FG_CO_TRY(response, co_await ports_.client.open(std::move(request), deadline));
    const auto type = response.head.headers.get("content-type").value_or("");
    if (response.head.status != 200 || !progress || !type.starts_with(http::kEventStreamType)) {
        FG_CO_TRY(body, co_await http::read_all(*response.body, kAnswerBytesMax));
        if (response.head.status != 200) {
            co_return fail(error_from_answer(response.head.status, response.head.headers, body.text()));
        }
        co_return std::string(body.text());
    }
    http::EventReader events(kAnswerBytesMax);
    for (;;) {
        auto event = co_await http::read_event(*response.body, events);
        if (!event) {
            Error error = std::move(event).error();
            const bool theirs = error.code == Errc::kTooLarge;
            co_return fail(theirs ? as_peer_fault(std::move(error), "progress") : std::move(error));
        }
        if (!*event) {
            co_return fail(as_peer_fault(make_error(Errc::kProtocol, "no result at its end"), "progress"));
        }
        if ((*event)->name == kResultEvent) {
            co_return std::move((*event)->data);
        }
        if ((*event)->name == kErrorEvent) {
            co_return fail(read_error_event((*event)->data));
        }
        if ((*event)->name == kProgressEvent) {
            auto told = read_progress((*event)->data);
            if (!told) {
                co_return fail(as_peer_fault(std::move(told.error()), "progress"));
            }
            progress(*told);
        }
    }
}

Task<Result<api::JobOutput>> WireOrchestrator::run_echo(api::Job job, Deadline deadline) {
    std::string type = job.work.input_content_type;
    if (type.empty()) {
        type = "application/octet-stream";
    }
    SegmentProof proof{empty_hash()};
    if (!signer_.at_once(job, proof)) {
        FG_CO_TRY(asked, co_await signer_.ask(job, proof.hash, deadline));
        proof = asked;
    }
    http::Request request = job_request(job, proof, "/echo", std::move(type));
    api::JobOutput out;
    if (const auto transfer = job.work.transfer) {
        auto exchange = exchange_transfer(
            ports_.client, ports_.clock, std::move(request), transfer, transfer->input().bytes, kStallMax,
            deadline
        );
        FG_CO_TRY(facts, co_await std::move(exchange));
        api::Artifact artifact;
        artifact.name = kEcho;
        artifact.file = facts;
        out.output.artifacts.push_back(std::move(artifact));
        co_return out;
    }
    request.body = job.work.input;
    FG_CO_TRY(answer, co_await ports_.client.fetch(std::move(request), media::kSegmentBytesMax, deadline));
    if (answer.status != 200) {
        co_return fail(error_from_answer(answer.status, answer.headers, answer.body.text()));
    }
    api::Artifact artifact;
    artifact.name = kEcho;
    artifact.content_type = answer.headers.get("content-type").value_or("application/octet-stream");
    artifact.bytes = std::move(answer.body);
    out.output.artifacts.push_back(std::move(artifact));
    co_return out;
}

}  // namespace framegrid::wire
