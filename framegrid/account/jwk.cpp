#include <framegrid/account/jwk.hpp>

#include <algorithm>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <boost/json.hpp>

#include <framegrid/crypto/hash.hpp>

namespace framegrid::account {

namespace {

namespace json = boost::json;

constexpr std::size_t kKeysMax = 100;
constexpr int kRsaBitsMin = 2'048;
constexpr int kRsaBitsMax = 8'192;  // a signature of more takes too long to check
constexpr std::size_t kP256Bytes = 32;

template <auto Function>
struct FreeWith {
    template <class T>
    void operator()(T* pointer) const {
        Function(pointer);
    }
};
using BigNumber = std::unique_ptr<BIGNUM, FreeWith<BN_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, FreeWith<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, FreeWith<OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, FreeWith<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>>;

std::unexpected<Error> broken(const std::string& what) {
    ERR_clear_error();
    return fail(Errc::kInvalidArgument, "the key set holds a broken key: " + what, "jwks");
}

std::unexpected<Error> other_use() {
    return fail(Errc::kUnsupported, "a key for something else", "jwks");
}

std::string text_of(const json::object& object, const char* name) {
    const auto* value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

Result<Bytes> bytes_of(const json::object& object, const char* name) {
    const auto text = text_of(object, name);
    auto bytes = parse_base64url(text);
    if (text.empty() || !bytes) {
        return broken(std::string("its ") + name);
    }
    return bytes;
}

BigNumber number_of(BytesView bytes) {
    return BigNumber(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
}

Result<EVP_PKEY*> build(const char* type, OSSL_PARAM_BLD* builder) {
    const Parameters parameters(OSSL_PARAM_BLD_to_param(builder));
    const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY* key = nullptr;
    if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
        return broken(std::string(type) + " does not accept it");
    }
    return key;
}

Result<EVP_PKEY*> rsa_key(const json::object& jwk) {
    FG_TRY(modulus, bytes_of(jwk, "n"));
    FG_TRY(exponent, bytes_of(jwk, "e"));
    const auto n = number_of(modulus);
    const auto e = number_of(exponent);
    const Builder builder(OSSL_PARAM_BLD_new());
    if (!n || !e || !builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
        return broken("its numbers");
    }
    if (BN_num_bits(n.get()) < kRsaBitsMin || BN_num_bits(n.get()) > kRsaBitsMax) {
        return other_use();
    }
    return build("RSA", builder.get());
}

Result<EVP_PKEY*> p256_key(const json::object& jwk) {
    if (text_of(jwk, "crv") != "P-256") {
        return other_use();
    }
    FG_TRY(x, bytes_of(jwk, "x"));
    FG_TRY(y, bytes_of(jwk, "y"));
    if (x.size() != kP256Bytes || y.size() != kP256Bytes) {
        return broken("its point");
    }
    Bytes point{0x04};
    point.insert(point.end(), x.begin(), x.end());
    point.insert(point.end(), y.begin(), y.end());
    const Builder builder(OSSL_PARAM_BLD_new());
    if (!builder ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(
            builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()
        ) != 1) {
        return broken("its point");
    }
    return build("EC", builder.get());
}

Result<EVP_PKEY*> ed25519_key(const json::object& jwk) {
    if (text_of(jwk, "crv") != "Ed25519") {
        return other_use();
    }
    FG_TRY(x, bytes_of(jwk, "x"));
    EVP_PKEY* key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, x.data(), x.size());
    if (key == nullptr) {
        return broken("its x");
    }
    return key;
}

// r and s of JWS (RFC 7518, 3.4) as OpenSSL reads them.
Bytes der_of(BytesView signature) {
    if (signature.size() != 2 * kP256Bytes) {
        return {};
    }
    auto r = number_of(signature.first(kP256Bytes));
    auto s = number_of(signature.last(kP256Bytes));
    const Signature pair(ECDSA_SIG_new());
    if (!r || !s || !pair || ECDSA_SIG_set0(pair.get(), r.release(), s.release()) != 1) {
        return {};
    }
    std::uint8_t* out = nullptr;
    const int size = i2d_ECDSA_SIG(pair.get(), &out);
    Bytes der(out, out + std::max(size, 0));
    OPENSSL_free(out);
    return der;
}

}  // namespace

std::string_view to_string(TokenAlgorithm algorithm) {
    switch (algorithm) {
        case TokenAlgorithm::kRs256:
            return "RS256";
        case TokenAlgorithm::kEs256:
            return "ES256";
        case TokenAlgorithm::kEdDsa:
            break;
    }
    return "EdDSA";
}

Result<Bytes> parse_base64url(std::string_view text) {
    std::string standard(text);
    if (standard.find_first_of("+/=") != std::string::npos) {
        return fail(Errc::kInvalidArgument, "that is not base64url");
    }
    std::ranges::replace(standard, '-', '+');
    std::ranges::replace(standard, '_', '/');
    standard.resize((standard.size() + 3) / 4 * 4, '=');
    return crypto::parse_base64(standard);
}

Result<TokenKey> TokenKey::parse(std::string_view text) {
    boost::system::error_code error;
    const auto value = json::parse(text, error);
    if (error || !value.is_object()) {
        return broken("it is no object");
    }
    const auto& jwk = value.get_object();
    const auto type = text_of(jwk, "kty");
    TokenKey out;
    out.id_ = text_of(jwk, "kid");
    out.algorithm_ = type == "RSA"  ? TokenAlgorithm::kRs256
                     : type == "EC" ? TokenAlgorithm::kEs256
                                    : TokenAlgorithm::kEdDsa;
    const auto use = text_of(jwk, "use");
    const auto algorithm = text_of(jwk, "alg");
    const bool ed25519 = out.algorithm_ == TokenAlgorithm::kEdDsa && algorithm == "Ed25519";  // RFC 9864
    if ((type != "RSA" && type != "EC" && type != "OKP") || (!use.empty() && use != "sig") ||
        (!algorithm.empty() && algorithm != to_string(out.algorithm_) && !ed25519)) {
        return other_use();
    }
    FG_TRY(key, type == "RSA" ? rsa_key(jwk) : type == "EC" ? p256_key(jwk) : ed25519_key(jwk));
    out.key_ = std::shared_ptr<void>(key, Free());
    return out;
}

void TokenKey::Free::operator()(void* key) const {
    EVP_PKEY_free(static_cast<EVP_PKEY*>(key));
}

bool TokenKey::verify(BytesView signed_bytes, BytesView signature) const {
    auto* key = static_cast<EVP_PKEY*>(key_.get());
    const bool is_edwards = algorithm_ == TokenAlgorithm::kEdDsa;
    Bytes der;
    if (algorithm_ == TokenAlgorithm::kEs256) {
        der = der_of(signature);
        signature = der;
    }
    const DigestContext context(EVP_MD_CTX_new());
    const bool ok =
        context && !signature.empty() &&
        EVP_DigestVerifyInit(context.get(), nullptr, is_edwards ? nullptr : EVP_sha256(), nullptr, key) ==
            1 &&
        EVP_DigestVerify(
            context.get(), signature.data(), signature.size(), signed_bytes.data(), signed_bytes.size()
        ) == 1;
    ERR_clear_error();
    return ok;
}

Result<TokenKeys> TokenKeys::parse(std::string_view jwks) {
    boost::system::error_code error;
    const auto value = json::parse(jwks, error);
    const auto* object = error ? nullptr : value.if_object();
    const auto* keys = object == nullptr ? nullptr : object->if_contains("keys");
    if (keys == nullptr || !keys->is_array()) {
        return fail(Errc::kInvalidArgument, "a key set is a JSON object with \"keys\"", "jwks");
    }
    TokenKeys out;
    for (const auto& one : keys->get_array()) {
        if (out.keys_.size() >= kKeysMax) {
            break;
        }
        auto key = TokenKey::parse(json::serialize(one));
        if (key) {
            out.keys_.push_back(*std::move(key));
        } else if (key.error().code != Errc::kUnsupported) {
            return fail(std::move(key.error()));
        }
    }
    if (out.keys_.empty()) {
        return fail(Errc::kInvalidArgument, "the key set has no key for RS256, ES256 or EdDSA", "jwks");
    }
    return out;
}

const TokenKey* TokenKeys::find(std::string_view id) const {
    if (id.empty()) {
        return keys_.size() == 1 ? &keys_.front() : nullptr;
    }
    const auto found = std::ranges::find(keys_, id, &TokenKey::id);
    return found == keys_.end() ? nullptr : &*found;
}

}  // namespace framegrid::account
