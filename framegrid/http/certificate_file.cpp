#include <framegrid/http/certificate_file.hpp>

#include <cstdio>
#include <ctime>
#include <memory>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <framegrid/http/certificate.hpp>

namespace framegrid::http {

namespace {

struct FreePem {
    void operator()(X509* one) const { X509_free(one); }
    void operator()(EVP_PKEY* one) const { EVP_PKEY_free(one); }
    void operator()(BIO* one) const { BIO_free(one); }
};

// An encrypted key asks nobody: it cannot be used by a server that starts by itself.
int no_pem_password(char*, int, int, void*) {
    return 0;
}

Result<std::unique_ptr<BIO, FreePem>> open_pem(const std::string& path, const char* field) {
    std::unique_ptr<BIO, FreePem> file(BIO_new_file(path.c_str(), "r"));
    if (!file) {
        (void)openssl_error();
        return fail(Errc::kNotFound, "cannot read " + path, field);
    }
    return file;
}

Result<std::unique_ptr<X509, FreePem>> read_certificate(const std::string& path) {
    FG_TRY(file, open_pem(path, "tls-certificate"));
    std::unique_ptr<X509, FreePem> out(PEM_read_bio_X509(file.get(), nullptr, no_pem_password, nullptr));
    if (!out) {
        (void)openssl_error();
        return fail(Errc::kInvalidArgument, path + " has no certificate in PEM", "tls-certificate");
    }
    return out;
}

std::int64_t seconds_of(const ASN1_TIME* time) {
    std::tm parts{};
    return ASN1_TIME_to_tm(time, &parts) == 1 ? std::int64_t{::timegm(&parts)} : 0;
}

}  // namespace

Result<CertificateFacts> inspect_certificate(const TlsFiles& files) {
    FG_TRY(certificate, read_certificate(files.certificate_pem));
    FG_TRY(file, open_pem(files.key_pem, "tls-key"));
    const std::unique_ptr<EVP_PKEY, FreePem> key(
        PEM_read_bio_PrivateKey(file.get(), nullptr, no_pem_password, nullptr)
    );
    if (!key) {
        (void)openssl_error();
        return fail(
            Errc::kInvalidArgument, files.key_pem + " has no private key in PEM that is not encrypted",
            "tls-key"
        );
    }
    CertificateFacts out;
    out.begins_unix_s = seconds_of(X509_get0_notBefore(certificate.get()));
    out.ends_unix_s = seconds_of(X509_get0_notAfter(certificate.get()));
    out.key_matches = X509_check_private_key(certificate.get(), key.get()) == 1;
    (void)openssl_error();
    return out;
}

bool certificate_is_for(const TlsFiles& files, const std::string& host) {
    const auto certificate = read_certificate(files.certificate_pem);
    return certificate && (X509_check_host(certificate->get(), host.c_str(), host.size(), 0, nullptr) == 1 ||
                           X509_check_ip_asc(certificate->get(), host.c_str(), 0) == 1);
}

}  // namespace framegrid::http
