// Taking one ticket - params recognised, signature verified, draw made, nonce and credit booked - beside what
// nobody can do without: one recovery of libsecp256k1 and one KECCAK. Prints one JSON object; `ratio` is raw
// time by our time, for payments of ten tickets, on one core. The bar is 0.9.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include <framegrid/pay/ticket_for_test.hpp>
#include <framegrid/pay/till.hpp>

namespace {

using namespace framegrid;

constexpr std::uint32_t kTicketsPerRound = 100;
constexpr int kRounds = 60;

double micros_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

// The ticket's bytes are hashed and the key is recovered from the signature.
double raw_us(const std::vector<pay::SignedNonce>& tickets, const std::array<std::uint8_t, 232>& preimage) {
    const auto start = std::chrono::steady_clock::now();
    for (const auto& ticket : tickets) {
        const auto digest = crypto::keccak256(preimage);
        secp256k1_ecdsa_recoverable_signature signature;
        secp256k1_pubkey key;
        FG_ASSERT(
            secp256k1_ecdsa_recoverable_signature_parse_compact(
                secp256k1_context_static, &signature, ticket.signature.data(), ticket.signature[64] - 27
            ) == 1
        );
        FG_ASSERT(secp256k1_ecdsa_recover(secp256k1_context_static, &key, &signature, digest.data()) == 1);
    }
    return micros_since(start) / static_cast<double>(tickets.size());
}

struct Bench {
    pay::Market market;
    pay::Till till{
        market.recipient_address,
        {},
        pay::PriceTable::make({.rules = {{.tag = {.digits = 1000}}}}, {}).value(),
        market.random
    };
    pay::Order order{{market.sender, "session"}, {}};

    std::vector<pay::Payment> payments(std::uint32_t tickets_each) {
        const auto quote = till.quote(order, market.funds, market.chain, {}).value();
        std::vector<pay::Payment> out;
        for (std::uint32_t nonce = 1; nonce <= kTicketsPerRound; nonce += tickets_each) {
            out.push_back(
                pay::sign({market.sender, *quote.params, nonce, tickets_each}, quote.price, market.key)
            );
        }
        return out;
    }
    double ours_us(const std::vector<pay::Payment>& payments) {
        const auto start = std::chrono::steady_clock::now();
        for (const auto& payment : payments) {
            const auto checked = till.check(payment);
            const auto accepted = till.accept(order, payment, *checked, market.funds, market.chain, {});
            FG_ASSERT(!accepted.error && accepted.credited.sign() > 0);
        }
        return micros_since(start) / kTicketsPerRound;
    }
};

double median(std::vector<double> values) {
    std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
    return values[values.size() / 2];
}

}  // namespace

int main() {
    Bench bench;
    std::vector<double> raw;
    std::vector<double> single;
    std::vector<double> batch;
    // Taken in turns, so that a machine that slows down slows all of them.
    for (int round = 0; round < kRounds; ++round) {
        const auto singles = bench.payments(1);
        const auto batches = bench.payments(10);
        std::vector<pay::SignedNonce> tickets;
        for (const auto& payment : batches) {
            tickets.insert(tickets.end(), payment.tickets.begin(), payment.tickets.end());
        }
        raw.push_back(raw_us(tickets, {}));
        single.push_back(bench.ours_us(singles));
        batch.push_back(bench.ours_us(batches));
    }
    std::printf(
        "{\"raw_us\":%.2f,\"ticket_us\":%.2f,\"ratio\":%.3f,\"single_ticket_us\":%.2f,\"single_ratio\":%.3f}"
        "\n",
        median(raw), median(batch), median(raw) / median(batch), median(single), median(raw) / median(single)
    );
    return 0;
}
