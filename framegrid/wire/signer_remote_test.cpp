// A gateway's tickets signed by a signer on the other side of a socket.
#include <framegrid/wire/signer_client.hpp>

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include <framegrid/http/server.hpp>
#include <framegrid/http/test_loop.hpp>
#include <framegrid/runtime/seeded_random.hpp>
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
              [this](http::Exchange& exchange) { return routes_.serve(exchange); }, Logger{}
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
            RemoteSigner::connect(client_, "http://127.0.0.1:" + std::to_string(server_.port()), key, soon())
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
    EXPECT_EQ(dear.error().field, "price");
    const auto used_up = run((*remote)->sign(batch(601, 1), {1, 1}, soon()));
    EXPECT_EQ(used_up.error().code, Errc::kUnavailable);
    EXPECT_EQ(used_up.error().disposition, Disposition::kRetry);
    const auto over = run((*remote)->sign(batch(1, 20), {1, 1}, soon()));
    EXPECT_EQ(over.error().code, Errc::kForbidden) << "the day's money";
}

TEST_F(RemoteSignerTest, WantsAKeyAndASigner) {
    EXPECT_EQ(
        run(RemoteSigner::connect(client_, "http://127.0.0.1:1", "right", soon())).error().code,
        Errc::kUnavailable
    );
    ASSERT_TRUE(server_.listen());
    EXPECT_EQ(connect("wrong").error().code, Errc::kUnauthorized);
    EXPECT_EQ(connect("").error().code, Errc::kUnauthorized);
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
