#include <framegrid/wire/signer_client.hpp>

#include <algorithm>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/crypto/segment_signature.hpp>
#include <framegrid/wire/payment_header.hpp>
#include <framegrid/wire/peer_url.hpp>
#include <framegrid/wire/segment_header.hpp>
#include <framegrid/wire/signer_messages.hpp>

namespace framegrid::wire {

namespace {

constexpr std::size_t kReplyBytesMax = 1 << 20;
constexpr int kStatusRefreshInfo = 480;
constexpr int kStatusPriceTooHigh = 481;
constexpr std::array kPaths{"/sign-orchestrator-info", "/sign-tickets", "/sign-segment", "/sign-receipts"};
constexpr std::array kNames{"info", "tickets", "segment", "receipts"};

std::string text_member(const Blob& json, const char* name) {
    boost::system::error_code bad;
    const auto root = boost::json::parse(json.text(), bad);
    const auto* value = !bad && root.is_object() ? root.get_object().if_contains(name) : nullptr;
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

struct Refusal {
    std::string message = "no reason is given";
    std::string field;
};

Refusal refusal_in(const Blob& json) {
    Refusal out;
    boost::system::error_code bad;
    const auto root = boost::json::parse(json.text(), bad);
    const auto* error = !bad && root.is_object() ? root.get_object().if_contains("error") : nullptr;
    if (error == nullptr || !error->is_object()) {
        return out;
    }
    const auto text = [error](const char* name) {
        const auto* value = error->get_object().if_contains(name);
        return value != nullptr && value->is_string() ? printable(std::string(value->get_string()), 200)
                                                      : std::string();
    };
    out.field = text("field");
    if (auto message = text("message"); !message.empty()) {
        out.message = std::move(message);
    }
    return out;
}

std::string signers_field(const std::string& field) {
    return std::string(pay::kSignerField) + (field.empty() ? "" : "." + field);
}

std::unexpected<Error> no_sense(std::string what) {
    return fail(Errc::kProtocol, std::move(what), std::string(pay::kSignerField));
}

Error refusal_of(int status, const Blob& body) {
    auto refusal = refusal_in(body);
    if (status == kStatusRefreshInfo) {
        return make_error(Errc::kUnavailable, "the signer: " + refusal.message, signer::kStaleParams)
            .with_disposition(Disposition::kRetry);
    }
    if (status == kStatusPriceTooHigh) {
        return make_error(
            Errc::kForbidden, "the signer refuses: " + refusal.message, std::string(pay::kSignerPriceField)
        );
    }
    const auto field = signers_field(refusal.field);
    switch (http::errc_of(status)) {
        case Errc::kUnauthorized:
            return make_error(
                Errc::kUnauthorized,
                "the signer does not know this gateway's key: its operator adds it to --callers, or "
                "--signer-key-file names the right one",
                field
            );
        case Errc::kInvalidArgument:
        case Errc::kForbidden:
        case Errc::kTooLarge:
            // What it says of our request is about what we may have signed.
            return make_error(Errc::kForbidden, "the signer refuses: " + refusal.message, field);
        default:
            return make_error(
                Errc::kUnavailable,
                "the signer cannot sign now (" + std::to_string(status) + "): " + refusal.message, field
            );
    }
}

// Of the signer, and so of nobody whom the job is for.
Error unreachable(const Error& error) {
    const auto code = error.code == Errc::kProtocol || error.code == Errc::kTooLarge ? Errc::kProtocol
                      : error.code == Errc::kCancelled                               ? Errc::kCancelled
                                                                                     : Errc::kUnavailable;
    return make_error(code, "the signer cannot be asked: " + error.message, std::string(pay::kSignerField));
}

bool same_claim(const pay::SegmentClaim& claim, const api::Job& job) {
    return claim.seq == job.seq && claim.manifest_id == job.manifest_id &&
           claim.media.data() == job.work.input.data() && claim.media.size() == job.work.input.size() &&
           claim.profile_names == profile_names(job);
}

Result<crypto::Signature> signature_in(const Blob& reply) {
    const auto bytes = crypto::parse_hex(text_member(reply, "signature"));
    crypto::Signature out{};
    if (!bytes || bytes->size() != out.size()) {
        return no_sense("the signer's answer has no signature");
    }
    std::ranges::copy(*bytes, out.begin());
    return out;
}

class LinesBody final : public http::BodyReader {
  public:
    explicit LinesBody(pay::ClosingSigner::NextLines lines) : lines_(std::move(lines)) {}
    Task<Result<Blob>> read() override { return lines_(); }
    const http::Headers& trailers() const override { return trailers_; }

  private:
    pay::ClosingSigner::NextLines lines_;
    http::Headers trailers_;
};

}  // namespace

http::Request RemoteSigner::request_for(Call what) const {
    http::Request out;
    out.method = "POST";
    out.url = url_below(url_, kPaths.at(static_cast<std::size_t>(what)));
    out.headers = http::Headers{{"content-type", "application/json"}};
    if (!key_.empty()) {
        out.headers.add("authorization", "Bearer " + key_);
    }
    return out;
}

void RemoteSigner::count(Call what, TimePoint began, const Result<http::Fetched>& answer) {
    auto& counts = counts_.at(static_cast<std::size_t>(what));
    counts.took.add(ports_.clock.now() - began);
    counts.errors += answer && answer->status == 200 ? 0 : 1;
}

Task<Result<http::Fetched>> RemoteSigner::fetch(Call what, std::string body, Deadline deadline) {
    deadline = deadline.at_most(ports_.clock, settings_.call_time_max);
    const Blob content = Blob::copy_of(body);
    // A ticket that is signed twice is counted twice there; the rest costs nothing.
    int tries_left = what == Call::kTickets ? 1 : 2;
    const TimePoint began = ports_.clock.now();
    for (;;) {
        auto request = request_for(what);
        request.body = content;
        auto answer = co_await ports_.client.fetch(std::move(request), kReplyBytesMax, deadline);
        if (answer || --tries_left == 0 || answer.error().code != Errc::kUnavailable) {
            count(what, began, answer);
            if (!answer) {
                auto error = unreachable(answer.error());
                away_ = error.code == Errc::kUnavailable ? std::optional(error) : std::nullopt;
                away_until_ = ports_.clock.now() + settings_.away_pause;
                co_return fail(std::move(error));
            }
            away_.reset();
            co_return answer;
        }
    }
}

Task<Result<Blob>> RemoteSigner::call(Call what, std::string body, Deadline deadline) {
    FG_CO_TRY(answer, co_await fetch(what, std::move(body), deadline));
    if (answer.status != 200) {
        co_return fail(refusal_of(answer.status, answer.body));
    }
    co_return std::move(answer.body);
}

Task<Result<void>> RemoteSigner::ask_who(Deadline deadline) {
    FG_CO_TRY(reply, co_await call(Call::kInfo, "", deadline));
    const auto address = crypto::parse_address(text_member(reply, "address"));
    const auto signature = signature_in(reply);
    if (!address || !signature ||
        !crypto::verify_message(*address, crypto::info_request_message(*address), *signature)) {
        co_return no_sense("there is no signer at " + url_.origin() + ": its answer is not signed");
    }
    address_ = *address;
    info_signature_ = *signature;
    co_return Result<void>{};
}

// An empty request is refused by who knows the call, and signs nothing.
Task<Result<void>> RemoteSigner::check_has(Call what, Deadline deadline) {
    FG_CO_TRY(answer, co_await fetch(what, "{}", deadline));
    constexpr int kNoSuchPath = 404;
    constexpr int kNoSuchMethod = 405;
    if (answer.status == kNoSuchPath || answer.status == kNoSuchMethod) {
        co_return fail(
            Errc::kUnsupported,
            "the signer at " + url_.origin() + " has no call POST " +
                kPaths.at(static_cast<std::size_t>(what)) +
                ": it signs live sessions (/generate-live-payment), which are paid by time, and not the "
                "segments and AI jobs of this gateway; use 'framegrid signer', or --key",
            std::string(pay::kSignerField)
        );
    }
    co_return Result<void>{};
}

Task<Result<std::unique_ptr<RemoteSigner>>> RemoteSigner::connect(
    Ports ports, std::string url, std::string key, Deadline deadline, RemoteSignerSettings settings
) {
    auto target = http::parse_url(url);
    if (!target) {
        co_return fail(std::move(target.error()));
    }
    std::unique_ptr<RemoteSigner> out(
        new RemoteSigner(ports, *std::move(target), std::move(key), std::move(settings))
    );
    FG_CO_CHECK(co_await out->ask_who(deadline));
    FG_CO_CHECK(co_await out->check_has(Call::kTickets, deadline));
    FG_CO_CHECK(co_await out->check_has(Call::kSegment, deadline));
    out->counts_ = {};
    co_return out;
}

std::uint32_t RemoteSigner::tickets_max() const {
    return signer::Settings{}.tickets_max;
}

Result<void> RemoteSigner::ready() const {
    if (away_ && ports_.clock.now() < away_until_) {
        return fail(Error(*away_));
    }
    return {};
}

Task<Result<pay::Payment>> RemoteSigner::sign(pay::TicketBatch batch, Price price, Deadline deadline) {
    if (batch.count == 0) {
        co_return pay::Payment{
            .sender = batch.sender, .params = batch.params, .tickets = {}, .expected_price = price
        };
    }
    FG_CO_TRY(reply, co_await call(Call::kTickets, write_tickets_request({batch, price}), deadline));
    auto payment = decode_payment(text_member(reply, "payment"));
    const bool right = payment && payment->sender == address_ && payment->params == batch.params &&
                       payment->tickets.size() == batch.count;
    if (!right) {
        co_return no_sense("the signer signed something else than it was asked for");
    }
    for (std::uint32_t i = 0; i < batch.count; ++i) {
        if (payment->tickets[i].nonce != batch.first_nonce + i) {
            co_return no_sense("the signer numbered the tickets in another way");
        }
    }
    co_return payment;
}

Task<Result<crypto::Signature>> RemoteSigner::sign_segment(
    const std::string& manifest_id, std::int64_t seq, const crypto::Hash32& hash,
    std::vector<std::string> profile_names, Deadline deadline
) {
    const signer::SegmentRequest request{manifest_id, seq, hash, std::move(profile_names)};
    FG_CO_TRY(reply, co_await call(Call::kSegment, write_segment_request(request), deadline));
    co_return signature_in(reply);
}

Task<Result<void>> RemoteSigner::check_signs_receipts(Deadline deadline) {
    FG_CO_CHECK(co_await check_has(Call::kReceipts, deadline));
    counts_.at(static_cast<std::size_t>(Call::kReceipts)) = {};
    co_return Result<void>{};
}

Task<Result<crypto::Signature>> RemoteSigner::sign_closing(pay::Closing closing, NextLines lines) {
    auto request = request_for(Call::kReceipts);
    request.url.target += "?" + write_receipts_query({closing.hour, closing.previous});
    request.headers.set("content-type", "application/jsonl");
    request.body_source = std::make_shared<LinesBody>(std::move(lines));
    const TimePoint began = ports_.clock.now();
    auto answer = co_await ports_.client.fetch(
        std::move(request), kReplyBytesMax, Deadline::after(ports_.clock, settings_.receipts_time_max)
    );
    count(Call::kReceipts, began, answer);
    if (!answer) {
        co_return fail(unreachable(answer.error()));
    }
    if (answer->status != 200) {
        co_return fail(refusal_of(answer->status, answer->body));
    }
    co_return signature_in(answer->body);
}

void RemoteSigner::remember(const std::string& manifest_id, const crypto::Signature& signature) {
    if (known_.size() >= kSegmentSignaturesMax) {
        known_.clear();
    }
    known_.insert_or_assign(manifest_id, signature);
}

Task<Result<void>> RemoteSigner::sign_ahead(pay::SegmentClaim claim, Deadline deadline) {
    const bool without_media = claim.media.empty() && claim.profile_names.empty() && claim.seq == 0;
    if (without_media && known_.contains(claim.manifest_id)) {
        co_return Result<void>{};
    }
    SegmentProof proof;
    if (claim.media.size() > kHashInPlaceMax) {
        proof.hash =
            co_await offload(ports_.pool, [&claim] { return crypto::keccak256(claim.media.view()); });
    } else {
        proof.hash = crypto::keccak256(claim.media.view());
    }
    FG_CO_TRY(
        signature,
        co_await sign_segment(claim.manifest_id, claim.seq, proof.hash, claim.profile_names, deadline)
    );
    if (without_media) {
        remember(claim.manifest_id, signature);
        co_return Result<void>{};
    }
    proof.signature = signature;
    ahead_bytes_ += claim.media.size();
    ahead_.push_back({std::move(claim), proof});
    while (ahead_.size() > settings_.ahead_max || ahead_bytes_ > settings_.ahead_bytes_max) {
        ahead_bytes_ -= ahead_.front().claim.media.size();
        ahead_.pop_front();
    }
    co_return Result<void>{};
}

std::optional<SegmentProof> RemoteSigner::take_ahead(const api::Job& job) {
    const auto found =
        std::ranges::find_if(ahead_, [&job](const Ahead& one) { return same_claim(one.claim, job); });
    if (found == ahead_.end()) {
        return std::nullopt;
    }
    const auto proof = found->proof;
    ahead_bytes_ -= found->claim.media.size();
    ahead_.erase(found);
    return proof;
}

std::optional<crypto::Signature> RemoteSigner::at_once(const api::Job& job, const crypto::Hash32& hash) {
    if (!repeats(job, hash)) {
        return std::nullopt;
    }
    const auto known = known_.find(job.manifest_id);
    return known == known_.end() ? std::nullopt : std::optional(known->second);
}

Task<Result<crypto::Signature>> RemoteSigner::ask(
    const api::Job& job, const crypto::Hash32& hash, Deadline deadline
) {
    auto signature = co_await sign_segment(job.manifest_id, job.seq, hash, profile_names(job), deadline);
    if (signature && repeats(job, hash)) {
        remember(job.manifest_id, *signature);
    }
    co_return signature;
}

void RemoteSigner::dump(MetricsWriter& out) const {
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        out.counter("framegrid_signer_calls_total", counts_.at(i).took.count, {{"call", kNames.at(i)}});
    }
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        out.counter("framegrid_signer_errors_total", counts_.at(i).errors, {{"call", kNames.at(i)}});
    }
    for (std::size_t i = 0; i < counts_.size(); ++i) {
        out.histogram("framegrid_signer_seconds", counts_.at(i).took, {{"call", kNames.at(i)}});
    }
}

}  // namespace framegrid::wire
