// What a gateway signs and pays with: a key, or a signer that holds it elsewhere; and the ledger.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include <framegrid/app/payments.hpp>
#include <framegrid/app/receipts.hpp>
#include <framegrid/app/session.hpp>
#include <framegrid/wire/signer_client.hpp>

namespace framegrid::app {

struct WalletOptions {
    std::string key_file;
    std::string password_file;
    std::string signer;
    std::string signer_key_file;
    std::string receipts;
    LedgerOptions ledger;
};
void add_wallet_options(CLI::App& command, WalletOptions& options);
// What a gateway shows its signer: the file's first line, $FRAMEGRID_SIGNER_KEY without one, or nothing.
Result<std::string> signer_key(const std::string& file);
// Certificates count, except on this machine: the caller's key goes there.
http::ClientSettings signer_client_settings(const http::Url& url);

class Wallet {
  public:
    // kInvalidArgument names the option. A signer that is away is waited for, not long.
    static Task<Result<std::unique_ptr<Wallet>>> open(Session& session, WalletOptions options);
    // Null: nothing is signed.
    wire::RequestSigner* request_signer() const { return request_signer_; }
    NodeReceipts* receipts() const { return receipts_.get(); }
    // nullopt: nothing is paid.
    std::optional<gateway::PaymentPorts> ports();
    void dump(MetricsWriter& out) const;
    Task<void> stop();

  private:
    explicit Wallet(Session& session) : session_(session) {}
    Task<Result<void>> open_signer(const WalletOptions& options);
    Task<Result<void>> connect(std::string url, std::string key);

    Session& session_;
    std::optional<crypto::PrivateKey> key_{};
    std::optional<pay::KeySigner> key_signer_{};
    std::optional<wire::KeyRequestSigner> key_request_signer_{};
    std::unique_ptr<http::Client> client_{};
    std::unique_ptr<wire::RemoteSigner> remote_{};
    wire::RequestSigner* request_signer_ = nullptr;
    pay::Signer* signer_ = nullptr;
    std::unique_ptr<ledger_sqlite::LedgerFile> ledger_{};  // null: nothing is paid
    std::unique_ptr<NodeReceipts> receipts_{};             // null: none are written
};

}  // namespace framegrid::app
