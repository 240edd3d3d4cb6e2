// Uploads that are resumed and URLs that need no key, on fakes.
#include <framegrid/rest/signed_url.hpp>
#include <framegrid/rest/test_fakes.hpp>
#include <framegrid/rest/tus_headers.hpp>
#include <framegrid/rest/uploads_api.hpp>

#include <boost/json.hpp>

#include <framegrid/api/memory_artifacts.hpp>
#include <framegrid/api/memory_job_store.hpp>
#include <framegrid/api/memory_uploads.hpp>

namespace framegrid::rest {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

class NoJobs final : public gateway::JobWork {
  public:
    Task<Result<std::string>> quote(std::string, job::Document, Deadline) override { co_return "{}"; }
    Task<Result<std::string>> run(job::Record, gateway::JobTeller, Deadline) override { co_return "{}"; }
};

class NoSteps final : public gateway::WorkflowWork {
  public:
    Task<Result<bool>> serve() override { co_return true; }
    Task<Result<std::string>> quote(std::string, job::Document, Deadline) override { co_return "{}"; }
    Task<Result<std::string>> run(job::Record, gateway::JobTeller, Deadline) override { co_return "{}"; }
};

class NoMessages final : public gateway::MessageSender {
  public:
    Task<Result<int>> send(job::Delivery, Deadline) override { co_return 200; }
};

class Keys final : public Authenticator {
  public:
    Task<Result<account::Permit>> authenticate(AccessRequest request) override {
        if (request.token.empty()) {
            co_return fail(Errc::kUnauthorized, "no");
        }
        co_return account::Permit{request.token, request.token, account::kUserScopes, {}};
    }
    account::Limits limits_of(const std::string& /*owner*/) const override { return {}; }
    Task<Result<bool>> serve() override { co_return true; }
};

class UploadsTest : public RestTest {
  protected:
    UploadsTest() {
        jobs_.emplace(JobPorts{*desk_, store_, objects_, index_, work_, steps_, {}, &uploads_, Bytes(32, 7)});
    }
    std::unique_ptr<Sent> tus(
        const std::string& method, const std::string& target, Fields headers, std::string_view body = {}
    ) {
        headers.push_back({"tus-resumable", "1.0.0"});
        if (!key_.empty()) {
            headers.push_back({"x-api-key", key_});
        }
        return send(method, target, headers, body);
    }
    std::string begin(const std::string& length, Fields headers = {}) {
        headers.push_back({"upload-length", length});
        const auto sent = tus("POST", "/v1/uploads", headers);
        EXPECT_EQ(sent->status(), 201) << sent->text();
        const std::string origin = "https://gateway.test:9935";
        const auto location = sent->header("location");
        EXPECT_TRUE(location.starts_with(origin + "/v1/uploads/upl_")) << location;
        return location.substr(origin.size());
    }
    std::unique_ptr<Sent> patch(
        const std::string& path, const std::string& offset, std::string_view body, Fields headers = {}
    ) {
        headers.push_back({"upload-offset", offset});
        headers.push_back({"content-type", "application/offset+octet-stream"});
        return tus("PATCH", path, headers, body);
    }
    std::string store(std::string_view bytes) {
        return patch(begin(std::to_string(bytes.size())), "0", bytes)->header("framegrid-artifact");
    }
    std::string signed_path(const std::string& artifact, std::string_view body = "{}") {
        const auto sent = tus("POST", "/v1/artifacts/" + artifact + "/signed-url", {}, body);
        EXPECT_EQ(sent->status(), 200) << sent->text();
        const std::string url(json::parse(sent->text()).at("url").as_string());
        return url.substr(std::string("https://gateway.test:9935").size());
    }

