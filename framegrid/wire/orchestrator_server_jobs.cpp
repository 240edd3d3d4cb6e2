#include <algorithm>

#include <framegrid/api/early_artifacts.hpp>
#include <framegrid/media/file_types.hpp>
#include <framegrid/media/profile.hpp>
#include <framegrid/wire/ai_messages.hpp>
#include <framegrid/wire/convert.hpp>
#include <framegrid/wire/early_renditions.hpp>
#include <framegrid/wire/orchestrator_server_impl.hpp>
#include <framegrid/wire/payment_header.hpp>
#include <framegrid/wire/protocol_error.hpp>

namespace framegrid::wire {

namespace {

constexpr std::size_t kRenditionBytesMin = 25;  // below this peers call it empty
constexpr std::string_view kUriType = "application/vnd+livepeer.uri";

void set_error(net::TranscodeResult& result, const Error& error) {
    result.set_error(transcode_text(error));
    if (result.error() != error.message) {
        result.set_error_detail(clean_text(error.message));
    }
}

std::unexpected<Refusal> refusal(int status, std::string text, Errc code) {
    return std::unexpected(Refusal{status, std::move(text), code});
}

// Profile names become part of URLs: made plain, and told apart by their index where that makes them equal.
std::vector<std::string> file_stems(const std::vector<media::VideoProfile>& profiles) {
    std::vector<std::string> stems;
    for (const auto& profile : profiles) {
        std::string plain;
        for (const char c : profile.name) {
            const bool keep = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                              c == '_' || c == '-';
            plain.push_back(keep ? c : '_');
        }
        while (plain.empty() || std::ranges::find(stems, plain) != stems.end()) {
            plain += "-" + std::to_string(stems.size());
        }
        stems.push_back(std::move(plain));
    }
    return stems;
}

// Where the renditions of one segment are put, below their session.
std::vector<std::string> rendition_names(const std::vector<media::VideoProfile>& profiles, std::int64_t seq) {
    std::vector<std::string> names = file_stems(profiles);
    for (std::size_t i = 0; i < names.size(); ++i) {
        names[i] += "/" + std::to_string(seq) + std::string(media::extension_of(profiles[i].container));
    }
    return names;
}

// Writes what comes until the channel is closed. A peer that is gone ends the whole exchange elsewhere.
Task<Result<std::string>> send_pieces(
    http::ResponseWriter& response, std::shared_ptr<Channel<std::string>> pieces
) {
    while (auto piece = co_await pieces->receive()) {
        Blob bytes(to_bytes(*piece));
        FG_CO_CHECK(co_await response.write(std::move(bytes)));
    }
    co_return std::string();
}

std::vector<crypto::Hash32> hash_all(const std::vector<api::Artifact>& artifacts) {
    std::vector<crypto::Hash32> hashes;
    for (const auto& artifact : artifacts) {
        hashes.push_back(crypto::keccak256(artifact.bytes.view()));
    }
    return hashes;
}

}  // namespace

// A gateway that pays with its credit says the same with every job.
Result<std::shared_ptr<const pay::Payment>> OrchestratorServer::Impl::read_payment(std::string_view text) {
    if (on_credit_ != nullptr && text == on_credit_header_) {
        return on_credit_;
    }
    FG_TRY(decoded, decode_payment(text));
    auto payment = std::make_shared<const pay::Payment>(std::move(decoded));
    if (payment->tickets.empty()) {
        on_credit_header_ = text;
        on_credit_ = payment;
    }
    return payment;
}

// The headers' part of the checks of section 3.3, in its order.
Checked<SegmentHeader> OrchestratorServer::Impl::read_headers(const http::Exchange& exchange) {
    const auto& headers = exchange.head.headers;
    const auto payment = read_payment(headers.get(kPaymentHeader).value_or(""));
    if (!payment) {
        return refusal(402, payment.error().message, Errc::kForbidden);
    }
    const bool named = (*payment)->sender != crypto::Address{};
    const auto sender = named ? std::optional((*payment)->sender) : std::nullopt;
    auto header = segment_headers_.read(headers.get(kSegmentHeader).value_or(""), sender);
    if (!header) {
        return refusal(403, header.error().message, header.error().code);
    }
    if (!header->has_token) {
        return refusal(403, "missing auth token", Errc::kForbidden);
    }
    if (named) {
        header->job.sender = (*payment)->sender;
        header->job.payment = *payment;
    }
    header->job.work.trace = parse_traceparent(headers.get("traceparent").value_or(""));
    if (const auto receipt = headers.get(kReceiptHeader);
        receipt && !crypto::read_hex(*receipt, header->job.receipt)) {
        header->job.receipt = {};
    }
    return *std::move(header);
}

Task<Checked<Blob>> OrchestratorServer::Impl::read_body(http::Exchange& exchange) const {
    auto body = co_await http::read_all(exchange.body, settings_.body_bytes_max);
    if (!body) {
        const bool large = body.error().code == Errc::kTooLarge;
        co_return refusal(large ? 413 : 500, body.error().message, body.error().code);
    }
    co_return std::move(*body);
}

Task<Checked<Blob>> OrchestratorServer::Impl::read_media(http::Exchange& exchange, crypto::Hash32 hash) {
    auto body = co_await read_body(exchange);
    if (!body) {
        co_return std::move(body);
    }
    Blob media = *std::move(body);
    if (content_type_of(exchange) == kUriType) {
        http::Request request;
        auto url = http::parse_url(media.text());
        if (!url) {
            co_return refusal(400, "BadRequest", Errc::kInvalidArgument);
        }
        request.url = *std::move(url);
        const Deadline deadline = Deadline::after(ports_.clock, settings_.download_time_max);
        auto fetched =
            co_await ports_.downloads.fetch(std::move(request), settings_.body_bytes_max, deadline);
        if (!fetched || fetched->status != 200) {
            co_return refusal(400, "BadRequest", Errc::kInvalidArgument);
        }
        media = std::move(fetched->body);
    }
    crypto::Hash32 actual{};
    if (media.size() > kHashInPlaceMax) {
        actual = co_await offload(ports_.pool, [media] { return crypto::keccak256(media.view()); });
    } else {
        actual = crypto::keccak256(media.view());
    }
    if (actual != hash) {
        co_return refusal(403, "Forbidden", Errc::kForbidden);
    }
    co_return media;
}

Task<void> OrchestratorServer::Impl::serve_segment(http::Exchange& exchange) {
    auto header = read_headers(exchange);
    if (!header) {
        co_await refuse(exchange, std::move(header).error());
        co_return;
    }
    if (const auto admitted = ports_.service.admit(header->job); !admitted) {
        const Error& error = admitted.error();
        co_await refuse(exchange, {403, error.message, error.code});
        co_return;
    }
    if (!co_await take_payment(exchange, header->job)) {
        co_return;
    }
    auto media = co_await read_media(exchange, header->hash);
    if (!media) {
        co_await refuse(exchange, std::move(media).error());
        co_return;
    }
    header->job.work.input = *std::move(media);
    header->job.work.input_content_type = content_type_of(exchange);
    // The early 200 tells the peer that its upload has arrived.
    http::ResponseHead head;
    if (!co_await exchange.response.start(std::move(head))) {
        co_return;
    }
    ++stats_.segments;
    std::string answer;
    if (api::early_count(header->job.work) > 0) {
        answer = co_await early_answer(std::move(header->job), exchange);
    } else {
        answer = co_await transcode_answer(std::move(header->job));
    }
    Blob body(to_bytes(answer));
    if (co_await exchange.response.write(std::move(body))) {
        [[maybe_unused]] const auto finished = co_await exchange.response.finish();
    }
}

Task<std::string> OrchestratorServer::Impl::early_answer(api::Job job, http::Exchange& exchange) {
    const auto& profiles = std::get<api::TranscodeWork>(job.work.kind).profiles;
    const auto pieces = std::make_shared<Channel<std::string>>(profiles.size());
    job.early = [this, pieces, names = rendition_names(profiles, job.seq),
                 session = job.token.session_id](std::size_t index, const api::Artifact& artifact) {
        const std::string url = stored_url(session, names.at(index), artifact.bytes);
        pieces->try_send(write_early_rendition({index, url, artifact.pixels}));
    };
    std::vector<Task<Result<std::string>>> both;
    both.push_back(answer_and_close(std::move(job), pieces));
    both.push_back(send_pieces(exchange.response, pieces));
    auto results = co_await all_of(std::move(both));
    co_return results.front().value_or(std::string());
}

Task<Result<std::string>> OrchestratorServer::Impl::answer_and_close(
    api::Job job, std::shared_ptr<Channel<std::string>> pieces
) {
    auto answer = co_await transcode_answer(std::move(job));
    pieces->close();
    co_return answer;
}

// Runs the job; whatever happens, the answer is a TranscodeResult.
Task<std::string> OrchestratorServer::Impl::transcode_answer(api::Job job) {
    const auto& work = std::get<api::TranscodeWork>(job.work.kind);
    const Duration limit =
        std::max<Duration>(settings_.transcode_time_min, std::chrono::milliseconds(4 * work.duration_ms));
    const Deadline deadline = Deadline::after(ports_.clock, limit);
    api::Job head = job;
    head.work.input = {};
    auto output = co_await ports_.service.run(std::move(job), deadline);
    net::TranscodeResult result;
    result.set_seq(head.seq);
    std::optional<api::OrchestratorInfo> info;
    if (output) {
        info = std::move(output->info);
        auto data = co_await transcode_data(*std::move(output), head);
        if (data) {
            *result.mutable_data() = *std::move(data);
        } else {
            set_error(result, data.error());
        }
    } else {
        set_error(result, output.error());
    }
    if (!info) {
        api::InfoRequest request{.needs = head.needs, .ignore_capacity = true};
        auto fresh = co_await ports_.service.get_info(std::move(request), deadline);
        if (fresh) {
            info = *std::move(fresh);
        }
    }
    if (info) {
        info->auth_token = head.token;  // tokens are renewed by GetOrchestrator only
        *result.mutable_info() = to_proto(*info);
    }
    co_return result.SerializeAsString();
}

Task<Result<net::TranscodeData>> OrchestratorServer::Impl::transcode_data(
    api::JobOutput output, api::Job head
) {
    const auto& profiles = std::get<api::TranscodeWork>(head.work.kind).profiles;
    const auto& artifacts = output.output.artifacts;
    if (artifacts.size() != profiles.size()) {
        co_return fail(Errc::kInternal, "MismatchedSegments");
    }
    const std::vector<std::string> names = rendition_names(profiles, head.seq);
    net::TranscodeData data;
    for (std::size_t i = 0; i < artifacts.size(); ++i) {
        if (artifacts[i].bytes.size() < kRenditionBytesMin) {
            co_return fail(Errc::kInternal, "ZeroSegments");
        }
        auto& segment = *data.add_segments();
        segment.set_url(stored_url(head.token.session_id, names[i], artifacts[i].bytes));
        segment.set_pixels(artifacts[i].pixels.value);
    }
    if (signs_) {
        const auto hashes = co_await offload(ports_.pool, [artifacts] { return hash_all(artifacts); });
        const Bytes signature = ports_.service.sign_result(hashes);
        data.set_sig(signature.data(), signature.size());
    }
    co_return data;
}

}  // namespace framegrid::wire
