#include <framegrid/app/local_payments.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <framegrid/app/keys.hpp>

namespace framegrid::app {

namespace {

// Play money: 0.1 and 0.05 ether.
constexpr std::uint64_t kPlayDeposit = 100'000'000'000'000'000;
constexpr std::uint64_t kPlayReserve = 50'000'000'000'000'000;
constexpr std::size_t kPasswordBytes = 16;
constexpr unsigned kSecretMode = 0600;
constexpr Duration kFundTimeMax = std::chrono::seconds(10);

}  // namespace

Result<void> LocalPayments::make_keys(Random& random) {
    FG_CHECK(host::make_dirs(settings_.directory));
    if (!std::filesystem::exists(password_file())) {
        const std::string password = random.hex(kPasswordBytes) + "\n";
        FG_CHECK(host::write_file_atomic(
            password_file(), as_bytes(password), host::Durability::kSynced, kSecretMode
        ));
    }
    nodes_.push_back({"gateway", settings_.directory / "gateway.json", {}});
    for (int i = 1; i <= settings_.orchestrators; ++i) {
        const std::string name = fmt::format("orchestrator-{}", i);
        nodes_.push_back({name, settings_.directory / (name + ".json"), {}});
    }
    for (auto& node : nodes_) {
        if (!std::filesystem::exists(node.key_file)) {
            FG_CHECK(create_key(node.key_file.string(), password_file().string(), random));
        }
        FG_TRY(key, load_key(node.key_file.string(), password_file().string()));
        node.address = key.address();
    }
    return {};
}

Task<Result<void>> LocalPayments::fund(Clock& clock) {
    const auto& gateway = nodes_.front().address;
    const Deadline deadline = Deadline::after(clock, kFundTimeMax);
    const auto funds = co_await ledger_->ledger().funds(gateway, {}, deadline);
    if (!funds) {
        co_return fail(funds.error());
    }
    if (!funds->deposit.is_zero() && !funds->reserve.is_zero()) {
        co_return Result<void>{};
    }
    co_return co_await ledger_->ledger().fund(gateway, kPlayDeposit, kPlayReserve, deadline);
}

Task<Result<std::unique_ptr<LocalPayments>>> LocalPayments::prepare(
    LocalPaymentsSettings settings, Clock& clock, Random& random
) {
    std::unique_ptr<LocalPayments> out(new LocalPayments(std::move(settings)));
    FG_CO_CHECK(out->make_keys(random));
    const auto& wanted = out->settings_.ledger;
    const std::string own = "sqlite:" + (out->settings_.directory / "ledger.db").string();
    out->ledger_options_.ledger = wanted == "sqlite" ? own : wanted;
    out->ledger_options_.round_ms = out->settings_.round_ms;
    auto ledger = open_ledger(out->ledger_options_, {}, clock, random);
    if (!ledger) {
        co_return fail(std::move(ledger.error()));
    }
    out->ledger_ = std::move(*ledger);
    FG_CO_CHECK(co_await out->fund(clock));
    co_return std::move(out);
}

std::vector<std::string> LocalPayments::arguments(const std::string& name) const {
    const auto node = std::ranges::find(nodes_, name, &Node::name);
    FG_ASSERT(node != nodes_.end());
    std::vector<std::string> out{
        "--ledger",
        ledger_options_.ledger,
        "--key",
        node->key_file.string(),
        "--key-password-file",
        password_file().string(),
        "--receipts",
        (settings_.directory / "receipts" / name).string()
    };
    if (node != nodes_.begin()) {
        out.insert(out.end(), {"--price-per-unit", std::to_string(settings_.price_wei)});
    }
    return out;
}

Task<Result<std::vector<LocalBalance>>> LocalPayments::balances() {
    std::vector<LocalBalance> out;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        auto account = co_await ledger_->account(nodes_[i].address);
        if (!account) {
            co_return fail(std::move(account.error()));
        }
        out.push_back({nodes_[i].name, account->deposit, account->reserve, account->earned});
    }
    co_return out;
}

}  // namespace framegrid::app
