#include <framegrid/http/certificate.hpp>

#include <algorithm>
#include <array>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

namespace framegrid::http {

namespace {

constexpr long kBackdateSeconds = 3600;  // peers' clocks may be behind
constexpr long kValiditySeconds = 8765L * 3600;

bool add_extension(X509* certificate, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    if (extension == nullptr) {
        return false;
    }
    const bool added = X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

bool set_serial(X509* certificate) {
    std::array<std::uint8_t, 16> bytes{};
    if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
        return false;
    }
    bytes[0] &= 0x7f;  // a serial number is positive
    const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
        BN_bin2bn(bytes.data(), bytes.size(), nullptr), BN_free
    );
    return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_name(X509* certificate, const std::string& host_name) {
    X509_NAME* name = X509_get_subject_name(certificate);
    const auto* text = reinterpret_cast<const unsigned char*>(host_name.data());
    const int size =
        static_cast<int>(std::min<std::size_t>(host_name.size(), 64));  // the limit of a common name
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, size, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1;
}

bool is_dns_name(const std::string& name) {
    return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '.';
    });
}

}  // namespace

std::string openssl_error() {
    const unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    return reason == nullptr ? "unknown TLS error" : reason;
}

Result<Certificate> make_certificate(const std::string& host_name) {
    if (!is_dns_name(host_name)) {
        return fail(Errc::kInvalidArgument, "not a DNS name for a certificate", "host_name");
    }
    Certificate out;
    out.key.reset(EVP_EC_gen("P-256"), EVP_PKEY_free);
    out.x509.reset(X509_new(), X509_free);
    X509* x509 = out.x509.get();
    const bool made =
        out.key && x509 != nullptr && X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) &&
        X509_gmtime_adj(X509_getm_notBefore(x509), -kBackdateSeconds) != nullptr &&
        X509_gmtime_adj(X509_getm_notAfter(x509), kValiditySeconds - kBackdateSeconds) != nullptr &&
        set_name(x509, host_name) && X509_set_pubkey(x509, out.key.get()) == 1 &&
        add_extension(x509, NID_basic_constraints, "critical,CA:TRUE") &&
        add_extension(x509, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
        add_extension(x509, NID_ext_key_usage, "serverAuth") &&
        add_extension(x509, NID_subject_alt_name, "DNS:" + host_name) &&
        X509_sign(x509, out.key.get(), EVP_sha256()) > 0;
    if (!made) {
        return fail(Errc::kInternal, "cannot make a certificate: " + openssl_error());
    }
    return out;
}

}  // namespace framegrid::http
