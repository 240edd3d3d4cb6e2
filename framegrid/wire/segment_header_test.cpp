#include <framegrid/wire/segment_header.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <framegrid/wire/livepeer.pb.h>

namespace framegrid::wire {
namespace {

crypto::PrivateKey cow() {
    return crypto::PrivateKey::from_bytes(crypto::keccak256(as_bytes("cow"))).value();
}

media::VideoProfile named(const std::string& name) {
    media::VideoProfile profile;
    profile.name = name;
    profile.width = 256;
    profile.height = 144;
    return profile;
}

// The job of the protocol's test vector 12.
api::Job vector_job() {
    api::Job job;
    job.manifest_id = "abcdef";
    job.seq = 1234;
    job.token = {.token = Bytes(32, 7), .session_id = "f1405ced", .expires_unix_s = 1'700'000'000};
    job.work.kind = api::TranscodeWork{
        .profiles = {named("P144p30fps16x9"), named("P240p30fps16x9")}, .duration_ms = 2000, .clip = {}
    };
    return job;
}

crypto::Hash32 browns() {
    crypto::Hash32 hash{};
    std::ranges::copy(std::string_view("browns"), hash.begin());
    return hash;
}

net::SegData message_in(const std::string& header) {
    net::SegData message;
    EXPECT_TRUE(message.ParseFromString(std::string(as_text(crypto::parse_base64(header).value()))));
    return message;
}

std::string header_of(const net::SegData& message) {
    return crypto::base64(as_bytes(message.SerializeAsString()));
}

TEST(SegmentHeader, SignatureIsVector13) {
    const auto key = cow();
    const auto message = message_in(encode_segment_header(vector_job(), browns(), &key));
    EXPECT_EQ(
        crypto::hex(as_bytes(message.sig())),
        "0354ef09062347230266d23d52f162ad48c5b3358633d099b91db0ec37470023"
        "149e91d6304f22479b64412df50204d49a7c85fe8ed0842cd735dffc359607021b"
    );
    EXPECT_EQ(message.profiles(), "invalid");
}

TEST(SegmentHeader, RoundTripAndVerification) {
    const auto key = cow();
    auto header = decode_segment_header(encode_segment_header(vector_job(), browns(), &key));
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->job.manifest_id, "abcdef");
    EXPECT_EQ(header->job.seq, 1234);
    EXPECT_EQ(header->job.token, vector_job().token);
    EXPECT_EQ(header->job.work.session_id, "f1405ced");
    EXPECT_EQ(header->hash, browns());
    EXPECT_TRUE(header->has_token);
    EXPECT_TRUE(verify_segment(*header, key.address()));
    EXPECT_TRUE(verify_segment(*header, std::nullopt)) << "off-chain nobody is named";
    crypto::Address other{};
    other[0] = 1;
    EXPECT_EQ(verify_segment(*header, other).error().message, "ErrSegSig");
    header->job.seq = 1235;
    EXPECT_FALSE(verify_segment(*header, key.address()));
}

TEST(SegmentHeader, OffChainHasNoSignature) {
    const auto header = decode_segment_header(encode_segment_header(vector_job(), browns(), nullptr));
    ASSERT_TRUE(header);
    EXPECT_TRUE(header->signature.empty());
    EXPECT_TRUE(verify_segment(*header, std::nullopt));
    EXPECT_FALSE(verify_segment(*header, cow().address())) << "a named sender must sign";
}

TEST(SegmentHeader, AiJobIsVector15) {
    const auto key = cow();
    api::Job job;
    job.manifest_id = "27_stabilityai/sdxl-turbo";
    job.work.kind = api::AiWork{"text-to-image", "stabilityai/sdxl-turbo", "{}"};
    const auto header = decode_segment_header(encode_segment_header(job, crypto::keccak256({}), &key));
    ASSERT_TRUE(header);
    const auto message =
        crypto::parse_hex("2c573d58a1d9cf460f70d6a90dede7cc9b16dd000b66c184eda70c70d1583f85");
    EXPECT_TRUE(crypto::verify_message(key.address(), *message, header->signature));
}

TEST(SegmentHeader, GoldenBytes) {
    api::Job job;
    job.manifest_id = "m";
    job.seq = 3;
    job.token.session_id = "s";
    job.work.kind = api::TranscodeWork{.profiles = {}, .duration_ms = 2000, .clip = {}};
    // 1: m, 2: 3, 3: hash, 4: "invalid", 6: 2000, 7: {5: {}}, 8: {2: s}.
    const std::string expected =
        "0a016d"
        "1003"
        "1a20" +
        std::string(64, '0') +
        "2207696e76616c6964"
        "30d00f"
        "3a022a00"
        "4203120173";
    const auto bytes = crypto::parse_base64(encode_segment_header(job, {}, nullptr));
    EXPECT_EQ(crypto::hex(*bytes), expected);
}

TEST(SegmentHeader, MalformedHeadersAreErrors) {
    for (const auto* bad : {"", "!!!!", "AAAA", "/////w==", "not base64"}) {
        const auto header = decode_segment_header(bad);
        ASSERT_FALSE(header) << bad;
        EXPECT_EQ(header.error().code, Errc::kInvalidArgument);
    }
    EXPECT_EQ(decode_segment_header(std::string(100'000, 'A')).error().code, Errc::kTooLarge);
    auto message = message_in(encode_segment_header(vector_job(), browns(), nullptr));
    message.set_hash("short");
    EXPECT_EQ(decode_segment_header(header_of(message)).error().field, "hash");
    message.set_hash(std::string(32, 'h'));
    message.set_sig(std::string(1000, 's'));
    EXPECT_EQ(decode_segment_header(header_of(message)).error().field, "sig");
    message.clear_sig();
    message.set_manifestid(std::string(5000, 'm'));
    EXPECT_EQ(decode_segment_header(header_of(message)).error().field, "manifestId");
    message.set_manifestid("m");
    message.clear_auth_token();
    EXPECT_FALSE(decode_segment_header(header_of(message))->has_token);
}

class CountingSigner final : public RequestSigner {
  public:
    explicit CountingSigner(const crypto::PrivateKey& key) : inner_(key) {}
    const crypto::Address& address() const override { return inner_.address(); }
    const crypto::Signature& info_signature() const override { return inner_.info_signature(); }
    std::optional<crypto::Signature> at_once(const api::Job& job, const crypto::Hash32& hash) override {
        ++signed_at_once;
        return away ? std::nullopt : inner_.at_once(job, hash);
    }
    Task<Result<crypto::Signature>> ask(const api::Job& job, const crypto::Hash32& hash, Deadline deadline)
        override {
        return inner_.ask(job, hash, deadline);
    }
    bool away = false;
    int signed_at_once = 0;

  private:
    KeyRequestSigner inner_;
};

TEST(SegmentSigner, SignsJobsWithoutMediaOnce) {
    const auto key = cow();
    CountingSigner payer(key);
    SegmentSigner signer(&payer);
    api::Job ai;
    ai.manifest_id = "27_model";
    ai.work.kind = api::AiWork{"text-to-image", "model", "{}"};
    for (int i = 0; i < 3; ++i) {
        SegmentProof proof{crypto::keccak256({})};
        ASSERT_TRUE(signer.at_once(ai, proof));
        EXPECT_EQ(encode_segment_header(ai, proof), encode_segment_header(ai, proof.hash, &key));
    }
    EXPECT_EQ(payer.signed_at_once, 1);
    for (int i = 0; i < 2; ++i) {
        SegmentProof proof{browns()};
        ASSERT_TRUE(signer.at_once(vector_job(), proof));
    }
    EXPECT_EQ(payer.signed_at_once, 3) << "segments have each their own";
    payer.away = true;
    SegmentProof proof{browns()};
    EXPECT_FALSE(signer.at_once(vector_job(), proof));
    SegmentProof unsigned_proof{browns()};
    EXPECT_TRUE(SegmentSigner(nullptr).at_once(vector_job(), unsigned_proof));
    EXPECT_FALSE(unsigned_proof.signature);
}

TEST(SegmentHeaderWriter, WritesAnewWhatHasChanged) {
    const auto key = cow();
    SegmentHeaderWriter writer;
    const auto hash = crypto::keccak256({});
    api::Job ai;
    ai.manifest_id = "27_model";
    ai.work.kind = api::AiWork{"text-to-image", "model", "{}"};
    const auto check = [&](const SegmentProof& proof) {
        for (int i = 0; i < 2; ++i) {
            EXPECT_EQ(writer.text(ai, proof), encode_segment_header(ai, proof));
        }
    };
    check({hash, std::nullopt});
    check({hash, key.sign_message(as_bytes("another"))});
    ai.token = {Bytes(8, 't'), "session", 100};
    check({hash, std::nullopt});
    ai.needs.add(job::Capability::kUpscale);
    check({hash, std::nullopt});
    ai.manifest_id = "28_model";
    check({hash, std::nullopt});
    check({browns(), std::nullopt});
    for (const std::int64_t ms : {1000, 2000}) {
        api::TranscodeWork work;
        work.duration_ms = ms;
        ai.work.kind = work;
        check({hash, std::nullopt});
    }
}

TEST(SegmentHeaderReader, ReadsWhatRepeatsOnceAndTrustsNobodyElse) {
    const auto key = cow();
    SegmentHeaderReader reader;
    api::Job ai;
    ai.manifest_id = "27_model";
    ai.token = {Bytes(8, 't'), "session", 100};
    ai.work.kind = api::AiWork{"text-to-image", "model", "{}"};
    const auto text = encode_segment_header(ai, crypto::keccak256({}), &key);
    for (int i = 0; i < 3; ++i) {
        const auto header = reader.read(text, key.address());
        ASSERT_TRUE(header) << header.error().message;
        EXPECT_EQ(header->job.manifest_id, "27_model");
        EXPECT_EQ(header->job.token, ai.token);
        EXPECT_TRUE(header->has_token);
    }
    auto other = key.address();
    other[0] ^= 1;
    EXPECT_EQ(reader.read(text, other).error().code, Errc::kForbidden);
    EXPECT_TRUE(reader.read(text, key.address()));
    const auto unsigned_text = encode_segment_header(ai, crypto::keccak256({}), nullptr);
    EXPECT_TRUE(reader.read(unsigned_text, std::nullopt));
    EXPECT_EQ(reader.read(unsigned_text, key.address()).error().code, Errc::kForbidden);
    EXPECT_EQ(reader.read("!!!!", key.address()).error().code, Errc::kInvalidArgument);
}

TEST(PaymentHeader, OffChainIsEmpty) {
    EXPECT_EQ(encode_payment_header(nullptr), "");
    EXPECT_EQ(decode_payment_header("").value(), std::nullopt);
}

TEST(PaymentHeader, NamesTheSenderAndAPrice) {
    const auto key = cow();
    const auto sender = key.address();
    const auto text = encode_payment_header(&sender);
    EXPECT_EQ(decode_payment_header(text).value(), key.address());
    net::Payment payment;
    ASSERT_TRUE(payment.ParseFromString(std::string(as_text(crypto::parse_base64(text).value()))));
    EXPECT_EQ(payment.expected_price().pixelsperunit(), 1);
}

TEST(PaymentHeader, MalformedIsAnError) {
    EXPECT_FALSE(decode_payment_header("%%%%"));
    net::Payment payment;
    payment.set_sender("short");
    EXPECT_FALSE(decode_payment_header(crypto::base64(as_bytes(payment.SerializeAsString()))));
    payment.set_sender(std::string(20, '\0'));
    EXPECT_EQ(
        decode_payment_header(crypto::base64(as_bytes(payment.SerializeAsString()))).value(), std::nullopt
    );
}

}  // namespace
}  // namespace framegrid::wire
