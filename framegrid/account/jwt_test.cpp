#include <framegrid/account/jwt.hpp>

#include <algorithm>
#include <memory>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <boost/json.hpp>

#include <framegrid/crypto/hash.hpp>

#include <gtest/gtest.h>

namespace framegrid::account {
namespace {

namespace json = boost::json;

constexpr std::int64_t kUnixNow = 1'700'000'000'000;
constexpr std::int64_t kNowSeconds = kUnixNow / 1'000;

std::string base64url(BytesView bytes) {
    auto text = crypto::base64(bytes);
    std::ranges::replace(text, '+', '-');
    std::ranges::replace(text, '/', '_');
    text.resize(text.find_last_not_of('=') + 1);
    return text;
}

// A private key that signs tokens, and its public half as a JWK.
class Signer {
  public:
    Signer(std::string id, std::uint8_t seed) : id_(std::move(id)) {
        const Bytes secret(32, seed);
        key_.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, secret.data(), secret.size()));
    }
    json::object jwk() const {
        Bytes x(32);
        std::size_t size = x.size();
        EXPECT_EQ(EVP_PKEY_get_raw_public_key(key_.get(), x.data(), &size), 1);
        return {{"kty", "OKP"}, {"crv", "Ed25519"}, {"kid", id_}, {"use", "sig"}, {"x", base64url(x)}};
    }
    std::string sign(const json::object& claims, json::object header = {}) const {
        if (header.empty()) {
            header = {{"alg", "EdDSA"}, {"kid", id_}, {"typ", "JWT"}};
        }
        const auto text =
            base64url(as_bytes(json::serialize(header))) + "." + base64url(as_bytes(json::serialize(claims)));
        Bytes signature(64);
        std::size_t size = signature.size();
        EVP_MD_CTX* context = EVP_MD_CTX_new();
        EXPECT_EQ(EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key_.get()), 1);
        EXPECT_EQ(EVP_DigestSign(context, signature.data(), &size, as_bytes(text).data(), text.size()), 1);
        EVP_MD_CTX_free(context);
        return text + "." + base64url(signature);
    }

  private:
    struct Free {
        void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    };
    std::string id_;
    std::unique_ptr<EVP_PKEY, Free> key_;
};

class JwtTest : public testing::Test {
  protected:
    JwtTest() { show({signer_.jwk()}); }
    void show(json::array keys) {
        auto parsed = TokenKeys::parse(json::serialize(json::object{{"keys", std::move(keys)}}));
        ASSERT_TRUE(parsed) << parsed.error().message;
        keys_ = *std::move(parsed);
    }
    static json::object claims() {
        return {{"iss", "https://id.example"}, {"aud", "framegrid"},      {"sub", "alice"},
                {"exp", kNowSeconds + 60},     {"nbf", kNowSeconds - 60}, {"scope", "openid jobs:read"}};
    }
    Result<Permit> verify(const std::string& token) const {
        return verify_token(token, keys_, rules_, kUnixNow);
    }
    std::string field(const std::string& token) const {
        const auto permit = verify(token);
        EXPECT_FALSE(permit);
        EXPECT_TRUE(permit || permit.error().code == Errc::kUnauthorized);
        return permit ? "accepted" : permit.error().field;
    }
    std::string field_without(std::string_view claim) {
        auto all = claims();
        all.erase(claim);
        return field(signer_.sign(all));
    }
    std::string field_with(std::string_view claim, json::value value) {
        auto all = claims();
        all[claim] = std::move(value);
        return field(signer_.sign(all));
    }

    Signer signer_{"key-1", 1};
    TokenKeys keys_;
    TokenRules rules_{.issuer = "https://id.example", .audience = "framegrid"};
};

TEST_F(JwtTest, ClaimsBecomeAPermit) {
    auto all = claims();
    all["framegrid_limits"] = json::object{{"concurrent_jobs", 3}};
    all["aud"] = json::array{"other", "framegrid"};
    all["scope"] = json::array{"jobs:read", "jobs:write", "profile"};
    const auto permit = verify(signer_.sign(all));
    ASSERT_TRUE(permit) << permit.error().message;
    EXPECT_EQ(permit->owner, "alice");
    EXPECT_EQ(permit->subject, "alice");
    EXPECT_EQ(permit->scopes.text(), "jobs:read jobs:write");
    EXPECT_EQ(permit->limits.running_max, 3U);
    rules_.owner_claim = "org";
    EXPECT_EQ(field(signer_.sign(all)), "org");
    all["org"] = "acme";
    EXPECT_EQ(verify(signer_.sign(all)).value().owner, "acme");
    all["org"] = "";
    EXPECT_EQ(field(signer_.sign(all)), "org") << "the owner of jobs without authentication is nobody's";
}

