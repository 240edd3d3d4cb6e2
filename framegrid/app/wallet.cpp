#include <framegrid/app/wallet.hpp>

#include <cstdlib>

#include <framegrid/app/keys.hpp>
#include <framegrid/app/loopback.hpp>

namespace framegrid::app {

namespace {

constexpr Duration kSignerWaitMax = std::chrono::seconds(10);
constexpr Duration kSignerPause = std::chrono::milliseconds(250);
constexpr std::size_t kSignerConnectionsMax = 32;
constexpr const char* kSignerKeyVariable = "FRAMEGRID_SIGNER_KEY";

Error about_signer(Error error, const std::string& url) {
    error.field = "signer";
    return std::move(error).with_context(url);
}

}  // namespace

void add_wallet_options(CLI::App& command, WalletOptions& options) {
    add_ledger_options(command, options.ledger);
    auto* key = command.add_option(
        "--key", options.key_file, "key file that signs requests and pays (see 'framegrid key')"
    );
    command.add_option("--key-password-file", options.password_file, "file with the key file's password");
    command
        .add_option(
            "--signer", options.signer,
            "instead of --key: URL of the 'framegrid signer' that holds the key, signs requests and pays"
        )
        ->envname("FRAMEGRID_SIGNER")
        ->excludes(key);
    command.add_option(
        "--signer-key-file", options.signer_key_file,
        "file with what this gateway shows its signer; without it $FRAMEGRID_SIGNER_KEY, or nothing"
    );
    add_receipts_option(command, options.receipts);
}

Result<std::string> signer_key(const std::string& file) {
    if (!file.empty()) {
        auto key = read_secret_file(file);
        if (!key) {
            key.error().field = "signer-key-file";
        }
        return key;
    }
    const char* value = std::getenv(kSignerKeyVariable);
    return std::string(value == nullptr ? "" : value);
}

http::ClientSettings signer_client_settings(const http::Url& url) {
    http::ClientSettings out;
    out.verify_certificates = !is_loopback(url.host);
    out.connections_per_origin_max = kSignerConnectionsMax;
    return out;
}

Task<Result<void>> Wallet::connect(std::string url, std::string key) {
    auto target = http::parse_url(url);
    if (!target) {
        co_return fail(about_signer(std::move(target.error()), url));
    }
    if (target->scheme == "http" && !is_loopback(target->host)) {
        session_.log.warn(
            "gateway.signer_in_clear",
            {{"next", "what is signed and the caller's key can be read on the way: use https"}}
        );
    }
    client_ = std::make_unique<http::Client>(
        session_.loop.executor(), session_.clock, signer_client_settings(*target), session_.log
    );
    const Deadline deadline = Deadline::after(session_.clock, kSignerWaitMax);
    for (;;) {
        auto remote = co_await wire::RemoteSigner::connect(
            {*client_, session_.clock, session_.pool}, url, key, deadline
        );
        if (remote) {
            remote_ = std::move(*remote);
            co_return Result<void>{};
        }
        if (remote.error().code != Errc::kUnavailable || deadline.passed(session_.clock)) {
            co_return fail(about_signer(std::move(remote.error()), url));
        }
        co_await sleep_for(session_.clock, kSignerPause);
    }
}

Task<Result<void>> Wallet::open_signer(const WalletOptions& options) {
    if (!options.signer.empty()) {
        FG_CO_TRY(key, signer_key(options.signer_key_file));
        FG_CO_CHECK(co_await connect(options.signer, std::move(key)));
        if (!options.receipts.empty()) {
            const auto soon = Deadline::after(session_.clock, kSignerWaitMax);
            FG_CO_CHECK(co_await remote_->check_signs_receipts(soon));
        }
        request_signer_ = remote_.get();
        signer_ = remote_.get();
        session_.log.info(
            "gateway.signer",
            {{"uri", options.signer}, {"address", crypto::checksum_address(remote_->address())}}
        );
        co_return Result<void>{};
    }
    if (!options.signer_key_file.empty()) {
        co_return fail(
            Errc::kInvalidArgument, "--signer-key-file is for a signer: name it with --signer", "signer"
        );
    }
    if (options.key_file.empty()) {
        if (options.ledger.ledger != kNoLedger) {
            co_return fail(
                Errc::kInvalidArgument,
                "who pays needs a key: name its file with --key, or who holds it with --signer", "key"
            );
        }
        co_return Result<void>{};
    }
    FG_CO_TRY(key, load_key(options.key_file, options.password_file));
    key_.emplace(std::move(key));
    key_signer_.emplace(*key_, session_.pool);
    key_request_signer_.emplace(*key_);
    request_signer_ = &*key_request_signer_;
    signer_ = &*key_signer_;
    co_return Result<void>{};
}

Task<Result<std::unique_ptr<Wallet>>> Wallet::open(Session& session, WalletOptions options) {
    std::unique_ptr<Wallet> out(new Wallet(session));
    if (auto opened = co_await out->open_signer(options); !opened) {
        co_await out->stop();
        co_return fail(std::move(opened.error()));
    }
    auto ledger = open_ledger(options.ledger, {}, session.clock, session.random);
    if (!ledger) {
        co_await out->stop();
        co_return fail(std::move(ledger.error()));
    }
    out->ledger_ = std::move(*ledger);
    auto receipts =
        NodeReceipts::open(session, options.receipts, out->key_ ? &*out->key_ : nullptr, out->remote_.get());
    if (!receipts) {
        co_await out->stop();
        co_return fail(std::move(receipts.error()));
    }
    out->receipts_ = std::move(*receipts);
    co_return out;
}

std::optional<gateway::PaymentPorts> Wallet::ports() {
    if (!ledger_) {
        return std::nullopt;
    }
    auto* const desk = receipts_ ? &receipts_->desk() : nullptr;
    return gateway::PaymentPorts{*signer_, ledger_->ledger(), ledger_->chain(), desk};
}

void Wallet::dump(MetricsWriter& out) const {
    if (remote_) {
        remote_->dump(out);
    }
    if (ledger_) {
        ledger_->dump(out);
    }
    if (receipts_) {
        pay::dump(out, receipts_->desk().stats());
    }
}

Task<void> Wallet::stop() {
    if (receipts_) {
        co_await receipts_->finish();  // which may need the signer
    }
    if (client_) {
        co_await client_->stop();
    }
}

}  // namespace framegrid::app
