// Makes the certificate of a server that was given none.
#pragma once

#include <memory>
#include <string>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <framegrid/base/result.hpp>

namespace framegrid::http {

struct Certificate {
    std::shared_ptr<X509> x509;
    std::shared_ptr<EVP_PKEY> key;
};

// P-256, self-signed, a certificate authority for itself (keyCertSign + digitalSignature, serverAuth), DNS
// name `host_name`, a random 128-bit serial number, valid from one hour ago for 8765 hours.
Result<Certificate> make_certificate(const std::string& host_name);

// The newest OpenSSL error of this thread as text; clears the queue.
std::string openssl_error();

}  // namespace framegrid::http
