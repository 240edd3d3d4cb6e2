// AWS Signature Version 4 of a request's headers (Amazon S3 API reference, "Authenticating Requests").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <framegrid/http/client.hpp>

namespace framegrid::objects_s3 {

struct Credentials {
    std::string access_key;
    std::string secret_key;     // never logged
    std::string session_token;  // of temporary credentials; else empty
};

// Where a signature is valid.
struct SigningScope {
    std::string region;  // "us-east-1"
    std::string service = "s3";
};

// Percent-encodes everything but unreserved characters; slashes only without `keep_slashes`.
std::string uri_encode(std::string_view text, bool keep_slashes);

// Adds x-amz-date, x-amz-content-sha256, the session token and authorization. Every header that the request
// has by then is signed; its target is encoded already. `payload_sha256`: 64 hex digits.
void sign(
    http::Request& request, const Credentials& credentials, const SigningScope& scope,
    std::string_view payload_sha256, std::int64_t now_unix_ms
);

}  // namespace framegrid::objects_s3
