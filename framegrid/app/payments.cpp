#include <framegrid/app/payments.hpp>

#include <filesystem>
#include <optional>
#include <system_error>

#include <framegrid/account/limits.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/job/capabilities.hpp>

namespace framegrid::app {

namespace {

constexpr std::string_view kSqliteLedger = "sqlite:";
constexpr std::uint32_t kUsdDecimalsMax = 18;

// "PIPELINE/MODEL" -> its key; a model may hold slashes.
Result<pay::ModelKey> model_key(std::string_view text, const char* field) {
    const auto slash = text.find('/');
    const auto capability = job::capability_of_pipeline(text.substr(0, slash));
    if (!capability || slash == std::string_view::npos || slash + 1 == text.size()) {
        return fail(
            Errc::kInvalidArgument,
            std::string(text) + " is no PIPELINE/MODEL, as in text-to-image/framegrid/sd-turbo", field
        );
    }
    return pay::ModelKey{static_cast<std::uint32_t>(*capability), std::string(text.substr(slash + 1))};
}

struct Named {
    std::string what;
    pay::PriceTag tag;
};
Result<Named> named_price(const std::string& text, const char* field) {
    const auto mark = text.rfind('=');
    if (mark == std::string::npos) {
        return fail(Errc::kInvalidArgument, text + " is not of the form WHAT=PRICE", field);
    }
    auto tag = pay::parse_price(std::string_view(text).substr(mark + 1));
    if (!tag) {
        tag.error().field = field;
        return fail(std::move(tag.error()));
    }
    return Named{text.substr(0, mark), *tag};
}

Result<pay::UsdRate> usd_rate(const std::string& text) {
    if (text.empty()) {
        return pay::UsdRate{};
    }
    const auto tag = pay::parse_price(text);
    if (!tag || tag->currency != pay::Currency::kWei || tag->units != 1 || tag->decimals > kUsdDecimalsMax) {
        return fail(Errc::kInvalidArgument, "the dollars for an ether are a decimal number", "usd-per-eth");
    }
    return pay::UsdRate{tag->digits, tag->decimals};
}

struct SeenRate {
    std::filesystem::file_time_type written_at{};
    Result<pay::UsdRate> rate = pay::UsdRate{};
};

// nullopt: as it was.
std::optional<SeenRate> read_rate(const host::Path& file, const SeenRate& last) {
    std::error_code error;
    SeenRate out{std::filesystem::last_write_time(file, error)};
    if (error) {
        if (!last.rate) {
            return std::nullopt;  // said already
        }
        out.rate = fail(host::system_error("cannot read " + file.string(), error.value()));
        return out;
    }
    if (out.written_at == last.written_at) {
        return std::nullopt;
    }
    constexpr std::size_t kRateBytesMax = 64;
    auto text = host::read_file(file, kRateBytesMax);
    if (!text) {
        out.rate = fail(std::move(text.error()));
        return out;
    }
    const auto line = as_text(*text);
    out.rate = usd_rate(std::string(line.substr(0, line.find_last_not_of(" \r\n") + 1)));
    return out;
}

}  // namespace

Task<Result<bool>> follow_usd_rate(Session& session, orchestrator::Orchestrator& role, std::string file) {
    constexpr Duration kPeriod = std::chrono::seconds(2);
    const host::Path path = host::expand_home(file);
    SeenRate last;
    for (;;) {
        auto seen = co_await offload(session.pool, [&] { return read_rate(path, last); });
        if (seen) {
            last = *std::move(seen);
            auto taken = Result<void>();
            if (last.rate) {
                taken = role.set_usd_rate(*last.rate);
            } else {
                taken = fail(Error(last.rate.error()));
            }
            if (taken) {
                session.log.info("orchestrator.usd_rate", {{"digits", last.rate->usd_per_eth}});
            } else {
                session.log.warn("orchestrator.usd_rate_refused", {{"error", taken.error().message}});
            }
        }
        co_await sleep_for(session.clock, kPeriod);
    }
}

void add_ledger_options(CLI::App& command, LedgerOptions& options) {
    command
        .add_option(
            "--ledger", options.ledger,
            "where deposits are and tickets are paid: none (nothing is paid), or sqlite:FILE, which nodes of "
            "one "
            "machine share"
        )
        ->envname("FRAMEGRID_LEDGER")
        ->capture_default_str();
    command
        .add_option(
            "--ledger-round-ms", options.round_ms,
            "length of a round, in which tickets are valid; a file keeps the one that it was made with"
        )
        ->check(CLI::Range(std::int64_t{300}, std::int64_t{30} * 24 * 3'600'000))
        ->capture_default_str();
}

Result<std::unique_ptr<ledger_sqlite::LedgerFile>> open_ledger(
    const LedgerOptions& options, Recipient recipient, Clock& clock, Random& random
) {
    if (options.ledger == kNoLedger) {
        return nullptr;
    }
    if (!options.ledger.starts_with(kSqliteLedger) || options.ledger.size() == kSqliteLedger.size()) {
        return fail(Errc::kInvalidArgument, "a ledger is 'none' or 'sqlite:FILE'", "ledger");
    }
    ledger_sqlite::LedgerSettings settings;
    settings.file = host::expand_home(options.ledger.substr(kSqliteLedger.size()));
    settings.round_ms = options.round_ms;
    settings.recipient = recipient.address;
    settings.service_uri = std::move(recipient.service_uri);
    return ledger_sqlite::LedgerFile::open(std::move(settings), clock, random);
}

void add_sell_options(CLI::App& command, SellOptions& options) {
    command.add_option("--price-per-unit", options.price_wei, "wei per --pixels-per-unit pixels")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    command.add_option("--pixels-per-unit", options.price_units, "pixels that the price is for")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    command.add_option(
        "--price", options.prices,
        "another price for a model or a gateway: PIPELINE/MODEL=PRICE or 0xADDRESS=PRICE, with a PRICE as in "
        "1200, 0.5e-9eth or 0.02USD/1000000 (units); may be repeated"
    );
    command.add_option("--usd-per-eth", options.usd_per_eth, "for prices in dollars");
    command.add_option(
        "--usd-per-eth-file", options.usd_per_eth_file,
        "a file with that number, which another program keeps fresh; after three hours without a change "
        "--usd-per-eth counts again"
    );
    command.add_option("--ticket-ev", options.ticket_ev, "what a ticket is worth on average, wei")
        ->capture_default_str();
    command
        .add_option(
            "--max-face-value", options.face_value_max,
            "of a ticket, wei; 0: as much as the sender's reserve carries"
        )
        ->capture_default_str();
}

Result<pay::PriceTable> price_table(const SellOptions& options, TimePoint now) {
    pay::PriceSettings settings;
    pay::PriceTag base;
    base.digits = static_cast<std::uint64_t>(options.price_wei);
    base.units = options.price_units;
    settings.rules.push_back({{}, {}, base});
    for (const auto& text : options.prices) {
        FG_TRY(named, named_price(text, "price"));
        pay::PriceRule rule{{}, {}, named.tag};
        if (named.what.starts_with("0x")) {
            FG_TRY(address, crypto::parse_address(named.what));
            rule.sender = address;
        } else {
            FG_TRY(model, model_key(named.what, "price"));
            rule.model = std::move(model);
        }
        settings.rules.push_back(std::move(rule));
    }
    FG_TRY(rate, usd_rate(options.usd_per_eth));
    settings.usd_fallback = rate;
    return pay::PriceTable::make(std::move(settings), now);
}

Result<orchestrator::CashierSettings> cashier_settings(const SellOptions& options) {
    orchestrator::CashierSettings out;
    FG_TRY(ticket_ev, account::parse_wei(options.ticket_ev, "ticket-ev"));
    FG_TRY(face_value_max, account::parse_wei(options.face_value_max, "max-face-value"));
    if (ticket_ev.is_zero()) {
        return fail(Errc::kInvalidArgument, "a ticket must be worth something", "ticket-ev");
    }
    if (!face_value_max.is_zero() && face_value_max <= ticket_ev) {
        return fail(
            Errc::kInvalidArgument, "the face value must be more than what a ticket is worth on average",
            "max-face-value"
        );
    }
    out.till.recipient.ticket_ev = ticket_ev;
    out.till.recipient.face_value_max = face_value_max;
    return out;
}

void add_buy_options(CLI::App& command, BuyOptions& options) {
    command.add_option(
        "--max-price", options.prices_max,
        "the most that is paid for a model: PIPELINE/MODEL=PRICE, with a PRICE as in 1200 or 1200/1000000 "
        "(units); may be repeated"
    );
    command
        .add_option("--max-ticket-ev", options.ticket_ev_max, "that one ticket may be worth on average, wei")
        ->capture_default_str();
    command
        .add_option(
            "--max-payment-ev", options.payment_ev_max, "that the tickets of one payment may be worth, wei"
        )
        ->capture_default_str();
}

Result<gateway::PaymentSettings> payment_settings(const BuyOptions& options) {
    gateway::PaymentSettings out;
    FG_TRY(ticket_ev_max, account::parse_wei(options.ticket_ev_max, "max-ticket-ev"));
    FG_TRY(payment_ev_max, account::parse_wei(options.payment_ev_max, "max-payment-ev"));
    out.sender.ticket_ev_max = ticket_ev_max;
    out.sender.payment_ev_max = payment_ev_max;
    for (const auto& text : options.prices_max) {
        FG_TRY(named, named_price(text, "max-price"));
        FG_TRY(model, model_key(named.what, "max-price"));
        if (named.tag.currency == pay::Currency::kUsd) {
            return fail(Errc::kInvalidArgument, "a limit is in wei or eth", "max-price");
        }
        pay::PriceSettings settings;
        settings.rules.push_back({{}, {}, named.tag});
        FG_TRY(table, pay::PriceTable::make(std::move(settings), {}));
        out.ceilings.set(std::move(model), table.price({}, {}, {}));
    }
    return out;
}

void log_books(const Logger& log, std::string_view event, const std::vector<pay::BalanceEntry>& books) {
    for (const auto& entry : books) {
        log.info(
            event, {{"peer", crypto::checksum_address(entry.key.peer)},
                    {"for", entry.key.id},
                    {"wei", entry.balance.text()}}
        );
    }
}

}  // namespace framegrid::app
