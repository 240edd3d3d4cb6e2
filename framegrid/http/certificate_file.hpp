// What a server's certificate says, for somebody who looks for mistakes.
#pragma once

#include <cstdint>
#include <string>

#include <framegrid/base/result.hpp>
#include <framegrid/http/server.hpp>

namespace framegrid::http {

struct CertificateFacts {
    std::int64_t begins_unix_s = 0;
    std::int64_t ends_unix_s = 0;
    bool key_matches = false;
};

// kIo, kNotFound: a file cannot be read; kInvalidArgument: it is not PEM of what it should be. `field` says
// which: "tls-certificate" or "tls-key".
Result<CertificateFacts> inspect_certificate(const TlsFiles& files);
// Whether clients that ask for this host name or address would accept the certificate's names.
bool certificate_is_for(const TlsFiles& files, const std::string& host);

}  // namespace framegrid::http
