// A live session that a signer pays for: what it signs is what an orchestrator takes.
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include <framegrid/orchestrator/orchestrator.hpp>
#include <framegrid/pay/memory_ledger.hpp>
#include <framegrid/pay/ticket_for_test.hpp>
#include <framegrid/runtime/manual_clock.hpp>
#include <framegrid/runtime/task_group.hpp>
#include <framegrid/wire/convert.hpp>
#include <framegrid/wire/payment_header.hpp>
#include <framegrid/wire/segment_header.hpp>
#include <framegrid/wire/signer_messages.hpp>

#include <gtest/gtest.h>

namespace framegrid::tests {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

constexpr std::int64_t kPrice = 3'000'000'000;  // wei for a second

class InlinePool final : public WorkPool {
  public:
    void post(std::move_only_function<void()> work) override { work(); }
};

class NoJournal final : public signer::SpendJournal {
  public:
    Task<Result<void>> keep(std::string /*text*/) override { co_return Result<void>{}; }
};

template <class T>
Task<void> keep(Task<Result<T>> task, std::optional<Result<T>>& out) {
    auto result = co_await std::move(task);
    out.emplace(std::move(result));
}

class LivePaymentTest : public testing::Test {
  protected:
    LivePaymentTest() {
        auto state = pay::Market{}.chain;
        state.gas_price = 0;
        chain_.set(state);
        get<void>(ledger_.fund(key_.address(), pay::ether(10), pay::ether(2), later())).value();
        pay::PriceSettings prices;
        prices.rules.push_back({{}, {}, {.digits = kPrice}});
        orchestrator::Ports ports{loop_.get_executor(), clock_, random_, {}, &orchestrator_key_, {}};
        ports.payments.emplace(
            pool_, ledger_, chain_, winners_, pay::PriceTable::make(std::move(prices), {}).value()
        );
        orchestrator::Settings settings;
        settings.service_uri = "https://node.example:8935";
        settings.secret = "s3cret";
        role_ = orchestrator::make_orchestrator(std::move(ports), settings);
    }
    Deadline later() { return Deadline::after(clock_, 60s); }
    template <class T>
    Result<T> get(Task<Result<T>> task) {
        std::optional<Result<T>> out;
        group_.spawn(keep<T>(std::move(task), out));
        loop_.restart();
        loop_.poll();
        return out ? std::move(*out) : fail(Errc::kInternal, "not finished");
    }
    // What a caller sends to /generate-live-payment.
    std::string request() {
        api::InfoRequest ask;
        ask.needs.emplace();
        ask.sender = key_.address();
        const auto info = get(role_->get_info(std::move(ask), later())).value();
        job::Capabilities needs;
        needs.bits = {1};
        const auto base64 = [](const auto& message) {
            return crypto::base64(as_bytes(message.SerializeAsString()));
        };
        return json::serialize(json::object{
            {"orchestrator", base64(wire::to_proto(info))},
            {"type", "live"},
            {"capabilities", base64(wire::to_proto(needs))}
        });
    }

    boost::asio::io_context loop_;
    ManualClock clock_;
    SeededRandom random_{1};
    InlinePool pool_;
    NoJournal journal_;
    crypto::PrivateKey key_ = pay::key_of("cow");
    crypto::PrivateKey orchestrator_key_ = pay::key_of("recipient");
    pay::MemoryChain chain_;
    pay::MemoryWinningTickets winners_;
    pay::MemoryLedger ledger_{chain_};
    signer::SpendBook book_ = signer::SpendBook::make(clock_, journal_, "").value();
    signer::Signer signer_{{key_, pool_, clock_, random_, book_}, {}};
    std::unique_ptr<orchestrator::Orchestrator> role_;
    TaskGroup group_{loop_.get_executor(), 100};
};

TEST_F(LivePaymentTest, AnOrchestratorTakesTheCredentials) {
    const auto call = wire::parse_live_request(request());
    ASSERT_TRUE(call) << call.error().message;
    const auto paid = get(signer_.pay_live({"one", {}, {}}, call->request));
    ASSERT_TRUE(paid) << paid.error().message;
    const auto credentials = wire::live_credentials(*call, paid->manifest_id, key_);
    auto header = wire::decode_segment_header(credentials);
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_TRUE(header->has_token);
    EXPECT_TRUE(wire::verify_segment(*header, key_.address()));
    EXPECT_EQ(header->job.manifest_id, paid->manifest_id);
    EXPECT_FALSE(paid->manifest_id.empty());
    EXPECT_EQ(header->job.needs.bits, (std::vector<std::uint64_t>{1}));
    // This node has no worker, and so no capability that anybody could need.
    header->job.sender = key_.address();
    header->job.needs = {};
    EXPECT_TRUE(role_->admit(header->job)) << role_->admit(header->job).error().message;
    header->job.payment =
        std::make_shared<const pay::Payment>(wire::decode_payment(wire::encode_payment(paid->payment)).value()
        );
    const auto next = get(role_->prepay(header->job, later()));
    ASSERT_TRUE(next) << next.error().message;
    EXPECT_NE(next->ticket_params, nullptr);
    ASSERT_EQ(role_->books().size(), 1U);
    EXPECT_EQ(role_->books().front().key.id, paid->manifest_id);
    header->job.token.token[0] ^= 1;
    EXPECT_FALSE(role_->admit(header->job));
}

TEST_F(LivePaymentTest, AnInfoWithoutATokenIsRefused) {
    auto root = json::parse(request()).as_object();
    const auto bytes = crypto::parse_base64(std::string(root["orchestrator"].as_string())).value();
    auto info = wire::parse_message<net::OrchestratorInfo>(as_text(bytes)).value();
    info.clear_auth_token();
    root["orchestrator"] = crypto::base64(as_bytes(info.SerializeAsString()));
    const auto refused = wire::parse_live_request(json::serialize(root));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kInvalidArgument);
    EXPECT_NE(refused.error().message.find("missing auth token"), std::string::npos);
    root = json::parse(request()).as_object();
    root["capabilities"] = "/////w==";
    EXPECT_EQ(wire::parse_live_request(json::serialize(root)).error().field, "capabilities");
}

}  // namespace
}  // namespace framegrid::tests