    api::MemoryJobStore store_{clock_};
    api::MemoryObjects objects_;
    api::MemoryArtifacts index_;
    api::MemoryUploads uploads_{objects_, clock_};
    NoJobs work_;
    NoSteps steps_;
    NoMessages messages_;
    Keys keys_;
    std::string key_;
    std::unique_ptr<gateway::JobDesk> desk_ =
        gateway::make_job_desk({loop_.get_executor(), clock_, random_, {}, store_, work_, messages_, {}}, {});
};

TEST_F(UploadsTest, PiecesBecomeAnArtifact) {
    const auto path = begin("10", {{"upload-metadata", "filename Y2F0LnR4dA==,draft"}});
    EXPECT_EQ(patch(path, "0", "hello")->header("upload-offset"), "5");
    const auto head = tus("HEAD", path, {});
    EXPECT_EQ(head->status(), 200);
    EXPECT_EQ(head->header("upload-offset"), "5");
    EXPECT_EQ(head->header("upload-length"), "10");
    EXPECT_EQ(head->header("upload-metadata"), "filename Y2F0LnR4dA==,draft");
    EXPECT_EQ(head->header("cache-control"), "no-store");
    EXPECT_TRUE(head->header("upload-expires").ends_with(" GMT"));
    EXPECT_EQ(patch(path, "4", "xxxxx")->status(), 409);
    const auto last = patch(path, "5", "world");
    EXPECT_EQ(last->status(), 204) << last->text();
    const auto artifact = last->header("framegrid-artifact");
    const auto shown = json::parse(send("GET", "/v1/artifacts/" + artifact)->text()).as_object();
    EXPECT_EQ(shown.at("name").as_string(), "cat.txt");
    EXPECT_EQ(shown.at("bytes").as_int64(), 10);
    EXPECT_EQ(send("GET", "/v1/artifacts/" + artifact + "/content")->text(), "helloworld");
    EXPECT_EQ(json::parse(tus("GET", path, {})->text()).at("artifact").as_string(), artifact);
    EXPECT_EQ(patch(path, "10", "x")->status(), 413);
    EXPECT_EQ(tus("DELETE", path, {})->status(), 204);
    EXPECT_EQ(tus("HEAD", path, {})->status(), 404);
    EXPECT_EQ(send("GET", "/v1/artifacts/" + artifact)->status(), 200) << "the file stays";
}

TEST_F(UploadsTest, CreationMayBringTheBytes) {
    const auto sent =
        tus("POST", "/v1/uploads",
            {{"upload-length", "3"}, {"content-type", "application/offset+octet-stream"}}, "abc");
    EXPECT_EQ(sent->status(), 201);
    EXPECT_EQ(sent->header("upload-offset"), "3");
    EXPECT_NE(sent->header("framegrid-artifact"), "(none)");
    const auto empty = tus("POST", "/v1/uploads", {{"upload-length", "0"}});
    EXPECT_NE(empty->header("framegrid-artifact"), "(none)");
}

TEST_F(UploadsTest, AChecksumIsOfAllOrNothing) {
    const auto path = begin("5");
    const auto wrong = patch(path, "0", "hellp", {{"upload-checksum", "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00="}});
    EXPECT_EQ(wrong->status(), 460) << wrong->text();
    EXPECT_EQ(tus("HEAD", path, {})->header("upload-offset"), "0");
    EXPECT_EQ(patch(path, "0", "hello", {{"upload-checksum", "md5 x"}})->status(), 400);
    EXPECT_EQ(
        patch(path, "0", "hello", {{"upload-checksum", "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00="}})->status(), 204
    );
}

TEST_F(UploadsTest, RefusesWhatIsNotTus) {
    EXPECT_EQ(send("POST", "/v1/uploads", {{"upload-length", "5"}})->status(), 412);
    EXPECT_EQ(tus("POST", "/v1/uploads", {})->status(), 400);
    EXPECT_EQ(tus("POST", "/v1/uploads", {{"upload-length", "99999999999999"}})->status(), 413);
    EXPECT_EQ(
        tus("POST", "/v1/uploads", {{"upload-length", "1"}, {"upload-metadata", "a $"}})->status(), 400
    );
    const auto path = begin("5");
    EXPECT_EQ(tus("PATCH", path, {{"upload-offset", "0"}}, "x")->status(), 415);
    EXPECT_EQ(patch(path, "-1", "x")->status(), 400);
    const auto options = send("OPTIONS", "/v1/uploads");
    EXPECT_EQ(options->status(), 204);
    EXPECT_EQ(options->header("tus-version"), "1.0.0");
}

TEST_F(UploadsTest, WhoHasBegunTooManyIsToldSo) {
    const auto first = begin("5");
    for (std::size_t i = 1; i < UploadsSettings{}.uploads_of_owner_max; ++i) {
        begin("5");
    }
    const auto refused = tus("POST", "/v1/uploads", {{"upload-length", "5"}});
    EXPECT_EQ(refused->status(), 429) << "the gateway itself has room";
    EXPECT_EQ(json::parse(refused->text()).at("field").as_string(), "uploads");
    EXPECT_EQ(tus("DELETE", first, {})->status(), 204);
    begin("5");
}

TEST_F(UploadsTest, TheLaterRequestTakesOver) {
    const auto path = begin("4");
    EXPECT_EQ(patch(path, "0", "a")->status(), 204);
    const auto broken = std::make_unique<Sent>();
    auto lost = std::make_unique<Sent>();
    lost->body.pieces.push_back(Blob::copy_of("b"));
    lost->body.broken = true;  // what arrived before the connection broke stays
    const auto sent = start(
        std::move(lost), "PATCH", path,
        {{"tus-resumable", "1.0.0"},
         {"upload-offset", "1"},
         {"content-type", "application/offset+octet-stream"}}
    );
    EXPECT_EQ(sent->status(), 503);
    EXPECT_EQ(tus("HEAD", path, {})->header("upload-offset"), "2");
    EXPECT_EQ(patch(path, "2", "cd")->status(), 204);
}

TEST_F(UploadsTest, OwnersAndTime) {
    authenticator_ = &keys_;
    key_ = "one";
    const auto path = begin("4");
    key_ = "two";
    EXPECT_EQ(tus("HEAD", path, {})->status(), 404);
    EXPECT_EQ(patch(path, "0", "a")->status(), 404);
    EXPECT_EQ(tus("DELETE", path, {})->status(), 404);
    key_ = "one";
    EXPECT_EQ(patch(path, "0", "a")->status(), 204);
    EXPECT_EQ(send("HEAD", path)->status(), 401);
    clock_.advance(25h);
    pass(2s);
    EXPECT_EQ(tus("HEAD", path, {})->status(), 404);
}

TEST_F(UploadsTest, ASignedUrlNeedsNoKey) {
    authenticator_ = &keys_;
    key_ = "one";
    const auto artifact = store("0123456789");
    const auto path = signed_path(artifact, R"({"expires_in":60})");
    EXPECT_EQ(send("GET", path)->text(), "0123456789");
    EXPECT_EQ(send("HEAD", path)->status(), 200);
    const auto part = send("GET", path, {{"range", "bytes=2-4"}});
    EXPECT_EQ(part->status(), 206);
    EXPECT_EQ(part->text(), "234");
    EXPECT_EQ(send("DELETE", path)->status(), 405);
    const auto content = "/v1/artifacts/" + artifact + "/content";
    EXPECT_EQ(send("GET", content)->status(), 401);
    auto forged = path;
    forged.back() = forged.back() == '0' ? '1' : '0';
    EXPECT_EQ(send("GET", forged)->status(), 403);
    EXPECT_EQ(tus("GET", forged, {})->status(), 403);
    EXPECT_EQ(send("GET", content + "?signature=")->status(), 403);
    const auto other = store("other");
    EXPECT_EQ(
        send("GET", "/v1/artifacts/" + other + "/content" + path.substr(path.find('?')))->status(), 403
    );
    clock_.advance(61s);
    EXPECT_EQ(send("GET", path)->status(), 403) << "expired";
    const auto later = signed_path(artifact);
    EXPECT_EQ(send("GET", later)->status(), 200);
    EXPECT_EQ(tus("DELETE", "/v1/artifacts/" + artifact, {})->status(), 204);
    EXPECT_EQ(send("GET", later)->status(), 404);
    key_ = "two";
    EXPECT_EQ(tus("POST", "/v1/artifacts/" + other + "/signed-url", {}, "{}")->status(), 404);
    key_ = "one";
    for (const auto* bad :
         {"[]", R"({"expires_in":0})", R"({"expires_in":1e9})", R"({"expires_in":604801})"}) {
        EXPECT_EQ(tus("POST", "/v1/artifacts/" + other + "/signed-url", {}, bad)->status(), 400) << bad;
    }
}

TEST(SignedUrl, DoesNotOutliveTheTime) {
    const Bytes secret(32, 1);
    const auto query = sign_url(secret, "art_1", 1'000);
    EXPECT_TRUE(is_signed(query));
    EXPECT_TRUE(check_signed_url(secret, "art_1", query, 999'999));
    EXPECT_FALSE(check_signed_url(secret, "art_1", query, 1'000'000));
    EXPECT_FALSE(check_signed_url(secret, "art_2", query, 0));
    EXPECT_FALSE(check_signed_url(Bytes(32, 2), "art_1", query, 0));
    EXPECT_FALSE(check_signed_url(secret, "art_1", "expires=2000" + query.substr(12), 0));
    EXPECT_FALSE(is_signed("expires=5"));
}

TEST(TusHeaders, Metadata) {
    const auto all = parse_tus_metadata("filename d29ybGQ=, is_draft,empty ");
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), 3U);
    EXPECT_EQ(all->at(0).value, "world");
    EXPECT_EQ(all->at(1).name, "is_draft");
    EXPECT_TRUE(parse_tus_metadata("")->empty());
    for (const auto* bad : {"a YQ==,a YQ==", ",", "a %", "a YQ== YQ=="}) {
        EXPECT_FALSE(parse_tus_metadata(bad)) << bad;
    }
    EXPECT_FALSE(parse_tus_metadata(std::string(5'000, 'a')));
    EXPECT_FALSE(parse_tus_number("9223372036854775808", "upload-length"));
    EXPECT_FALSE(parse_tus_number(" 1", "upload-length"));
    EXPECT_EQ(*parse_tus_number("9223372036854775807", "upload-length"), std::uint64_t{INT64_MAX});
}

}  // namespace
}  // namespace framegrid::rest
