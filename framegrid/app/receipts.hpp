// A node's receipts: the directory, and the desk that writes them.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include <framegrid/app/session.hpp>
#include <framegrid/pay/receipt_desk.hpp>
#include <framegrid/receipts_fs/receipt_files.hpp>

namespace framegrid::app {

void add_receipts_option(CLI::App& command, std::string& directory);

class NodeReceipts {
  public:
    // Blocking. Null for no directory. The key, or the signer in its place, signs each
    // hour and outlives it. kInvalidArgument (field
    // "receipts"): no key; kIo.
    static Result<std::unique_ptr<NodeReceipts>> open(
        Session& session, const std::string& directory, const crypto::PrivateKey* key,
        pay::ClosingSigner* signer = nullptr
    );
    pay::ReceiptDesk& desk() { return desk_; }
    // Writes what is left when everything has stopped.
    Task<void> finish();

  private:
    NodeReceipts(Session& session, std::unique_ptr<receipts_fs::ReceiptFiles> files);
    Session& session_;
    std::unique_ptr<receipts_fs::ReceiptFiles> files_;
    pay::ReceiptDesk desk_;
};

}  // namespace framegrid::app
