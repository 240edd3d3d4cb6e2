#include <framegrid/wire/segment_header.hpp>

#include <algorithm>

#include <framegrid/crypto/segment_signature.hpp>
#include <framegrid/wire/convert.hpp>

namespace framegrid::wire {

namespace {

constexpr std::size_t kHeaderBytesMax = 64 * 1024;
constexpr std::size_t kKnownNameMax = 256;
constexpr std::size_t kKnownTextMax = 2048;  // of a header that is worth remembering
constexpr std::size_t kHeadersMax = 256;     // remembered, on either side

// K(nothing): what AI jobs have for media.
const crypto::Hash32& empty_media() {
    static const crypto::Hash32 hash = crypto::keccak256({});
    return hash;
}

crypto::Hash32 message_of(const api::Job& job, const crypto::Hash32& hash) {
    return crypto::segment_message(job.manifest_id, job.seq, hash, profile_names(job));
}

Result<Bytes> decode_header(std::string_view text, const char* name) {
    if (text.size() > kHeaderBytesMax) {
        return fail(Errc::kTooLarge, std::string(name) + " is too long", name);
    }
    auto bytes = crypto::parse_base64(text);
    if (!bytes) {
        return fail(Errc::kInvalidArgument, std::string(name) + ": " + bytes.error().message, name);
    }
    return bytes;
}

}  // namespace

std::vector<std::string> profile_names(const api::Job& job) {
    std::vector<std::string> names;
    if (const auto* work = std::get_if<api::TranscodeWork>(&job.work.kind)) {
        for (const auto& profile : work->profiles) {
            names.push_back(profile.name);
        }
    }
    return names;
}

// The manifest id is all that the messages of such jobs differ in.
bool repeats(const api::Job& job, const crypto::Hash32& hash) {
    return job.seq == 0 && job.manifest_id.size() <= kKnownNameMax && hash == empty_media() &&
           profile_names(job).empty();
}

std::string encode_segment_header(const api::Job& job, const SegmentProof& proof) {
    net::SegData message = to_proto(job);
    message.set_hash(proof.hash.data(), proof.hash.size());
    if (proof.signature) {
        message.set_sig(proof.signature->data(), proof.signature->size());
    }
    return crypto::base64(as_bytes(message.SerializeAsString()));
}

std::string encode_segment_header(
    const api::Job& job, const crypto::Hash32& hash, const crypto::PrivateKey* key
) {
    SegmentProof proof{hash, std::nullopt};
    if (key != nullptr) {
        proof.signature = key->sign_message(message_of(job, hash));
    }
    return encode_segment_header(job, proof);
}

bool SegmentSigner::at_once(const api::Job& job, SegmentProof& proof) {
    if (signer_ == nullptr) {
        return true;
    }
    if (!repeats(job, proof.hash)) {
        proof.signature = signer_->at_once(job, proof.hash);
        return proof.signature.has_value();
    }
    if (const auto known = known_.find(job.manifest_id); known != known_.end()) {
        proof.signature = known->second;
        return true;
    }
    proof.signature = signer_->at_once(job, proof.hash);
    remember(job, proof);
    return proof.signature.has_value();
}

Task<Result<SegmentProof>> SegmentSigner::ask(const api::Job& job, crypto::Hash32 hash, Deadline deadline) {
    FG_CO_TRY(signature, co_await signer_->ask(job, hash, deadline));
    const SegmentProof proof{hash, signature};
    remember(job, proof);
    co_return proof;
}

void SegmentSigner::remember(const api::Job& job, const SegmentProof& proof) {
    if (!proof.signature || !repeats(job, proof.hash)) {
        return;
    }
    if (known_.size() >= kSegmentSignaturesMax) {
        known_.clear();
    }
    known_.insert_or_assign(job.manifest_id, *proof.signature);
}

KeyRequestSigner::KeyRequestSigner(const crypto::PrivateKey& key)
    : key_(key),
      address_(key.address()),
      info_signature_(key.sign_message(crypto::info_request_message(address_))) {}

std::optional<crypto::Signature> KeyRequestSigner::at_once(const api::Job& job, const crypto::Hash32& hash) {
    return key_.sign_message(message_of(job, hash));
}

Task<Result<crypto::Signature>> KeyRequestSigner::ask(
    const api::Job& job, const crypto::Hash32& hash, Deadline /*deadline*/
) {
    co_return key_.sign_message(message_of(job, hash));
}

Result<void> SegmentVerifier::verify(
    const SegmentHeader& header, const std::optional<crypto::Address>& sender
) {
    if (!sender || !repeats(header.job, header.hash) || header.signature.size() > kKnownNameMax) {
        return verify_segment(header, sender);
    }
    std::string name;
    name.reserve(sender->size() + header.signature.size() + header.job.manifest_id.size());
    name += as_text(*sender);
    name += as_text(header.signature);
    name += header.job.manifest_id;
    if (known_.contains(name)) {
        return {};
    }
    FG_CHECK(verify_segment(header, sender));
    if (known_.size() >= kSegmentSignaturesMax) {
        known_.clear();
    }
    known_.insert(std::move(name));
    return {};
}

std::string SegmentHeaderWriter::text(const api::Job& job, const SegmentProof& proof) {
    if (!std::holds_alternative<api::AiWork>(job.work.kind) || !repeats(job, proof.hash)) {
        return encode_segment_header(job, proof);
    }
    const auto found = known_.find(job.manifest_id);
    if (found != known_.end() && found->second.token == job.token && found->second.needs == job.needs &&
        found->second.signature == proof.signature) {
        return found->second.text;
    }
    std::string text = encode_segment_header(job, proof);
    if (text.size() > kKnownTextMax) {
        return text;
    }
    if (known_.size() >= kHeadersMax) {
        known_.clear();
    }
    known_.insert_or_assign(job.manifest_id, Known{job.token, job.needs, proof.signature, text});
    return text;
}

Result<SegmentHeader> SegmentHeaderReader::read(
    std::string_view text, const std::optional<crypto::Address>& sender
) {
    if (const auto known = known_.find(text); known != known_.end() && known->second.sender == sender) {
        return known->second.header;
    }
    FG_TRY(header, decode_segment_header(text));
    FG_CHECK(verifier_.verify(header, sender));
    if (text.size() <= kKnownTextMax && repeats(header.job, header.hash)) {
        if (known_.size() >= kHeadersMax) {
            known_.clear();
        }
        known_.insert_or_assign(std::string(text), Known{header, sender});
    }
    return header;
}

Result<SegmentHeader> decode_segment_header(std::string_view text) {
    FG_TRY(bytes, decode_header(text, "Livepeer-Segment"));
    FG_TRY(message, parse_message<net::SegData>(as_text(bytes)));
    FG_TRY(job, from_proto(message));
    SegmentHeader header;
    if (message.hash().size() != header.hash.size()) {
        return fail(Errc::kInvalidArgument, "hash does not have 32 bytes", "hash");
    }
    std::ranges::copy(as_bytes(message.hash()), header.hash.begin());
    FG_CHECK(check_text(message.sig(), Limits::kTokenBytes, "sig"));
    header.signature = to_bytes(message.sig());
    header.has_token = message.has_auth_token();
    header.job = std::move(job);
    return header;
}

std::string encode_payment_header(const crypto::Address* sender) {
    if (sender == nullptr) {
        return {};
    }
    net::Payment message;
    message.set_sender(sender->data(), sender->size());
    // A payment without an expected price crashes existing orchestrators (protocol section 5.10).
    message.mutable_expected_price()->set_priceperunit(0);
    message.mutable_expected_price()->set_pixelsperunit(1);
    return crypto::base64(as_bytes(message.SerializeAsString()));
}

Result<std::optional<crypto::Address>> decode_payment_header(std::string_view text) {
    FG_TRY(bytes, decode_header(text, "Livepeer-Payment"));
    FG_TRY(message, parse_message<net::Payment>(as_text(bytes)));
    const auto& sender = message.sender();
    if (sender.empty()) {
        return std::nullopt;
    }
    crypto::Address address{};
    if (sender.size() != address.size()) {
        return fail(Errc::kInvalidArgument, "sender does not have 20 bytes", "sender");
    }
    std::ranges::copy(as_bytes(sender), address.begin());
    return address == crypto::Address{} ? std::nullopt : std::optional(address);
}

Result<void> verify_segment(const SegmentHeader& header, const std::optional<crypto::Address>& sender) {
    if (sender && !crypto::verify_message(*sender, message_of(header.job, header.hash), header.signature)) {
        return fail(Errc::kForbidden, "ErrSegSig", "sig");
    }
    return {};
}

}  // namespace framegrid::wire
