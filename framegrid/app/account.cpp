// `framegrid account`: deposits, reserves and what was paid, in the file of an embedded ledger.
#include <framegrid/app/commands.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>

#include <boost/json.hpp>

#include <framegrid/account/limits.hpp>
#include <framegrid/app/account_books.hpp>
#include <framegrid/app/session.hpp>
#include <framegrid/ledger_sqlite/ledger.hpp>
#include <framegrid/pay/ledger.hpp>

namespace framegrid::app {

namespace {

namespace json = boost::json;
using ledger_sqlite::LedgerFile;

constexpr const char* kLedgerPrefix = "sqlite:";
constexpr std::int64_t kUsageDayMs = 86'400'000;
constexpr std::chrono::seconds kLedgerPatience{30};

struct AccountOptions {
    std::string ledger;
    std::string address;
    std::string deposit = "0";
    std::string reserve = "0";
    int days = 30;
};

json::object describe(const ledger_sqlite::Account& account) {
    json::object out{
        {"object", "account"},
        {"address", crypto::checksum_address(account.address)},
        {"deposit", account.deposit.str()},
        {"reserve", account.reserve.str()},
        {"earnings", Wei(account.earned - account.collected).str()},
        {"funded", account.funded.str()},
        {"withdrawn", account.withdrawn.str()},
        {"paid", account.paid.str()},
        {"earned", account.earned.str()},
        {"collected", account.collected.str()}
    };
    if (account.withdraw_round != 0) {
        out["withdraw_round"] = account.withdraw_round;
    }
    return out;
}

void print(const CommonOptions& common, const json::object& object) {
    if (common.json) {
        std::printf("%s\n", json::serialize(object).c_str());
        return;
    }
    for (const auto& [name, value] : object) {
        if (name != "object") {
            const auto text = value.is_string() ? std::string(value.get_string()) : json::serialize(value);
            std::printf("%-14s %s\n", std::string(name).c_str(), text.c_str());
        }
    }
}

void print_list(const CommonOptions& common, json::array rows, std::initializer_list<const char*> columns) {
    if (common.json) {
        std::printf(
            "%s\n", json::serialize(json::object{{"object", "list"}, {"data", std::move(rows)}}).c_str()
        );
        return;
    }
    const auto width = [](std::string_view name) {
        constexpr int kAddress = 42;
        constexpr int kAmount = 22;
        return name == "address" || name == "sender" || name == "recipient" ? kAddress : kAmount;
    };
    for (const auto* column : columns) {
        std::printf("%-*s  ", width(column), column);
    }
    std::printf("\n");
    for (const auto& row : rows) {
        for (const auto* column : columns) {
            const auto& value = row.as_object().at(column);
            const auto text = value.is_string() ? std::string(value.get_string()) : json::serialize(value);
            std::printf("%-*s  ", width(column), text.c_str());
        }
        std::printf("\n");
    }
}

struct AccountCall {
    Session& session;
    LedgerFile& file;
    const AccountOptions& options;
    pay::Address address;
    Deadline deadline;
};

Task<Result<int>> show(AccountCall call) {
    FG_CO_TRY(account, co_await call.file.account(call.address));
    print(call.session.common, describe(account));
    co_return kExitOk;
}

Task<Result<int>> list(AccountCall call) {
    FG_CO_TRY(accounts, co_await call.file.accounts());
    json::array rows;
    for (const auto& account : accounts) {
        rows.push_back(describe(account));
    }
    print_list(
        call.session.common, std::move(rows), {"address", "deposit", "reserve", "earnings", "paid", "earned"}
    );
    co_return kExitOk;
}

Task<Result<int>> fund(AccountCall call) {
    FG_CO_TRY(deposit, account::parse_wei(call.options.deposit, "deposit"));
    FG_CO_TRY(reserve, account::parse_wei(call.options.reserve, "reserve"));
    if (deposit.is_zero() && reserve.is_zero()) {
        co_return fail(
            Errc::kInvalidArgument, "say how much: --deposit, --reserve or both, in wei", "deposit"
        );
    }
    FG_CO_CHECK(co_await call.file.ledger().fund(call.address, deposit, reserve, call.deadline));
    co_return co_await show(call);
}

Task<Result<int>> unlock(AccountCall call) {
    FG_CO_TRY(round, co_await call.file.ledger().unlock(call.address, call.deadline));
    const auto state = call.file.chain().state();
    std::fprintf(
        stderr, "withdraw works from round %lld on; this is round %lld\n", static_cast<long long>(round),
        static_cast<long long>(state ? state->round : 0)
    );
    co_return co_await show(call);
}

Task<Result<int>> lock(AccountCall call) {
    FG_CO_CHECK(co_await call.file.ledger().cancel_unlock(call.address, call.deadline));
    co_return co_await show(call);
}

Task<Result<int>> withdraw(AccountCall call) {
    FG_CO_TRY(amount, co_await call.file.ledger().withdraw(call.address, call.deadline));
    print(call.session.common, {{"withdrawn", amount.str()}});
    co_return kExitOk;
}

Task<Result<int>> collect(AccountCall call) {
    FG_CO_TRY(amount, co_await call.file.collect(call.address));
    print(call.session.common, {{"collected", amount.str()}});
    co_return kExitOk;
}

Task<Result<int>> usage(AccountCall call) {
    const std::int64_t now = call.session.clock.unix_ms();
    const std::int64_t from = call.options.days == 0 ? 0 : now - call.options.days * kUsageDayMs;
    FG_CO_TRY(
        payments, co_await call.file.usage(call.address, from, std::numeric_limits<std::int64_t>::max())
    );
    json::array rows;
    for (const auto& one : payments) {
        rows.push_back(json::object{
            {"sender", crypto::checksum_address(one.sender)},
            {"recipient", crypto::checksum_address(one.recipient)},
            {"tickets", one.tickets},
            {"face_value", one.face_value.str()},
            {"paid", one.paid.str()}
        });
    }
    print_list(
        call.session.common, std::move(rows), {"sender", "recipient", "tickets", "face_value", "paid"}
    );
    co_return kExitOk;
}

Task<Result<int>> check(AccountCall call) {
    FG_CO_TRY(totals, co_await call.file.check());
    print(
        call.session.common, {{"object", "ledger_totals"},
                              {"accounts", totals.accounts},
                              {"tickets_paid", totals.tickets_paid},
                              {"funded", totals.funded.str()},
                              {"held", totals.held.str()},
                              {"paid", totals.paid.str()},
                              {"withdrawn", totals.withdrawn.str()},
                              {"collected", totals.collected.str()}}
    );
    co_return kExitOk;
}

using AccountAction = Task<Result<int>> (*)(AccountCall);

Task<Result<int>> with_ledger(Session& session, AccountAction action, AccountOptions options) {
    pay::Address address{};
    if (!options.address.empty()) {
        auto parsed = crypto::parse_address(options.address);
        if (!parsed) {
            co_return fail(Errc::kInvalidArgument, "an address has 40 hex digits", "ADDRESS");
        }
        address = *parsed;
    }
    const bool named = options.ledger.starts_with(kLedgerPrefix);
    const host::Path path = host::expand_home(
        named ? options.ledger.substr(std::string_view(kLedgerPrefix).size()) : options.ledger
    );
    // Made with the first money only: a wrong name would make another file.
    if (action != &fund && !std::filesystem::exists(path)) {
        co_return fail(Errc::kNotFound, "there is no ledger in " + path.string(), "ledger");
    }
    auto file = LedgerFile::open({.file = path}, session.clock, session.random);
    if (!file) {
        co_return fail(std::move(file.error()));
    }
    co_return co_await action(
        {session, **file, options, address, Deadline::after(session.clock, kLedgerPatience)}
    );
}

}  // namespace

void add_account_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<AccountOptions>();
    auto* command =
        app.add_subcommand("account", "Deposits, reserves, earnings and receipts of an embedded ledger");
    command->require_subcommand(1);
    command->footer(
        "Examples:\n"
        "  framegrid account fund 0x1234... --ledger sqlite:ledger.sqlite --deposit 1000000000 --reserve "
        "500000000\n"
        "  framegrid account ls --ledger sqlite:ledger.sqlite --json\n"
        "  framegrid account verify receipts\n"
        "  framegrid account reconcile gateway/receipts orchestrator/receipts"
    );
    enum class Names : std::uint8_t { kNobody, kAnybody, kOne };
    const auto add = [&](const char* name, const char* what, AccountAction action, Names names) {
        auto* sub = command->add_subcommand(name, what);
        sub->add_option("--ledger", options->ledger, "sqlite:PATH; processes that use it may be running")
            ->envname("FRAMEGRID_LEDGER")
            ->required();
        if (names != Names::kNobody) {
            auto* address = sub->add_option("ADDRESS", options->address, "whose account");
            address->required(names == Names::kOne);
        }
        sub->callback([options, &common, &run, action] {
            run = [options, &common, action] {
                Session session(common, "account", 1);
                return session.run([&] { return with_ledger(session, action, *options); });
            };
        });
        return sub;
    };
    add("ls", "list accounts; amounts are in wei", &list, Names::kNobody);
    add("show", "show an account", &show, Names::kOne);
    auto* funded = add("fund", "add to a deposit and a reserve; ends a running unlock", &fund, Names::kOne);
    funded->add_option("--deposit", options->deposit, "pays winning tickets, wei")->capture_default_str();
    funded->add_option("--reserve", options->reserve, "stands behind them, shared by all recipients, wei")
        ->capture_default_str();
    add("unlock", "begin to take deposit and reserve out: tickets are refused soon", &unlock, Names::kOne);
    add("lock", "end a running unlock", &lock, Names::kOne);
    add("withdraw", "take deposit and reserve out, two rounds after the unlock", &withdraw, Names::kOne);
    add("collect", "take out what a recipient has earned", &collect, Names::kOne);
    auto* used = add("usage", "what was paid by whom to whom", &usage, Names::kAnybody);
    used->add_option("--days", options->days, "of the last days; 0: ever")
        ->check(CLI::Range(0, 36'500))
        ->capture_default_str();
    add("check", "recompute all accounts from what happened to them", &check, Names::kNobody);
    add_account_book_commands(*command, common, run);
}

}  // namespace framegrid::app
