// A gateway's tickets signed by a signer on the other side of a socket.
#include <framegrid/wire/signer_client.hpp>

#include <algorithm>

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/json.hpp>

#include <framegrid/http/server.hpp>
#include <framegrid/http/test_loop.hpp>
#include <framegrid/runtime/seeded_random.hpp>
#include <framegrid/wire/convert.hpp>
#include <framegrid/wire/segment_header.hpp>
#include <framegrid/wire/signer_messages.hpp>
#include <framegrid/wire/signer_server.hpp>

namespace framegrid::wire {
namespace {

class PoolAtOnce final : public WorkPool {
  public:
    void post(std::move_only_function<void()> work) override { work(); }
};

class NoJournal final : public signer::SpendJournal {
  public:
    Task<Result<void>> keep(std::string /*text*/) override { co_return Result<void>{}; }
};

class RemoteSignerTest : public testing::Test {
  protected:
    RemoteSignerTest()
        : book_(*signer::SpendBook::make(clock_, journal_, "")),
          signer_({key_, pool_, clock_, random_, book_}, {}),
          routes_(
              signer_,
              [](std::string_view key) {
                  return key == "right" ? std::optional(signer::Caller{"one", Price{5, 1}, Wei(100)})
                                        : std::nullopt;
              },
              Logger{}
          ),
          server_(
              loop_.get_executor(), clock_, clear_text(),
              [this](http::Exchange& exchange) { return serve(exchange); }, Logger{}
          ),
          client_(loop_.get_executor(), clock_, {}, Logger{}) {}
    // Nothing of the server may be left in the loop when it goes.
    void TearDown() override {
        boost::asio::co_spawn(loop_, both_end(), [this](std::exception_ptr) { loop_.stop(); });
        loop_.restart();
        loop_.run();
    }
    Task<void> both_end() {
        co_await client_.stop();
        co_await server_.stop(Duration::zero());
    }
    Task<void> serve(http::Exchange& exchange) {
        asked_.emplace_back(exchange.head.path());
        if (!instead_) {
            co_await routes_.serve(exchange);
            co_return;
        }
        if (instead_->status != 0) {  // 0: the connection breaks
            auto head = *instead_;
            [[maybe_unused]] const auto sent =
                co_await exchange.response.respond(std::move(head), Blob::copy_of("{}"));
            co_return;
        }
        [[maybe_unused]] const auto begun = co_await exchange.response.start({.status = 200, .headers = {}});
    }
    std::size_t times(std::string_view path) const {
        return static_cast<std::size_t>(std::ranges::count(asked_, path));
    }
    static api::Job segment(std::int64_t seq, Blob media) {
        api::Job job;
        job.manifest_id = "stream";
        job.seq = seq;
        media::VideoProfile profile;
        profile.name = "720p";
        job.work.kind = api::TranscodeWork{.profiles = {profile}, .duration_ms = 2000, .clip = {}};
        job.work.input = std::move(media);
        return job;
    }
    static http::ServerSettings clear_text() {
        http::ServerSettings out;
        out.tls = false;
        return out;
    }
    template <class T>
    Result<T> run(Task<Result<T>> task) {
        std::optional<Result<T>> out;
        boost::asio::co_spawn(loop_, std::move(task), [&](std::exception_ptr, Result<T> result) {
            out.emplace(std::move(result));
            loop_.stop();
        });
        loop_.restart();
        loop_.run();
        return std::move(*out);
    }
    Deadline soon() const { return Deadline::after(clock_, std::chrono::seconds(10)); }
    auto connect(const std::string& key) {
        return run(
            RemoteSigner::connect(ports_, "http://127.0.0.1:" + std::to_string(server_.port()), key, soon())
        );
    }
    pay::TicketBatch batch(std::uint32_t first, std::uint32_t count) const {
        pay::TicketParams params;
        params.recipient.fill(7);
        params.face_value = 1'000;
        params.win_prob = pay::win_prob_for(10, 1'000);
        params.recipient_rand_hash.fill(1);
        params.seed = 5;
        params.expiration_block = 100;
        params.creation.round = 3;
        params.creation.block_hash.fill(9);
        return {key_.address(), params, first, count};
    }

    boost::asio::io_context loop_{1};
    http::SteadyClock clock_{loop_};
    SeededRandom random_{1};
    PoolAtOnce pool_;
    NoJournal journal_;
    crypto::PrivateKey key_ = crypto::PrivateKey::generate(random_);
    signer::SpendBook book_;
    signer::Signer signer_;
    SignerServer routes_;
    http::Server server_;
    http::Client client_;
    RemoteSigner::Ports ports_{client_, clock_, pool_};
    std::vector<std::string> asked_;             // paths
    std::optional<http::ResponseHead> instead_;  // what is answered in the signer's place
};

TEST_F(RemoteSignerTest, SignsAsTheKeyAtHandWould) {
    ASSERT_TRUE(server_.listen());
    const auto remote = connect("right");
    ASSERT_TRUE(remote) << remote.error().message;
    EXPECT_EQ((*remote)->address(), key_.address());
    const auto payment = run((*remote)->sign(batch(2, 3), {4, 1}, soon()));
    ASSERT_TRUE(payment) << payment.error().message;
    EXPECT_EQ(*payment, pay::sign(batch(2, 3), {4, 1}, key_));
    EXPECT_TRUE(run((*remote)->sign(batch(1, 0), {4, 1}, soon()))->tickets.empty());

    const auto dear = run((*remote)->sign(batch(1, 1), {6, 1}, soon()));
    EXPECT_EQ(dear.error().code, Errc::kForbidden);
    EXPECT_EQ(dear.error().field, pay::kSignerPriceField);
    const auto used_up = run((*remote)->sign(batch(601, 1), {1, 1}, soon()));
    EXPECT_EQ(used_up.error().code, Errc::kUnavailable);
    EXPECT_EQ(used_up.error().disposition, Disposition::kRetry);
    const auto over = run((*remote)->sign(batch(1, 20), {1, 1}, soon()));
    EXPECT_EQ(over.error().code, Errc::kForbidden) << "the day's money";
}

TEST_F(RemoteSignerTest, WantsAKeyAndASigner) {
    EXPECT_EQ(
        run(RemoteSigner::connect(ports_, "http://127.0.0.1:1", "right", soon())).error().code,
        Errc::kUnavailable
    );
    ASSERT_TRUE(server_.listen());
    EXPECT_EQ(connect("wrong").error().code, Errc::kUnauthorized);
    EXPECT_EQ(connect("").error().code, Errc::kUnauthorized);
}

TEST_F(RemoteSignerTest, SegmentsAreSignedAsTheKeyAtHandWould) {
    ASSERT_TRUE(server_.listen());
    const auto remote = connect("right");
    ASSERT_TRUE(remote) << remote.error().message;
    KeyRequestSigner local(key_);
    EXPECT_EQ((*remote)->info_signature(), local.info_signature());
    const auto media = Blob::copy_of(std::string(100'000, 'x'));
    const auto job = segment(3, media);
    const auto hash = crypto::keccak256(media.view());
    EXPECT_EQ((*remote)->at_once(job, hash), std::nullopt);
    const auto signature = run((*remote)->ask(job, hash, soon()));
    ASSERT_TRUE(signature) << signature.error().message;
    EXPECT_EQ(*signature, local.at_once(job, hash));
    EXPECT_EQ((*remote)->at_once(job, hash), std::nullopt) << "each segment has its own";
}

TEST_F(RemoteSignerTest, WhatIsSignedAheadIsTakenOnceAndByItsJob) {
    ASSERT_TRUE(server_.listen());
    const auto remote = connect("right");
    ASSERT_TRUE(remote) << remote.error().message;
    const auto media = Blob::copy_of("media");
    ASSERT_TRUE(run((*remote)->sign_ahead({"stream", 3, media, {"720p"}}, soon())));
    EXPECT_FALSE((*remote)->take_ahead(segment(4, media)));
    EXPECT_FALSE((*remote)->take_ahead(segment(3, Blob::copy_of("media")))) << "other bytes, for all we know";
    const auto proof = (*remote)->take_ahead(segment(3, media));
    ASSERT_TRUE(proof);
    KeyRequestSigner local(key_);
    EXPECT_EQ(proof->hash, crypto::keccak256(media.view()));
    EXPECT_EQ(proof->signature, local.at_once(segment(3, media), proof->hash));
    EXPECT_FALSE((*remote)->take_ahead(segment(3, media)));

    asked_.clear();
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(run((*remote)->sign_ahead({"27_model", 0, {}, {}}, soon())));
    }
    EXPECT_EQ(times("/sign-segment"), 1U) << "the jobs of a model have one signature";
    api::Job ai;
    ai.manifest_id = "27_model";
    ai.work.kind = api::AiWork{"text-to-image", "model", "{}"};
    EXPECT_EQ((*remote)->at_once(ai, crypto::keccak256({})), local.at_once(ai, crypto::keccak256({})));
}

TEST_F(RemoteSignerTest, NobodysProofsAreForgotten) {
    ASSERT_TRUE(server_.listen());
    auto remote = run(RemoteSigner::connect(
        ports_, "http://127.0.0.1:" + std::to_string(server_.port()), "right", soon(),
        {.ahead_max = 2, .ahead_bytes_max = 1'000}
    ));
    ASSERT_TRUE(remote) << remote.error().message;
    const auto media = Blob::copy_of("media");
    for (std::int64_t seq = 1; seq <= 3; ++seq) {
        ASSERT_TRUE(run((*remote)->sign_ahead({"stream", seq, media, {"720p"}}, soon())));
    }
    EXPECT_FALSE((*remote)->take_ahead(segment(1, media)));
    EXPECT_TRUE((*remote)->take_ahead(segment(3, media)));
    const auto large = Blob::copy_of(std::string(2'000, 'x'));
    ASSERT_TRUE(run((*remote)->sign_ahead({"stream", 4, large, {"720p"}}, soon())));
    EXPECT_FALSE((*remote)->take_ahead(segment(4, large)));
    EXPECT_FALSE((*remote)->take_ahead(segment(2, media))) << "it was the older one";
}

TEST_F(RemoteSignerTest, TicketsAreAskedForOnceAndTheRestTwice) {
    ASSERT_TRUE(server_.listen());
    const auto remote = connect("right");
    ASSERT_TRUE(remote) << remote.error().message;
    EXPECT_TRUE((*remote)->ready());
    asked_.clear();
    instead_ = http::ResponseHead{.status = 0, .headers = {}};
    const auto lost = run((*remote)->sign(batch(1, 1), {1, 1}, soon()));
    ASSERT_FALSE(lost);
    EXPECT_TRUE(pay::is_signers(lost.error())) << lost.error().field;
    EXPECT_EQ(lost.error().code, Errc::kUnavailable) << lost.error().message;
    EXPECT_EQ(times("/sign-tickets"), 1U);
    EXPECT_FALSE((*remote)->ready());
    EXPECT_FALSE(run((*remote)->sign_ahead({"m", 0, {}, {}}, soon())));
    EXPECT_EQ(times("/sign-segment"), 2U);
    instead_.reset();
    EXPECT_TRUE(run((*remote)->sign(batch(1, 1), {1, 1}, soon())));
    EXPECT_TRUE((*remote)->ready());
}

TEST_F(RemoteSignerTest, WhoMustDoWhat) {
    ASSERT_TRUE(server_.listen());
    const auto remote = connect("right");
    ASSERT_TRUE(remote) << remote.error().message;
    struct Case {
        int status;
        Errc code;
        const char* says;
    };
    for (const auto& one :
         {Case{401, Errc::kUnauthorized, "--callers"}, Case{403, Errc::kForbidden, "the signer refuses"},
          Case{400, Errc::kForbidden, "the signer refuses"}, Case{500, Errc::kUnavailable, "cannot sign now"},
          Case{507, Errc::kUnavailable, "cannot sign now"},
          Case{503, Errc::kUnavailable, "cannot sign now"}}) {
        instead_ = http::ResponseHead{.status = one.status, .headers = {}};
        const auto refused = run((*remote)->sign(batch(1, 1), {1, 1}, soon()));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, one.code) << one.status;
        EXPECT_TRUE(pay::is_signers(refused.error())) << one.status;
        EXPECT_NE(refused.error().message.find(one.says), std::string::npos) << refused.error().message;
    }
    instead_ = http::ResponseHead{.status = 200, .headers = {}};
    EXPECT_EQ(run((*remote)->sign(batch(1, 1), {1, 1}, soon())).error().code, Errc::kProtocol);
    EXPECT_EQ(run((*remote)->sign_ahead({"m", 1, {}, {}}, soon())).error().code, Errc::kProtocol);
    instead_.reset();
    PrometheusText text;
    (*remote)->dump(text);
    EXPECT_NE(text.text().find("framegrid_signer_errors_total{call=\"tickets\"} 6"), std::string::npos)
        << text.text();
}

// Two receipts of this payer, in pieces; `cut`: the second one has no end.
Task<Result<Blob>> piece_of(std::shared_ptr<std::string> rest) {
    auto piece = rest->substr(0, 300);
    rest->erase(0, piece.size());
    co_return Blob::copy_of(piece);
}

TEST_F(RemoteSignerTest, AnHourOfReceiptsIsReadAndSigned) {
    ASSERT_TRUE(server_.listen());
    const auto remote = connect("right");
    ASSERT_TRUE(remote) << remote.error().message;
    ASSERT_TRUE(run((*remote)->check_signs_receipts(soon())));
    pay::HourSum sum;
    auto text = std::make_shared<std::string>();
    for (int i = 1; i <= 2; ++i) {
        pay::Receipt receipt;
        receipt.payer = key_.address();
        receipt.work = "transcoding";
        receipt.price = {1, 1};
        receipt.units = i;
        sum.add(receipt, pay::to_line(receipt));
        *text += pay::to_line(receipt) + '\n';
    }
    const auto all = *text;
    const auto closing = sum.describe("2026-11-27T06", crypto::keccak256({}), key_.address());
    const auto signature = run((*remote)->sign_closing(closing, [text] { return piece_of(text); }));
    ASSERT_TRUE(signature) << signature.error().message;
    EXPECT_EQ(*signature, sum.close("2026-11-27T06", crypto::keccak256({}), key_).signature);

    *text = all.substr(0, all.size() - 1);
    const auto cut = run((*remote)->sign_closing(closing, [text] { return piece_of(text); }));
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().code, Errc::kForbidden);
    EXPECT_NE(cut.error().message.find("has no end"), std::string::npos) << cut.error().message;
    EXPECT_FALSE(run((*remote)->sign_closing(closing, []() -> Task<Result<Blob>> {
        co_return fail(Errc::kIo, "the disk is broken");
    })));
}

TEST_F(RemoteSignerTest, WhoMustAskAnewLearnsWhom) {
    ASSERT_TRUE(server_.listen());
    api::OrchestratorInfo info;
    info.service_uri = "https://node.example:8935";
    info.price = Price{1, 1};
    info.ticket_params = std::make_shared<const pay::TicketParams>(batch(1, 1).params);
    info.auth_token = {.token = Bytes(32, 7), .session_id = "s", .expires_unix_s = 0};
    const auto asks = [&](std::int64_t token_seconds) {
        info.auth_token.expires_unix_s = clock_.unix_ms() / 1000 + token_seconds;
        const auto bytes = to_proto(info).SerializeAsString();
        http::Request request;
        request.method = "POST";
        request.url =
            *http::parse_url("http://127.0.0.1:" + std::to_string(server_.port()) + "/generate-live-payment");
        request.headers = http::Headers{{"authorization", "Bearer right"}};
        request.body = Blob::copy_of(boost::json::serialize(
            boost::json::object{{"orchestrator", crypto::base64(as_bytes(bytes))}, {"type", "live"}}
        ));
        return run(client_.fetch(std::move(request), 100'000, soon())).value();
    };
    const auto stale = asks(170);
    EXPECT_EQ(stale.status, 480);
    EXPECT_EQ(stale.headers.get("livepeer-orchestrator-url"), "https://node.example:8935");
    const auto fresh = asks(1'800);
    EXPECT_EQ(fresh.status, 200) << fresh.body.text();
    EXPECT_FALSE(fresh.headers.get("livepeer-orchestrator-url"));
    info.service_uri = "https://a\r\nx-more: 1";
    EXPECT_FALSE(asks(170).headers.get("livepeer-orchestrator-url")) << "no line of the caller's own";
}

TEST_F(RemoteSignerTest, ACeilingMayHaveDecimals) {
    api::OrchestratorInfo info;
    info.price = Price{1, 1};
    info.ticket_params = std::make_shared<const pay::TicketParams>(batch(1, 1).params);
    info.auth_token.session_id = "s";
    boost::json::object root{
        {"orchestrator", crypto::base64(as_bytes(to_proto(info).SerializeAsString()))}, {"type", "live"}
    };
    const auto read = [&](boost::json::value price) {
        root["maxPrice"] =
            boost::json::object{{"price", std::move(price)}, {"currency", "wei"}, {"unit", "seconds"}};
        const auto call = parse_live_request(boost::json::serialize(root));
        return call ? call->request.price_max : std::nullopt;
    };
    EXPECT_EQ(read(2), (Price{2, 1}));
    EXPECT_EQ(read(0.125), (Price{1, 8}));
    EXPECT_EQ(read(1234.1), (Price{12'341, 10}));
    EXPECT_EQ(read("0.0001234"), (Price{617, 5'000'000}));
    for (const boost::json::value& bad :
         {boost::json::value(0), boost::json::value(-1.5), boost::json::value("1/2"),
          boost::json::value("1 eth"), boost::json::value("x"), boost::json::value(nullptr)}) {
        EXPECT_FALSE(read(bad)) << boost::json::serialize(bad);
    }
    root.erase("maxPrice");
    root["type"] = "";
    EXPECT_EQ(parse_live_request(boost::json::serialize(root)).error().field, "inPixels");
    root["inPixels"] = 7;
    EXPECT_EQ(parse_live_request(boost::json::serialize(root))->request.units, 7);
}

TEST(SignerMessages, AReceiptsQueryIsExact) {
    const std::string hash(64, 'a');
    EXPECT_EQ(parse_receipts_query("hour=2026-11-27T06&previous=" + hash)->hour, "2026-11-27T06");
    for (const auto& bad :
         {std::string(), "previous=" + hash, std::string("hour=x"), std::string("hour=x&previous=aa"),
          "hour=x&previous=" + hash + "&more=1"}) {
        EXPECT_EQ(parse_receipts_query(bad).error().code, Errc::kInvalidArgument) << bad;
    }
}

TEST(SegmentMessages, AreCheckedFieldByField) {
    const std::string hash(64, 'a');
    const signer::SegmentRequest request{"m \"", 5, crypto::keccak256({}), {"a", "b"}};
    const auto back = parse_segment_request(write_segment_request(request));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->manifest_id, request.manifest_id);
    EXPECT_EQ(back->seq, 5);
    EXPECT_EQ(back->hash, request.hash);
    EXPECT_EQ(back->profile_names, request.profile_names);
    const auto field_of = [&hash](std::string text) {
        text.replace(text.find('#'), 1, "\"hash\":\"" + hash + "\"");
        const auto parsed = parse_segment_request(text);
        return parsed ? std::string("none") : parsed.error().field;
    };
    EXPECT_EQ(field_of("{#}"), "none");
    EXPECT_EQ(field_of(R"({#,"seq":-1})"), "seq");
    EXPECT_EQ(field_of(R"({#,"seq":1.5})"), "seq");
    EXPECT_EQ(field_of(R"({#,"manifest_id":1})"), "manifest_id");
    EXPECT_EQ(field_of(R"({#,"profiles":"a"})"), "profiles");
    EXPECT_EQ(field_of(R"({#,"profiles":[1]})"), "profiles");
    EXPECT_EQ(parse_segment_request(R"({"hash":"aa"})").error().field, "hash");
    EXPECT_EQ(parse_segment_request("{}").error().field, "hash");
    EXPECT_EQ(parse_segment_request("[]").error().field, "body");
    std::string many = R"({"profiles":[)";
    for (int i = 0; i < 2'000; ++i) {
        many += R"("p",)";
    }
    EXPECT_EQ(parse_segment_request(many + R"("p"],"hash":")" + hash + "\"}").error().field, "profiles");
}

TEST(SignerMessages, AreCheckedFieldByField) {
    for (const auto* bad :
         {"", "[]", "{}", R"({"orchestrator":"AA=="})", R"({"type":"x"})", R"({"type":1})"}) {
        EXPECT_EQ(parse_live_request(bad).error().code, Errc::kInvalidArgument) << bad;
        EXPECT_EQ(parse_tickets_request(bad).error().code, Errc::kInvalidArgument) << bad;
    }
}

}  // namespace
}  // namespace framegrid::wire
