#include <framegrid/app/receipts.hpp>

namespace framegrid::app {

void add_receipts_option(CLI::App& command, std::string& directory) {
    command.add_option(
        "--receipts", directory,
        "where this node alone keeps a receipt of each paid job, for 'framegrid account verify'; default: "
        "none"
    );
}

NodeReceipts::NodeReceipts(Session& session, std::unique_ptr<receipts_fs::ReceiptFiles> files)
    : session_(session),
      files_(std::move(files)),
      desk_(pay::ReceiptDesk::Ports{*files_, session.clock, session.pool, session.log}) {}

Result<std::unique_ptr<NodeReceipts>> NodeReceipts::open(
    Session& session, const std::string& directory, const crypto::PrivateKey* key, pay::ClosingSigner* signer
) {
    if (directory.empty()) {
        return nullptr;
    }
    if (key == nullptr && signer == nullptr) {
        return fail(Errc::kInvalidArgument, "receipts are signed: name a key file with --key", "receipts");
    }
    receipts_fs::ReceiptFilesSettings settings;
    settings.directory = host::expand_home(directory);
    using receipts_fs::ReceiptFiles;
    auto files = key != nullptr
                     ? ReceiptFiles::open(std::move(settings), *key, session.clock, session.pool)
                     : ReceiptFiles::open(std::move(settings), *signer, session.clock, session.pool);
    if (!files) {
        return fail(std::move(files.error()));
    }
    if (const auto& found = (*files)->recovered(); found.receipts > 0) {
        session.log.warn(
            "receipts.recovered", {{"receipts", found.receipts}, {"without_digest", found.without_digest}}
        );
    }
    return std::unique_ptr<NodeReceipts>(new NodeReceipts(session, *std::move(files)));
}

Task<void> NodeReceipts::finish() {
    if (const auto flushed = co_await desk_.flush(); !flushed) {
        session_.log.error(
            "receipts.left_unwritten",
            {{"receipts", desk_.stats().waiting}, {"error", flushed.error().message}}
        );
    }
}

}  // namespace framegrid::app