TEST_F(JwtTest, WrongClaimsAreRefused) {
    EXPECT_TRUE(verify(signer_.sign(claims())));
    for (const auto* claim : {"iss", "aud", "exp", "sub"}) {
        EXPECT_EQ(field_without(claim), claim);
    }
    EXPECT_EQ(field_with("iss", "https://id.example/"), "iss");
    EXPECT_EQ(field_with("aud", "framegrid2"), "aud");
    EXPECT_EQ(field_with("aud", json::array{}), "aud");
    EXPECT_EQ(field_with("exp", kNowSeconds - 31), "exp");
    EXPECT_EQ(field_with("exp", "tomorrow"), "exp");
    EXPECT_EQ(field_with("exp", 1e300), "exp");
    EXPECT_EQ(field_with("nbf", kNowSeconds + 31), "nbf");
    EXPECT_EQ(field_with("nbf", "now"), "nbf");
    EXPECT_EQ(field_with("framegrid_limits", "none"), "framegrid_limits");
    auto late = claims();
    late["exp"] = kNowSeconds - 29;
    EXPECT_TRUE(verify(signer_.sign(late))) << "clocks differ a little";
}

TEST_F(JwtTest, AlgorithmsCannotBeConfused) {
    EXPECT_EQ(field(signer_.sign(claims(), {{"alg", "none"}, {"kid", "key-1"}})), "alg");
    EXPECT_EQ(field(signer_.sign(claims(), {{"alg", "HS256"}, {"kid", "key-1"}})), "alg");
    EXPECT_EQ(field(signer_.sign(claims(), {{"alg", "RS256"}, {"kid", "key-1"}})), "alg");
    EXPECT_EQ(field(signer_.sign(claims(), {{"kid", "key-1"}})), "alg");
    EXPECT_EQ(
        field(signer_.sign(
            claims(), {{"alg", "EdDSA"}, {"kid", "key-1"}, {"crit", json::array{"b64"}}, {"b64", false}}
        )),
        "crit"
    );
    // The public key as a secret of HMAC: the classic.
    const auto head = base64url(as_bytes(R"({"alg":"HS256","kid":"key-1"})")) + "." +
                      base64url(as_bytes(json::serialize(claims())));
    const auto secret = parse_base64url(std::string(signer_.jwk().at("x").as_string())).value();
    EXPECT_EQ(field(head + "." + base64url(crypto::hmac_sha256(secret, as_bytes(head)))), "alg");
}

TEST_F(JwtTest, KeysAreFoundByTheirIds) {
    const Signer next("key-2", 2);
    EXPECT_EQ(field(next.sign(claims())), "kid");
    show({signer_.jwk(), next.jwk()});
    EXPECT_TRUE(verify(next.sign(claims())));
    EXPECT_TRUE(verify(signer_.sign(claims())));
    EXPECT_EQ(field(signer_.sign(claims(), {{"alg", "EdDSA"}})), "kid") << "which of the two?";
    EXPECT_EQ(field(next.sign(claims(), {{"alg", "EdDSA"}, {"kid", "key-1"}})), "") << "a wrong signature";
    show({next.jwk()});
    EXPECT_EQ(field(signer_.sign(claims())), "kid") << "rotated away";
    EXPECT_TRUE(verify(next.sign(claims(), {{"alg", "EdDSA"}})));
}

TEST_F(JwtTest, GarbageIsRefused) {
    const auto token = signer_.sign(claims());
    for (const auto& bad :
         {std::string(), std::string("."), std::string(".."), std::string("a.b.c"), token + ".x",
          token.substr(0, token.rfind('.') + 1), token.substr(0, token.size() - 4), token + "=",
          std::string(kTokenBytesMax + 1, '.')}) {
        EXPECT_FALSE(verify(bad)) << bad;
    }
    for (std::size_t at = 0; at < token.size(); at += 3) {
        auto changed = token;
        changed[at] = changed[at] == 'A' ? 'B' : 'A';
        if (changed != token && at + 2 < token.size()) {
            EXPECT_FALSE(verify(changed)) << at;
        }
    }
}

