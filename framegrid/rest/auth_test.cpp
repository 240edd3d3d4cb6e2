// Who gets in, with what and how often, on fakes.
#include <framegrid/rest/jwt_auth.hpp>
#include <framegrid/rest/key_auth.hpp>
#include <framegrid/rest/test_fakes.hpp>

#include <boost/json.hpp>

namespace framegrid::rest {
namespace {

using namespace std::chrono_literals;

class FakeAuthenticator final : public Authenticator {
  public:
    Task<Result<account::Permit>> authenticate(AccessRequest request) override {
        requests.push_back(request);
        const auto found = permits.find(request.token);
        if (found == permits.end()) {
            co_return fail(refusal, "no");
        }
        co_return found->second;
    }
    account::Limits limits_of(const std::string& /*owner*/) const override { return {}; }
    Task<Result<bool>> serve() override { co_return true; }

    std::map<std::string, account::Permit> permits;
    std::vector<AccessRequest> requests;
    Errc refusal = Errc::kUnauthorized;
};

class GateTest : public RestTest {
  protected:
    GateTest() {
        authenticator_ = &who_;
        who_.permits["user"] = {"acme", "k1", account::kUserScopes, {}};
        who_.permits["reader"] = {"acme", "k2", {account::Scope::kJobsRead}, {}};
    }
    std::unique_ptr<Sent> echo(const std::string& key) {
        return send("POST", "/echo", {{"authorization", "Bearer " + key}}, "x");
    }
    static std::string detail(const Sent& sent) {
        EXPECT_EQ(sent.header("content-type"), "application/problem+json");
        return std::string(boost::json::parse(sent.text()).at("detail").as_string());
    }
    FakeAuthenticator who_;
};

TEST_F(GateTest, AsksForAKey) {
    const auto none = send("POST", "/echo", {}, "x");
    EXPECT_EQ(none->status(), 401);
    EXPECT_EQ(none->header("www-authenticate"), "Bearer realm=\"framegrid\"");
    EXPECT_EQ(none->body.pieces_read(), 0U) << "strangers fill no memory";
    EXPECT_EQ(
        echo("wrong")->header("www-authenticate"), "Bearer realm=\"framegrid\", error=\"invalid_token\""
    );
    EXPECT_EQ(echo("user")->status(), 200);
    EXPECT_EQ(send("POST", "/echo", {{"x-api-key", " user "}}, "x")->status(), 200);
    EXPECT_EQ(send("POST", "/echo", {{"authorization", "bEARER  user"}}, "x")->status(), 200);
    EXPECT_EQ(send("POST", "/echo", {{"authorization", "Basic user"}}, "x")->status(), 401);
    EXPECT_EQ(send("POST", "/upscale?key=user")->status(), 401) << "URLs are in logs";
    EXPECT_EQ(who_.requests.back().url, "https://gateway.test:9935/upscale");
    const auto asked = who_.requests.size();
    EXPECT_EQ(echo(std::string(10'000, 'x'))->status(), 401);
    EXPECT_EQ(who_.requests.size(), asked);
    EXPECT_EQ(rest().stats().gate.unauthorized, 5U);
}

TEST_F(GateTest, SomeRoutesAreOpenAndTheOperatorsAreElsewhere) {
    EXPECT_EQ(send("GET", "/healthz")->status(), 200);
    EXPECT_EQ(send("GET", "/")->status(), 200);
    EXPECT_EQ(send("GET", "/stream/none.m3u8")->status(), 404);
    EXPECT_EQ(send("OPTIONS", "/echo")->status(), 204);
    EXPECT_TRUE(who_.requests.empty());
    for (const auto* path : {"/status", "/metrics"}) {
        to_admin_ = false;
        EXPECT_EQ(send("GET", path, {{"authorization", "Bearer user"}})->status(), 404);
        to_admin_ = true;
        EXPECT_EQ(send("GET", path)->status(), 200);
    }
    EXPECT_EQ(send("POST", "/echo", {{"authorization", "Bearer user"}}, "x")->status(), 404);
    EXPECT_EQ(send("GET", "/healthz")->status(), 200);
}

TEST_F(GateTest, NamesTheScopeThatIsMissing) {
    const auto sent = echo("reader");
    EXPECT_EQ(sent->status(), 403);
    EXPECT_EQ(detail(*sent), "the key lacks the scope jobs:write");
    EXPECT_EQ(
        sent->header("www-authenticate"),
        "Bearer realm=\"framegrid\", error=\"insufficient_scope\", scope=\"jobs:write\""
    );
    const auto push = send("PUT", "/live/cam/0.ts", {{"authorization", "Bearer reader"}}, "x");
    EXPECT_EQ(detail(*push), "the key lacks the scope live:write");
    EXPECT_TRUE(who_.requests.back().is_live);
    EXPECT_EQ(rest().stats().gate.forbidden, 2U);
}

TEST_F(GateTest, SaysWhenNobodyCanTell) {
    who_.refusal = Errc::kUnavailable;
    const auto sent = echo("wrong");
    EXPECT_EQ(sent->status(), 503);
    EXPECT_EQ(sent->header("retry-after"), "1");
    who_.refusal = Errc::kForbidden;
    EXPECT_EQ(echo("wrong")->status(), 403);
    EXPECT_EQ(echo("wrong")->header("www-authenticate"), "(none)");
}

TEST_F(GateTest, CountsRequestsPerMinute) {
    who_.permits["user"].limits.requests_per_minute = 2;
    const auto first = echo("user");
    EXPECT_EQ(first->header("ratelimit-policy"), "\"minute\";q=2;w=60");
    EXPECT_EQ(first->header("ratelimit"), "\"minute\";r=1;t=30");
    EXPECT_EQ(echo("user")->header("ratelimit"), "\"minute\";r=0;t=30");
    const auto refused = echo("user");
    EXPECT_EQ(refused->status(), 429);
    EXPECT_EQ(refused->header("retry-after"), "30");
    EXPECT_EQ(refused->header("ratelimit"), "\"minute\";r=0;t=30");
    EXPECT_NE(detail(*refused).find("2 requests a minute"), std::string::npos);
    EXPECT_EQ(echo("reader")->status(), 403) << "another key has its own count";
    clock_.advance(30s);
    EXPECT_EQ(echo("user")->status(), 200);
    EXPECT_EQ(rest().stats().gate.over_rate, 1U);
}

TEST_F(GateTest, CountsJobsAtOnce) {
    who_.permits["user"].limits.running_max = 1;
    who_.permits["other"] = {"other", "k3", account::kUserScopes, {}};
    gateway_.gate.emplace();
    const auto first = start("POST", "/echo", {{"authorization", "Bearer user"}}, "1");
    const auto second = echo("user");
    EXPECT_EQ(second->status(), 429);
    EXPECT_NE(second->header("retry-after"), "(none)");
    const OneShot end = *gateway_.gate;
    gateway_.gate.reset();
    EXPECT_EQ(echo("other")->status(), 200) << "another owner has its own count";
    end.fire();
    poll();
    EXPECT_EQ(first->text(), "1");
    EXPECT_EQ(echo("user")->status(), 200);
    EXPECT_EQ(rest().stats().gate.over_jobs, 1U);
}

TEST_F(GateTest, AStreamBelongsToWhoBeganIt) {
    who_.permits["other"] = {"other", "k3", account::kUserScopes, {}};
    const auto push = [this](const std::string& key, const std::string& number) {
        return send("PUT", "/live/cam/" + number + ".ts", {{"authorization", "Bearer " + key}}, "segment");
    };
    EXPECT_EQ(push("user", "0")->status(), 200);
    EXPECT_EQ(push("other", "1")->status(), 403);
    EXPECT_EQ(push("user", "1")->status(), 200);
}

TEST_F(GateTest, PlaybackCanBeForOwnersOnly) {
    settings_.playback_open = false;
    who_.permits["other"] = {"other", "k3", account::kUserScopes, {}};
    EXPECT_EQ(send("PUT", "/live/cam/0.ts", {{"authorization", "Bearer user"}}, "segment")->status(), 200);
    const auto look = [this](const std::string& path, const std::string& key) {
        return send("GET", "/stream/cam" + path, {{"authorization", "Bearer " + key}});
    };
    EXPECT_EQ(send("GET", "/stream/cam.m3u8")->status(), 401);
    EXPECT_EQ(look(".m3u8", "other")->status(), 404);
    EXPECT_EQ(look("/P240p30fps16x9.m3u8", "other")->status(), 404);
    EXPECT_EQ(look("/P240p30fps16x9/0.ts", "other")->status(), 404);
    const auto master = look(".m3u8", "user");
    EXPECT_EQ(master->status(), 200);
    EXPECT_EQ(master->header("cache-control"), "private, max-age=1") << "no shared cache may keep it";
    EXPECT_EQ(look("/P240p30fps16x9.m3u8", "user")->status(), 200);
    EXPECT_EQ(
        look("/P240p30fps16x9/0.ts", "user")->header("cache-control"), "private, max-age=3600, immutable"
    );
}

TEST_F(GateTest, PagesOfKnownOriginsMayUseTheApi) {
    settings_.cors_origins = {"https://app.example", "http://localhost:3000"};
    const auto preflight = send(
        "OPTIONS", "/echo",
        {{"origin", "https://app.example"},
         {"access-control-request-method", "POST"},
         {"access-control-request-headers", "authorization"}}
    );
    EXPECT_EQ(preflight->status(), 204);
    EXPECT_EQ(preflight->header("access-control-allow-origin"), "https://app.example");
    EXPECT_EQ(preflight->header("access-control-allow-methods"), "POST");
    EXPECT_NE(preflight->header("access-control-allow-headers").find("authorization"), std::string::npos);
    EXPECT_EQ(preflight->header("vary"), "origin");
    EXPECT_EQ(preflight->header("access-control-allow-credentials"), "(none)");
    const auto refused = send("POST", "/echo", {{"origin", "http://localhost:3000"}}, "x");
    EXPECT_EQ(refused->status(), 401);
    EXPECT_EQ(refused->header("access-control-allow-origin"), "http://localhost:3000")
        << "a page can read why";
    EXPECT_NE(refused->header("access-control-expose-headers").find("retry-after"), std::string::npos);
    const auto stranger = send("OPTIONS", "/echo", {{"origin", "https://evil.example"}});
    EXPECT_EQ(stranger->header("access-control-allow-origin"), "(none)");
    EXPECT_EQ(stranger->header("vary"), "origin");
}

// A key store in memory that follows orders.
class FakeKeys final : public api::KeyStore {
  public:
    Task<Result<void>> add(account::KeyRecord record) override {
        record.change = ++changes;
        records.push_back(std::move(record));
        co_return Result<void>{};
    }
    Task<Result<account::KeyRecord>> find(std::string /*id*/) override {
        co_return fail(Errc::kNotFound, "no");
    }
    Task<Result<std::vector<account::KeyRecord>>> list(std::string /*owner*/) override { co_return records; }
    Task<Result<account::KeyRecord>> revoke(std::string id, std::int64_t at_unix_ms) override {
        auto& record = *std::ranges::find(records, id, &account::KeyRecord::id);
        record.revoked_unix_ms = at_unix_ms;
        record.change = ++changes;
        co_return record;
    }
    Task<Result<void>> rotate(std::string, account::KeyRecord, std::int64_t) override {
        co_return Result<void>{};
    }
    Task<Result<std::vector<account::KeyRecord>>> top_up(std::string, account::Wei, std::int64_t) override {
        co_return fail(Errc::kNotFound, "no");
    }
    Task<Result<std::vector<account::KeyRecord>>> changed_after(std::uint64_t change, std::size_t) override {
        if (broken) {
            co_return fail(Errc::kIo, "the disk is gone");
        }
        std::vector<account::KeyRecord> out;
        std::ranges::copy_if(records, std::back_inserter(out), [change](const auto& record) {
            return record.change > change;
        });
        co_return out;
    }
    Task<Result<account::Spent>> spent(std::string) override { co_return account::Spent{}; }
    Task<Result<account::Spent>> count_spent(std::string, std::string, std::int64_t, account::Counted)
        override {
        co_return account::Spent{};
    }
    std::vector<account::KeyRecord> records;
    std::uint64_t changes = 0;
    bool broken = false;
};

class AuthenticatorTest : public RestTest {
  protected:
    Result<account::Permit> ask(Authenticator& authenticator, const std::string& token) {
        std::optional<Result<account::Permit>> out;
        struct Ask {
            static Task<void> run(
                Authenticator& who, AccessRequest request, std::optional<Result<account::Permit>>& out
            ) {
                out = co_await who.authenticate(std::move(request));
            }
        };
        EXPECT_TRUE(group_.spawn(Ask::run(authenticator, {.token = token}, out)));
        poll();
        EXPECT_TRUE(out);
        return out ? *out : fail(Errc::kInternal, "no answer");
    }
    struct Serve {
        static Task<void> run(Authenticator& authenticator) { (void)co_await authenticator.serve(); }
    };
    template <class T>
    void run(Task<Result<T>> task) {
        struct Run {
            static Task<void> run(Task<Result<T>> task) { EXPECT_TRUE(co_await std::move(task)); }
        };
        EXPECT_TRUE(group_.spawn(Run::run(std::move(task))));
        poll();
    }
    void serve(Authenticator& authenticator) {
        EXPECT_TRUE(group_.spawn(Serve::run(authenticator)));
        poll();
    }
};

TEST_F(AuthenticatorTest, KeysWorkAndEndWhileTheGatewayRuns) {
    FakeKeys store;
    KeyAuthenticator keys(store, clock_, {});
    serve(keys);
    account::KeyRecord like;
    like.owner = "acme";
    like.limits.running_max = 7;
    const auto key = account::make_key(like, clock_.unix_ms(), random_);
    EXPECT_FALSE(ask(keys, key.text));
    EXPECT_EQ(ask(keys, "").error().code, Errc::kUnauthorized);
    run(store.add(key.record));
    clock_.advance(500ms);
    poll();
    EXPECT_EQ(ask(keys, key.text).value().owner, "acme");
    EXPECT_EQ(keys.limits_of("acme").running_max, 7U);
    store.broken = true;
    clock_.advance(500ms);
    poll();
    EXPECT_TRUE(ask(keys, key.text)) << "what is known goes on working";
    store.broken = false;
    run(store.revoke(key.record.id, clock_.unix_ms()));
    clock_.advance(500ms);
    poll();
    EXPECT_FALSE(ask(keys, key.text));
    EXPECT_EQ(keys.limits_of("acme").running_max, 0U);
}

class FakeKeySource final : public TokenKeySource {
  public:
    Task<Result<std::string>> fetch(Deadline /*deadline*/) override {
        ++fetches;
        co_return answer;
    }
    Result<std::string> answer = fail(Errc::kUnavailable, "down");
    int fetches = 0;
};

TEST_F(AuthenticatorTest, TokenKeysAreFetchedWhenTheyAreUnknownButNotForEveryone) {
    FakeKeySource source;
    JwtAuthenticator tokens(source, clock_, {}, {.rules = {.issuer = "i", .audience = "a"}});
    // {"alg":"EdDSA","kid":"other"} and {}, with a signature that is none.
    const std::string token = "eyJhbGciOiJFZERTQSIsImtpZCI6Im90aGVyIn0.e30.AAAA";
    EXPECT_EQ(ask(tokens, "").error().code, Errc::kUnauthorized);
    EXPECT_EQ(ask(tokens, token).error().code, Errc::kUnavailable);
    EXPECT_EQ(ask(tokens, token).error().code, Errc::kUnavailable);
    EXPECT_EQ(source.fetches, 1) << "an issuer that is down is not asked by every request";
    source.answer = R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one",)"
                    R"("x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})";
    clock_.advance(5s);
    EXPECT_EQ(ask(tokens, token).error().field, "kid");
    EXPECT_EQ(source.fetches, 2);
    EXPECT_EQ(ask(tokens, token).error().field, "kid");
    EXPECT_EQ(source.fetches, 2);
    clock_.advance(5s);
    EXPECT_EQ(ask(tokens, token).error().field, "kid");
    EXPECT_EQ(source.fetches, 3) << "the issuer may have a new key";
    source.answer = std::string("garbage");
    serve(tokens);
    clock_.advance(10min);
    poll();
    EXPECT_EQ(source.fetches, 4);
    EXPECT_EQ(ask(tokens, "a.b.c").error().code, Errc::kUnauthorized) << "the old keys stay";
}

}  // namespace
}  // namespace framegrid::rest
