// A sender that pays an orchestrator well and badly, for end-to-end tests: one echo job each with a good
// payment and with every kind of bad one. Prints "<case>: done" or "<case>: <code> <why>", a line each.
#include <cstdio>
#include <fstream>
#include <functional>
#include <string>

#include <framegrid/crypto/keys.hpp>
#include <framegrid/host/loop.hpp>
#include <framegrid/http/client.hpp>
#include <framegrid/pay/sender.hpp>
#include <framegrid/wire/orchestrator_client.hpp>

namespace {

using namespace framegrid;

constexpr std::uint32_t kTooMany = 601;
constexpr Duration kTimeMax = std::chrono::seconds(10);
// Longer than params live in the tests' rounds.
constexpr Duration kExpiry = std::chrono::seconds(4);

crypto::PrivateKey read_key(const std::string& file, const std::string& password_file) {
    std::ifstream in(file);
    const std::string json((std::istreambuf_iterator<char>(in)), {});
    std::ifstream secret(password_file);
    std::string password;
    std::getline(secret, password);
    return crypto::read_keystore(json, password).value();
}

class Payer {
  public:
    Payer(wire::ClientPorts ports, const std::string& uri, const crypto::PrivateKey& key)
        : clock_(ports.clock), key_(key), orchestrator_(ports, uri) {}

    Task<Result<int>> run() {
        (void)co_await attempt("unpaid", nullptr);
        (void)co_await attempt(
            "free", std::make_shared<const pay::Payment>(pay::Payment{key_.address(), {}, {}, Price{0, 1}})
        );
        auto info = co_await orchestrator_.get_info({}, soon());
        if (!info || !info->ticket_params) {
            std::printf("info: %s\n", info ? "no ticket params" : info.error().message.c_str());
            co_return 1;
        }
        params_ = *info->ticket_params;
        price_ = *info->price;
        const auto good = tickets(1, 1);
        (void)co_await attempt("good", good);
        (void)co_await attempt("replayed", good);
        (void)co_await attempt("cheaper", changed(2, [](pay::Payment& p) { p.expected_price->units *= 2; }));
        (void)co_await attempt("dearer face value", changed(3, [](pay::Payment& p) {
                                   p.params->face_value += 1;
                               }));
        (void
        )co_await attempt("win probability", changed(4, [](pay::Payment& p) { p.params->win_prob -= 1; }));
        (void)co_await attempt("wrong recipient", changed(5, [](pay::Payment& p) {
                                   p.params->recipient[0] ^= 1;
                               }));
        (void)co_await attempt("forged", changed(6, [](pay::Payment& p) { p.tickets[0].signature[5] ^= 1; }));
        (void)co_await attempt("too many", tickets(7, kTooMany));
        co_await sleep_for(clock_, kExpiry);
        (void)co_await attempt("expired", tickets(8, 1));
        info = co_await orchestrator_.get_info({}, soon());
        params_ = *info->ticket_params;
        (void)co_await attempt("good again", tickets(1, 1));
        co_return 0;
    }

  private:
    Deadline soon() const { return Deadline::after(clock_, kTimeMax); }
    std::shared_ptr<const pay::Payment> tickets(std::uint32_t first, std::uint32_t count) const {
        const pay::TicketBatch batch{key_.address(), params_, first, count};
        return std::make_shared<const pay::Payment>(pay::sign(batch, price_, key_));
    }
    std::shared_ptr<const pay::Payment> changed(
        std::uint32_t nonce, const std::function<void(pay::Payment&)>& change
    ) const {
        pay::Payment payment = *tickets(nonce, 1);
        change(payment);
        return std::make_shared<const pay::Payment>(std::move(payment));
    }
    Task<bool> attempt(const char* name, std::shared_ptr<const pay::Payment> payment) {
        api::Job job;
        job.manifest_id = "echo";
        job.work.kind = api::AiWork{"echo", {}, {}};
        job.work.input = Blob::copy_of("hello");
        job.payment = std::move(payment);
        if (auto info = co_await orchestrator_.get_info({}, soon())) {
            job.token = std::move(info->auth_token);
        }
        const auto result = co_await orchestrator_.run(std::move(job), soon());
        if (result) {
            std::printf("%s: done\n", name);
        } else {
            std::printf(
                "%s: %s %s\n", name, std::string(to_string(result.error().code)).c_str(),
                result.error().message.c_str()
            );
        }
        std::fflush(stdout);
        co_return result.has_value();
    }

    Clock& clock_;
    const crypto::PrivateKey& key_;
    wire::WireOrchestrator orchestrator_;
    pay::TicketParams params_;
    Price price_;
};

}  // namespace

int main(int argc, char** argv) {
    using namespace framegrid;
    if (argc != 4) {
        std::fprintf(stderr, "usage: payer URI KEY_FILE PASSWORD_FILE\n");
        return 2;
    }
    const auto key = read_key(argv[2], argv[3]);
    host::Loop loop;
    host::SteadyClock clock(loop.executor());
    host::SystemRandom random;
    host::ThreadPool pool(1);
    http::Client client(loop.executor(), clock, http::ClientSettings{}, {});
    wire::KeyRequestSigner signer(key);
    Payer payer({client, clock, pool, random, &signer}, argv[1], key);
    const auto result = loop.run_main(payer.run());
    return result ? *result : 1;
}
