// `framegrid signer`: holds a key and signs for gateways that have none.
#include <framegrid/app/signer.hpp>

#include <sys/prctl.h>
#include <sys/resource.h>

#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <toml++/toml.hpp>

#include <framegrid/app/keys.hpp>
#include <framegrid/app/loopback.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/app/payments.hpp>
#include <framegrid/app/session.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/crypto/wipe.hpp>
#include <framegrid/pay/prices.hpp>
#include <framegrid/runtime/task_group.hpp>
#include <framegrid/wire/signer_server.hpp>

namespace framegrid::app {

namespace {

constexpr std::size_t kCallersBytesMax = 1 << 20;
constexpr std::size_t kJournalBytesMax = 16 << 20;
constexpr std::size_t kPasswordBytesMax = 1'024;
constexpr std::size_t kKeyFileBytesMax = 64 * 1024;
constexpr std::string_view kAnybody = "anybody";  // a loopback signer's one caller

struct SignerOptions {
    ListenOptions listen{.listen = "127.0.0.1:8936", .tls = false, .certificate = "", .key = ""};
    std::string key_file;
    std::string password_file;
    std::string callers;
    std::string data;
    std::string orchestrators;
    std::string price_max;
    std::string wei_per_day_max;
    std::string face_value_max = "0";
    LedgerOptions ledger;
};

struct KnownCaller {
    Bytes key_sha256;
    signer::Caller caller;
};

std::unexpected<Error> wrong_caller(const std::string& file, const std::string& why) {
    return fail(Errc::kInvalidArgument, file + ": " + why, "callers");
}

Result<std::optional<Price>> read_price(const std::string& text, const std::string& field) {
    if (text.empty()) {
        return std::optional<Price>{};
    }
    FG_TRY(tag, pay::parse_price(text));
    if (tag.currency != pay::Currency::kWei || tag.decimals != 0 || tag.digits > std::uint64_t{INT64_MAX}) {
        return fail(Errc::kInvalidArgument, "write a price in whole wei, as 1200/1000000", field);
    }
    return std::optional(Price{static_cast<std::int64_t>(tag.digits), tag.units});
}

Result<std::optional<Wei>> read_wei(const std::string& text, const std::string& field) {
    constexpr std::size_t kDigitsMax = 60;
    if (text.empty()) {
        return std::optional<Wei>{};
    }
    if (text.size() > kDigitsMax || text.find_first_not_of("0123456789") != std::string::npos) {
        return fail(Errc::kInvalidArgument, "'" + text + "' is not an amount in wei", field);
    }
    return std::optional(Wei(text));
}

Result<KnownCaller> read_caller(const std::string& file, const toml::table& table) {
    const auto text = [&table](const char* name) { return table[name].value_or(std::string()); };
    for (const auto& [key, value] : table) {
        const auto name = key.str();
        if (name != "name" && name != "key_sha256" && name != "price_max" && name != "wei_per_day_max") {
            return wrong_caller(file, "a caller has no '" + std::string(name) + "'");
        }
    }
    KnownCaller out;
    out.caller.id = text("name");
    auto hash = crypto::parse_hex(text("key_sha256"));
    if (out.caller.id.empty() || !hash || hash->size() != sizeof(crypto::Hash32)) {
        return wrong_caller(file, "a caller needs a name, and key_sha256: printf %s \"$KEY\" | sha256sum");
    }
    out.key_sha256 = *std::move(hash);
    FG_TRY(price, read_price(text("price_max"), "callers"));
    FG_TRY(limit, read_wei(text("wei_per_day_max"), "callers"));
    out.caller.price_max = price;
    out.caller.wei_per_day_max = limit;
    return out;
}

Result<std::vector<KnownCaller>> read_callers(const std::string& file) {
    FG_TRY(content, host::read_file(file, kCallersBytesMax));
    std::vector<KnownCaller> out;
    try {
        const auto root = toml::parse(as_text(content), file);
        const auto* list = root["caller"].as_array();
        for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
            const auto* table = (*list)[i].as_table();
            if (table == nullptr) {
                return wrong_caller(file, "callers are written as [[caller]]");
            }
            FG_TRY(one, read_caller(file, *table));
            out.push_back(std::move(one));
        }
    } catch (const toml::parse_error& error) {
        return wrong_caller(file, std::string(error.description()));
    }
    if (out.empty()) {
        return wrong_caller(file, "there is no [[caller]]");
    }
    return out;
}

// Whoever shows a key; the time tells nothing of the others.
std::optional<signer::Caller> find_caller(const std::vector<KnownCaller>& all, std::string_view key) {
    const auto shown = crypto::sha256(as_bytes(key));
    const KnownCaller* found = nullptr;
    for (const auto& one : all) {
        if (crypto::equal_constant_time(one.key_sha256, shown)) {
            found = &one;
        }
    }
    return found == nullptr ? std::nullopt : std::optional(found->caller);
}

// From the terminal, without showing it.
Result<std::string> ask_password() {
    termios before{};
    if (::tcgetattr(STDIN_FILENO, &before) != 0) {
        return fail(
            Errc::kInvalidArgument, "there is no terminal to ask for the password: use --key-password-file",
            "key-password-file"
        );
    }
    auto quiet = before;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    std::fputs("Password of the key: ", stderr);
    (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    std::string out(kPasswordBytesMax, '\0');
    const auto count = ::read(STDIN_FILENO, out.data(), out.size());
    (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    std::fputs("\n", stderr);
    out.resize(
        count > 0 ? static_cast<std::size_t>(count) - (out[static_cast<std::size_t>(count) - 1] == '\n') : 0
    );
    return out;
}

// Neither a debugger of this user nor a core file sees the key.
void hide_memory() {
    (void)::prctl(PR_SET_DUMPABLE, 0);
    const rlimit none{0, 0};
    (void)::setrlimit(RLIMIT_CORE, &none);
}

Result<crypto::PrivateKey> open_key(const SignerOptions& options) {
    if (!options.password_file.empty() || std::getenv("FRAMEGRID_KEY_PASSWORD") != nullptr) {
        return load_key(options.key_file, options.password_file);
    }
    FG_TRY(password, ask_password());
    auto file = host::read_file(options.key_file, kKeyFileBytesMax);
    auto key = file ? crypto::read_keystore(as_text(*file), password)
                    : Result<crypto::PrivateKey>(fail(std::move(file.error())));
    crypto::wipe(password);
    return key;
}

class FileJournal final : public signer::SpendJournal {
  public:
    FileJournal(host::Path file, WorkPool& pool) : file_(std::move(file)), pool_(pool) {}
    Task<Result<void>> keep(std::string text) override {
        auto write = [this, &text] {
            constexpr unsigned kOwnerOnly = 0600;
            return host::write_file_atomic(file_, as_bytes(text), host::Durability::kSynced, kOwnerOnly);
        };
        co_return co_await offload(pool_, std::move(write));
    }

  private:
    host::Path file_;
    WorkPool& pool_;
};

struct SignerSetup {
    crypto::PrivateKey key;
    std::vector<KnownCaller> callers;  // empty: anybody, as `anybody`
    signer::Caller anybody;
    signer::Settings settings;
    http::ServerSettings listen;
    host::Path journal;
    std::string spent;
};

Result<SignerSetup> set_up(const SignerOptions& options) {
    FG_TRY(listen, server_settings(options.listen));
    if (options.callers.empty() && !is_loopback(listen.address)) {
        return fail(
            Errc::kInvalidArgument,
            listen.address +
                " can be reached from other machines, and whoever asks would be signed for: name "
                "the callers with --callers, or listen on 127.0.0.1",
            "callers"
        );
    }
    std::vector<KnownCaller> callers;
    if (!options.callers.empty()) {
        FG_TRY(read, read_callers(options.callers));
        callers = std::move(read);
    }
    FG_TRY(price, read_price(options.price_max, "price-max"));
    FG_TRY(limit, read_wei(options.wei_per_day_max, "wei-per-day-max"));
    FG_TRY(face, read_wei(options.face_value_max, "face-value-max"));
    FG_TRY(key, open_key(options));
    const auto data = options.data.empty() ? host::data_dir() / "signer" : host::expand_home(options.data);
    FG_CHECK(host::make_dirs(data, 0700));
    const auto journal = data / "spent.json";
    std::string spent;
    if (std::filesystem::exists(journal)) {
        FG_TRY(content, host::read_file(journal, kJournalBytesMax));
        spent = as_text(content);
    }
    signer::Settings settings;
    settings.face_value_max = face.value_or(0);
    return SignerSetup{std::move(key),  std::move(callers), {std::string(kAnybody), price, limit},
                       settings,        std::move(listen),  journal,
                       std::move(spent)};
}

Task<Result<bool>> run_until_cancelled(Clock& clock) {
    for (;;) {
        co_await sleep_for(clock, std::chrono::hours(1));
    }
}

Task<Result<int>> serve_signer(Session& session, SignerOptions options) {
    auto made = set_up(options);
    if (!made) {
        co_return fail(std::move(made.error()));
    }
    if (!made->listen.tls && !is_loopback(made->listen.address)) {
        session.log.warn(
            "signer.clear_text", {{"next", "keys of callers can be read on the way: add --tls"}}
        );
    }
    host::ThreadPool in_order(1);
    FileJournal journal(made->journal, in_order);
    auto spending = signer::SpendBook::make(session.clock, journal, made->spent);
    if (!spending) {
        co_return fail(std::move(spending.error()).with_context(made->journal.string()));
    }
    const auto ledger = open_ledger(options.ledger, {}, session.clock, session.random);
    if (!ledger) {
        co_return fail(Error(ledger.error()));
    }
    const auto* const chain = *ledger == nullptr ? nullptr : &(*ledger)->chain();
    signer::Signer role(
        {made->key, session.pool, session.clock, session.random, *spending, chain}, made->settings
    );
    wire::SignerServer routes(
        role,
        [&made](std::string_view key) {
            return made->callers.empty() ? std::optional(made->anybody) : find_caller(made->callers, key);
        },
        session.log, {.orchestrators = split_list(options.orchestrators)}
    );
    made->listen.body_bytes_max = wire::kReceiptsBytesMax;  // the other calls have their own limit
    http::Server server(
        session.loop.executor(), session.clock, made->listen,
        [&routes](http::Exchange& exchange) { return routes.serve(exchange); }, session.log
    );
    if (auto listening = server.listen(); !listening) {
        co_return fail(std::move(listening.error()));
    }
    const auto uri = local_uri(made->listen, server.port());
    session.log.info(
        "signer.listening", {{"uri", uri}, {"address", crypto::checksum_address(role.address())}}
    );
    announce_ready(uri);
    (void
    )co_await with_cleanup<bool>(run_until_cancelled(session.clock), server.stop(std::chrono::seconds(1)));
    co_return kExitOk;
}

}  // namespace

void add_signer_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<SignerOptions>();
    auto* command = app.add_subcommand("signer", "Hold a key and sign payments for gateways");
    add_listen_options(*command, options->listen, true);
    add_ledger_options(*command, options->ledger);
    command->add_option("--key", options->key_file, "key file (see 'framegrid key')")->required();
    command->add_option(
        "--key-password-file", options->password_file,
        "file with its password; without it $FRAMEGRID_KEY_PASSWORD, or it is asked for"
    );
    command->add_option("--callers", options->callers, "TOML file: who may ask, for how much");
    command->add_option("--data", options->data, "directory; default: $XDG_DATA_HOME/framegrid/signer");
    command->add_option(
        "--orchestrators", options->orchestrators, "what /discover-orchestrators names, separated by commas"
    );
    command->add_option(
        "--price-max", options->price_max, "without --callers: wei per units, as 1200/1000000"
    );
    command->add_option(
        "--wei-per-day-max", options->wei_per_day_max, "without --callers: what is signed in a day, at most"
    );
    command->add_option("--face-value-max", options->face_value_max, "of a ticket, in wei; 0: any")
        ->capture_default_str();
    command->footer(
        "The file of callers:\n"
        "  [[caller]]\n"
        "  name = \"gateway-1\"\n"
        "  key_sha256 = \"...\"               # printf %s \"$KEY\" | sha256sum\n"
        "  price_max = \"1200/1000000\"       # wei per units; absent: any\n"
        "  wei_per_day_max = \"1000000000000000\"\n"
        "Example:\n"
        "  framegrid signer --key node.key --callers callers.toml --listen 0.0.0.0:8936 --tls\n"
        "and the gateway, which shows the key whose sha256 is in the file:\n"
        "  framegrid gateway --signer https://signer.example:8936 --signer-key-file caller.key ..."
    );
    command->callback([options, &common, &run] {
        run = [options, &common] {
            hide_memory();
            Session session(common, "signer", 2);
            return session.run([&] { return serve_signer(session, *options); });
        };
    });
}

}  // namespace framegrid::app