bool verifies(std::string_view jwk, std::string_view signed_text, std::string_view signature) {
    const auto key = TokenKey::parse(jwk);
    EXPECT_TRUE(key) << key.error().message;
    const auto bytes = parse_base64url(signature);
    return key && bytes && key->verify(as_bytes(signed_text), *bytes);
}

// The examples of the standards.
TEST(TokenKey, VerifiesWhatOthersSigned) {
    // RFC 7515, A.3
    constexpr std::string_view kP256 =
        R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
        R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})";
    const std::string text =
        "eyJhbGciOiJFUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const std::string signature =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    EXPECT_TRUE(verifies(kP256, text, signature));
    EXPECT_FALSE(verifies(kP256, text + "x", signature));
    EXPECT_FALSE(verifies(kP256, text, signature.substr(4)));
    EXPECT_FALSE(verifies(kP256, text, ""));
    // RFC 8037, A.4
    EXPECT_TRUE(verifies(
        R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})",
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    ));
}

TEST(TokenKey, VerifiesRsa) {
    EVP_PKEY* key = EVP_RSA_gen(2'048);
    BIGNUM* n = nullptr;
    ASSERT_EQ(EVP_PKEY_get_bn_param(key, "n", &n), 1);
    Bytes modulus(256);
    BN_bn2bin(n, modulus.data());
    BN_free(n);
    const auto jwk = json::serialize(
        json::object{{"kty", "RSA"}, {"alg", "RS256"}, {"n", base64url(modulus)}, {"e", "AQAB"}}
    );
    const std::string text = "a.b";
    Bytes signature(256);
    std::size_t size = signature.size();
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EXPECT_EQ(EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key), 1);
    EXPECT_EQ(EVP_DigestSign(context, signature.data(), &size, as_bytes(text).data(), text.size()), 1);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    EXPECT_TRUE(verifies(jwk, text, base64url(signature)));
    signature.front() ^= 1;
    EXPECT_FALSE(verifies(jwk, text, base64url(signature)));
}

TEST(TokenKeys, LeaveOutWhatIsForSomethingElse) {
    const std::string good =
        R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})";
    const auto sizes = [](const std::string& keys) {
        const auto parsed = TokenKeys::parse(R"({"keys":[)" + keys + "]}");
        return parsed ? static_cast<int>(parsed->size()) : -1;
    };
    EXPECT_EQ(sizes(good), 1);
    EXPECT_EQ(sizes(good + R"(,{"kty":"oct","k":"AQ"})"), 1) << "a shared secret is no public key";
    EXPECT_EQ(sizes(good + R"(,{"kty":"RSA","use":"enc","n":"AQ","e":"AQAB"})"), 1);
    EXPECT_EQ(sizes(good + R"(,{"kty":"RSA","alg":"PS256","n":"AQ","e":"AQAB"})"), 1);
    EXPECT_EQ(sizes(good + R"(,{"kty":"RSA","n":"AQAB","e":"AQAB"})"), 1) << "a short modulus";
    EXPECT_EQ(sizes(good + R"(,{"kty":"EC","crv":"P-521","x":"AQ","y":"AQ"})"), 1);
    EXPECT_EQ(sizes(R"({"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"})"), -1);
    EXPECT_EQ(sizes(R"({"kty":"OKP","crv":"Ed25519","x":"AQ"})"), -1);
    EXPECT_EQ(
        sizes(
            R"({"kty":"EC","crv":"P-256","x":")" + std::string(43, 'A') + R"(","y":")" +
            std::string(43, 'A') + R"("})"
        ),
        -1
    ) << "no point of the curve";
    EXPECT_EQ(sizes(""), -1);
    for (const auto* text : {"", "[]", "{}", R"({"keys":{}})", R"({"keys":[1]})"}) {
        EXPECT_FALSE(TokenKeys::parse(text)) << text;
    }
}

}  // namespace
}  // namespace framegrid::account
