#include <framegrid/wire/orchestrator_client.hpp>

#include <algorithm>
#include <set>

#include <framegrid/api/early_artifacts.hpp>
#include <framegrid/runtime/task_group.hpp>
#include <framegrid/wire/ai_messages.hpp>
#include <framegrid/wire/convert.hpp>
#include <framegrid/wire/grpc.hpp>
#include <framegrid/wire/payment_header.hpp>
#include <framegrid/wire/peer_url.hpp>
#include <framegrid/wire/protocol_error.hpp>
#include <framegrid/wire/segment_header.hpp>

namespace framegrid::wire {

namespace {

constexpr std::size_t kErrorBytesMax = 4 * 1024;
constexpr std::size_t kResultBytesMax = std::size_t{4} * 1024 * 1024;
constexpr Duration kUploadTimeMin = std::chrono::seconds(2);

// Time to wait for the early 200: max(2 s, half the segment) (protocol section 6.7).
Duration upload_time(const api::TranscodeWork& work) {
    return std::max<Duration>(kUploadTimeMin, std::chrono::milliseconds(work.duration_ms / 2));
}

Task<Result<Blob>> fetch_one(http::Client& client, http::Url url, Deadline deadline) {
    http::Request request;
    request.url = std::move(url);
    FG_CO_TRY(answer, co_await client.fetch(std::move(request), media::kSegmentBytesMax, deadline));
    if (answer.status != 200) {
        // The result is gone or was never there: whatever the status, the peer broke its promise.
        co_return fail(as_peer_fault(error_from_answer(answer.status, answer.headers, {}), "result download")
        );
    }
    co_return std::move(answer.body);
}

// Reading an error's text must not replace the error.
Task<std::string> error_text(Clock& clock, http::BodyReader& body, Deadline deadline) {
    Task<Result<Blob>> reading = http::read_all(body, kErrorBytesMax);
    const auto text = co_await with_deadline<Blob>(clock, deadline, std::move(reading));
    co_return text ? std::string(text->text()) : std::string();
}

Task<Result<Blob>> nothing() {
    co_return Blob();
}

api::Artifact rendition_of(const media::VideoProfile& profile, Blob bytes, Pixels pixels) {
    api::Artifact artifact;
    artifact.name = profile.name;
    artifact.content_type = media::content_type_of(profile.container);
    artifact.bytes = std::move(bytes);
    artifact.pixels = pixels;
    return artifact;
}

Result<api::JobOutput> output_of(
    const net::TranscodeData& data, const api::TranscodeWork& work, std::vector<Blob> renditions
) {
    api::JobOutput out;
    for (std::size_t i = 0; i < renditions.size(); ++i) {
        const std::int64_t pixels = data.segments(static_cast<int>(i)).pixels();
        if (pixels < 0) {
            return fail(Errc::kProtocol, "a rendition has a negative pixel count");
        }
        out.output.artifacts.push_back(
            rendition_of(work.profiles[i], std::move(renditions[i]), Pixels{pixels})
        );
    }
    return out;
}

}  // namespace

// The renditions of one segment that are fetched before its result is there.
struct WireOrchestrator::EarlyDownloads {
    EarlyDownloads(const Executor& executor, const api::Job& job)
        : work(std::get<api::TranscodeWork>(job.work.kind)),
          artifacts(api::early_count(job.work), job.early),
          group(executor, work.profiles.size()) {}

