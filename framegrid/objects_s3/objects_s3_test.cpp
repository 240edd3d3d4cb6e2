// The examples of "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API reference; the
// store itself is tested with a real server in tests/e2e/network/test_s3.py.
#include <framegrid/objects_s3/s3_objects.hpp>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/objects_s3/s3_listing.hpp>

#include <gtest/gtest.h>

namespace framegrid::objects_s3 {
namespace {

const Credentials kExample{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
constexpr std::int64_t kAt = 1'369'353'600'000;  // 2013-05-24T00:00:00Z

std::string signature_of(http::Request request, std::string_view payload) {
    sign(request, kExample, {"us-east-1", "s3"}, crypto::hex(crypto::sha256(as_bytes(payload))), kAt);
    const auto authorization = std::string(request.headers.get("authorization").value());
    return authorization.substr(authorization.find("SignedHeaders="));
}

http::Request request_for(std::string method, std::string target) {
    http::Request request;
    request.method = std::move(method);
    request.url = http::parse_url("https://examplebucket.s3.amazonaws.com").value();
    request.url.target = std::move(target);
    return request;
}

TEST(SigV4, GetObject) {
    auto request = request_for("GET", "/test.txt");
    request.headers.add("range", "bytes=0-9");
    EXPECT_EQ(
        signature_of(request, ""),
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    );
}

TEST(SigV4, PutObject) {
    auto request = request_for("PUT", "/" + uri_encode("test$file.text", true));
    request.headers.add("date", "Fri, 24 May 2013 00:00:00 GMT");
    request.headers.add("x-amz-storage-class", "REDUCED_REDUNDANCY");
    EXPECT_EQ(
        signature_of(request, "Welcome to Amazon S3."),
        "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,"
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    );
}

TEST(SigV4, QueriesAreSortedAndHaveValues) {
    const std::string lifecycle =
        "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543";
    EXPECT_TRUE(signature_of(request_for("GET", "/?lifecycle"), "").ends_with(lifecycle));
    EXPECT_TRUE(signature_of(request_for("GET", "/?lifecycle="), "").ends_with(lifecycle));
    const std::string list = "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
    EXPECT_TRUE(signature_of(request_for("GET", "/?prefix=J&max-keys=2"), "").ends_with(list));
}

TEST(SigV4, TemporaryCredentialsSignTheirToken) {
    auto request = request_for("GET", "/");
    auto credentials = kExample;
    credentials.session_token = "token";
    sign(request, credentials, {"us-east-1", "s3"}, "UNSIGNED-PAYLOAD", kAt);
    EXPECT_EQ(request.headers.get("x-amz-security-token"), "token");
    EXPECT_NE(request.headers.get("authorization")->find("x-amz-security-token"), std::string_view::npos);
}

TEST(SigV4, Encoding) {
    EXPECT_EQ(uri_encode("a b/c+d~", true), "a%20b/c%2Bd~");
    EXPECT_EQ(uri_encode("a/b", false), "a%2Fb");
}

// As in the reference of ListObjectsV2, shortened.
TEST(S3Objects, Listings) {
    const auto page = parse_listing(
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>1ue/x=</"
        "NextContinuationToken>"
        "<Contents><Key>a/b/one</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified></Contents>"
        "<Contents><Key>two</Key><LastModified>yesterday</LastModified></Contents></ListBucketResult>"
    );
    EXPECT_EQ(page.next, "1ue/x=");
    ASSERT_EQ(page.objects.size(), 2U);
    EXPECT_EQ(page.objects[0].name, "one");
    EXPECT_EQ(page.objects[0].changed_unix_ms, 1'255'369'830'000);
    EXPECT_EQ(page.objects[1].name, "two");
    EXPECT_GT(page.objects[1].changed_unix_ms, std::int64_t{1} << 60);
    EXPECT_TRUE(parse_listing("<IsTruncated>false</IsTruncated><NextContinuationToken>x").next.empty());
    EXPECT_TRUE(parse_listing("<Contents><Key>").objects.empty());
}

TEST(S3Objects, Places) {
    S3Settings settings;
    ASSERT_TRUE(set_place(settings, "s3://films"));
    EXPECT_EQ(settings.bucket + "|" + settings.prefix, "films|");
    ASSERT_TRUE(set_place(settings, "s3://films/a/b"));
    EXPECT_EQ(settings.bucket + "|" + settings.prefix, "films|a/b/");
    for (const auto* bad : {"", "s3://", "s3:///x", "films", "https://films"}) {
        EXPECT_FALSE(set_place(settings, bad)) << bad;
    }
}

}  // namespace
}  // namespace framegrid::objects_s3