    const api::TranscodeWork& work;
    api::EarlyArtifacts artifacts;
    std::set<std::size_t> announced;
    TaskGroup group;
};

WireOrchestrator::WireOrchestrator(ClientPorts ports, const std::string& service_uri)
    : ports_(ports), signer_(ports.signer), base_(http::parse_url(service_uri)) {}

Task<Result<std::string>> WireOrchestrator::call(std::string method, std::string request, Deadline deadline) {
    if (!base_) {
        co_return fail(base_.error());
    }
    GrpcClient grpc(ports_.client, ports_.clock, *base_);
    co_return co_await grpc.unary(std::move(method), std::move(request), deadline);
}

Task<Result<api::OrchestratorInfo>> WireOrchestrator::get_info(api::InfoRequest request, Deadline deadline) {
    net::OrchestratorRequest message;
    if (ports_.signer != nullptr) {
        const auto& address = ports_.signer->address();
        const auto& signature = ports_.signer->info_signature();
        message.set_address(address.data(), address.size());
        message.set_sig(signature.data(), signature.size());
    }
    if (request.needs) {
        *message.mutable_capabilities() = to_proto(*request.needs);
    }
    message.set_ignorecapacitycheck(request.ignore_capacity);
    if (!request.lost.empty()) {
        *message.mutable_lost_jobs() = to_proto(request.lost);
    }
    FG_CO_TRY(
        answer, co_await call("net.Orchestrator/GetOrchestrator", message.SerializeAsString(), deadline)
    );
    const auto info = parse_message<net::OrchestratorInfo>(answer);
    if (!info) {
        co_return fail(as_peer_fault(info.error(), "GetOrchestrator"));
    }
    auto result = from_proto(*info);
    if (!result) {
        co_return fail(as_peer_fault(std::move(result).error(), "GetOrchestrator"));
    }
    co_return std::move(*result);
}

Task<Result<void>> WireOrchestrator::end_session(api::AuthToken token, Deadline deadline) {
    net::EndTranscodingSessionRequest message;
    *message.mutable_auth_token() = to_proto(token);
    FG_CO_TRY(
        answer, co_await call("net.Orchestrator/EndTranscodingSession", message.SerializeAsString(), deadline)
    );
    co_return Result<void>{};
}

Task<Result<Bytes>> WireOrchestrator::ping(Bytes value, Deadline deadline) {
    net::PingPong message;
    message.set_value(value.data(), value.size());
    FG_CO_TRY(answer, co_await call("net.Orchestrator/Ping", message.SerializeAsString(), deadline));
    const auto pong = parse_message<net::PingPong>(answer);
    if (!pong) {
        co_return fail(as_peer_fault(pong.error(), "Ping"));
    }
    co_return to_bytes(pong->value());
}

Task<Result<api::JobOutput>> WireOrchestrator::run(api::Job job, Deadline deadline) {
    if (!base_) {
        co_return fail(base_.error());
    }
    if (const auto* ai = std::get_if<api::AiWork>(&job.work.kind)) {
        if (ai->pipeline == kEcho) {
            co_return co_await run_echo(std::move(job), deadline);
        }
        co_return co_await run_ai(std::move(job), deadline);
    }
    co_return co_await run_transcode(std::move(job), deadline);
}

std::string WireOrchestrator::payment_header(const api::Job& job) {
    if (!job.payment) {
        return encode_payment_header(ports_.signer == nullptr ? nullptr : &ports_.signer->address());
    }
    if (!job.payment->tickets.empty()) {
        return encode_payment(*job.payment);
    }
    if (job.payment != on_credit_) {
        on_credit_ = job.payment;
        on_credit_header_ = encode_payment(*on_credit_);
    }
    return on_credit_header_;
}

http::Request WireOrchestrator::job_request(
    const api::Job& job, const SegmentProof& proof, std::string_view path, std::string content_type
) {
    http::Request request;
    request.method = "POST";
    request.url = url_below(*base_, path);
    request.headers.reserve(6);
    request.headers.add("content-type", std::move(content_type));
    request.headers.add(std::string(kSegmentHeader), segment_headers_.text(job, proof));
    request.headers.add(std::string(kPaymentHeader), payment_header(job));
    if (auto trace = write_traceparent(job.work.trace); !trace.empty()) {
        request.headers.add("traceparent", std::move(trace));
    }
    if (job.receipt != crypto::Hash32{}) {
        request.headers.add(std::string(kReceiptHeader), crypto::hex(job.receipt));
    }
    return request;
}

// Uploads, waits for the early 200, and returns the answer's body.
Task<Result<std::string>> WireOrchestrator::exchange_segment(
    http::Request request, Deadline upload, Deadline deadline, EarlyDownloads& early
) {
    FG_CO_TRY(response, co_await ports_.client.open(std::move(request), upload));
    if (response.head.status != 200) {
        const auto text = co_await error_text(ports_.clock, *response.body, upload);
        co_return fail(error_from_answer(response.head.status, response.head.headers, text));
    }
    Task<Result<Blob>> reading = read_answer(*response.body, deadline, early);
    auto body = co_await with_deadline<Blob>(ports_.clock, deadline, std::move(reading));
    if (!body) {
        Error error = std::move(body).error();
        co_return fail(
            error.code == Errc::kTooLarge ? as_peer_fault(std::move(error), "/segment") : std::move(error)
        );
    }
    co_await early.group.join();
    co_return std::string(body->text());
}

Task<Result<Blob>> WireOrchestrator::read_answer(
    http::BodyReader& body, Deadline deadline, EarlyDownloads& early
) {
    std::string answer;
    EarlyRenditionReader pieces;
    for (;;) {
        FG_CO_TRY(piece, co_await body.read());
        if (piece.empty()) {
            co_return Blob(to_bytes(answer));
        }
        if (answer.size() + piece.size() > kResultBytesMax) {
            co_return fail(Errc::kTooLarge, "the answer is too large");
        }
        answer += piece.text();
        for (auto& rendition : pieces.read(answer)) {
            if (early.artifacts.wants(rendition.index) && early.announced.insert(rendition.index).second) {
                early.group.spawn(download_early(std::move(rendition), deadline, early));
            }
        }
    }
}

// A failure costs nothing but time: the rendition is fetched again with the result.
Task<void> WireOrchestrator::download_early(
    EarlyRendition rendition, Deadline deadline, EarlyDownloads& early
) {
    auto url = resolve(*base_, rendition.url);
    if (!url) {
        co_return;
    }
    auto bytes = co_await fetch_one(ports_.client, std::move(*url), deadline);
    if (bytes) {
        const auto& profile = early.work.profiles.at(rendition.index);
        early.artifacts.tell(rendition.index, rendition_of(profile, std::move(*bytes), rendition.pixels));
    }
}

Task<Result<std::vector<Blob>>> WireOrchestrator::download_all(
    std::vector<std::optional<std::string>> urls, Deadline deadline
) {
    std::vector<Task<Result<Blob>>> tasks;
    for (const auto& text : urls) {
        if (!text) {
            tasks.push_back(nothing());
            continue;
        }
        auto url = resolve(*base_, *text);
        if (!url) {
            co_return fail(as_peer_fault(std::move(url).error(), "result URL"));
        }
        tasks.push_back(fetch_one(ports_.client, std::move(*url), deadline));
    }
    auto results = co_await all_of(std::move(tasks));
    std::vector<Blob> blobs;
    for (auto& result : results) {
        if (!result) {
            co_return fail(std::move(result).error());
        }
        blobs.push_back(std::move(*result));
    }
    co_return blobs;
}

Task<Result<api::JobOutput>> WireOrchestrator::run_transcode(api::Job job, Deadline deadline) {
    const auto& work = std::get<api::TranscodeWork>(job.work.kind);
    const Blob input = job.work.input;
    auto proof = signer_.take_ahead(job);
    if (!proof) {
        proof.emplace();
        if (input.size() > kHashInPlaceMax) {
            proof->hash = co_await offload(ports_.pool, [input] { return crypto::keccak256(input.view()); });
        } else {
            proof->hash = crypto::keccak256(input.view());
        }
        if (!signer_.at_once(job, *proof)) {
            FG_CO_TRY(asked, co_await signer_.ask(job, proof->hash, deadline));
            proof = asked;
        }
    }
    http::Request request = job_request(job, *proof, "/segment", "video/MP2T");
    request.body = input;
    const Deadline upload = deadline.at_most(ports_.clock, upload_time(work));
    EarlyDownloads early(co_await this_executor(), job);
    FG_CO_TRY(
        answer, co_await with_group<std::string>(
                    early.group, exchange_segment(std::move(request), upload, deadline, early)
                )
    );
    const auto result = parse_message<net::TranscodeResult>(answer);
    if (!result) {
        co_return fail(as_peer_fault(result.error(), "/segment"));
    }
    if (!result->has_data()) {
        co_return fail(with_detail(error_from_text(result->error()), result->error_detail()));
    }
    const auto& data = result->data();
    if (static_cast<std::size_t>(data.segments_size()) != work.profiles.size()) {
        co_return fail(
            Errc::kProtocol, "MismatchedSegments: the answer does not have one rendition per profile"
        );
    }
    std::vector<std::optional<std::string>> urls;
    for (std::size_t i = 0; i < work.profiles.size(); ++i) {
        const bool here = early.artifacts.has(i) && !early.artifacts.wants(i);
        urls.push_back(here ? std::nullopt : std::optional(data.segments(static_cast<int>(i)).url()));
    }
    FG_CO_TRY(renditions, co_await download_all(std::move(urls), deadline));
    FG_CO_TRY(out, output_of(data, work, std::move(renditions)));
    early.artifacts.put_into(out.output);
    if (result->has_info()) {
        // A refresh that cannot be read is no reason to lose the segment.
        if (auto info = from_proto(result->info())) {
            out.info = std::move(*info);
        }
    }
    co_return out;
}

std::shared_ptr<api::Orchestrator> WireDirectory::at(const std::string& service_uri) {
    if (const auto known = known_.find(service_uri); known != known_.end()) {
        return known->second;
    }
    if (known_.size() >= max_) {
        const auto idle =
            std::ranges::find_if(known_, [](const auto& entry) { return entry.second.use_count() == 1; });
        if (idle != known_.end()) {
            known_.erase(idle);
        }
    }
    auto made = std::make_shared<WireOrchestrator>(ports_, service_uri);
    if (known_.size() < max_) {
        known_.emplace(service_uri, made);
    }
    return made;
}

}  // namespace framegrid::wire
