// A party's receipts in a directory: a file for each hour, only ever appended to, closed by a signed line.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <framegrid/crypto/keys.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/pay/receipt.hpp>
#include <framegrid/pay/receipt_book.hpp>
#include <framegrid/receipts_fs/hour_files.hpp>
#include <framegrid/receipts_fs/receipt_journal.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::receipts_fs {

struct ReceiptFilesSettings {
    host::Path directory{};
    // A file with so many is closed and the hour's next part begun: a start reads the last file.
    std::uint64_t part_bytes_max = std::uint64_t{32} << 20U;
    std::uint32_t notes_max = 20'480;  // of receipts that are not written yet
};

// What opening a directory found of a process that was killed.
struct Recovered {
    std::uint64_t receipts = 0;        // that were noted and not yet in an hour's file; now they are
    std::uint64_t without_digest = 0;  // of them, which lack one of input or output
};

// Receipts are written in the hour of their writing. On one executor; files are written on the pool.
class ReceiptFiles final : public pay::Receipts {
  public:
    // Blocking: takes the directory for this process, mends what a crash has left, closes hours that are
    // over. kIo tells what to do. The others outlive it.
    static Result<std::unique_ptr<ReceiptFiles>> open(
        ReceiptFilesSettings settings, const crypto::PrivateKey& key, Clock& clock, WorkPool& pool
    );

    // The same for a party whose key is elsewhere: an hour is closed when something is written after it, or
    // by close_past(). kUnavailable until it is signed, and nothing is written meanwhile.
    static Result<std::unique_ptr<ReceiptFiles>> open(
        ReceiptFilesSettings settings, pay::ClosingSigner& signer, Clock& clock, WorkPool& pool
    );

    const Recovered& recovered() const { return recovered_; }

    std::uint64_t note(const pay::Receipt& receipt) override { return journal_->add(receipt); }
    void change_note(std::uint64_t number, const pay::Receipt& receipt) override {
        journal_->change(number, receipt);
    }
    void drop_notes(std::uint64_t number) override { journal_->drop(number); }
    Task<Result<void>> add(pay::Receipt receipt) override;
    Task<Result<void>> add_all(std::span<const pay::Receipt> receipts) override;
    Task<Result<void>> close_past() override;

  private:
    // The file that is written to.
    struct Open {
        HourPart at;
        host::UniqueFd file;
        std::uint64_t bytes = 0;
        pay::HourSum sum;
    };
    ReceiptFiles(
        ReceiptFilesSettings settings, const crypto::PrivateKey* key, pay::ClosingSigner* signer,
        Clock& clock, WorkPool& pool
    )
        : settings_(std::move(settings)), key_(key), signer_(signer), clock_(clock), pool_(pool) {}
    Task<Result<void>> close_elsewhere(std::int64_t hour);

    // Of the last hour.
    Result<void> recover_hour(const std::function<void(const pay::Receipt&)>& each);
    void recover_notes(std::vector<pay::Receipt> notes);
    Result<void> write_backlog(std::int64_t hour);

    // On any thread.
    Result<void> recover();
    Result<void> append(std::span<const pay::Receipt> receipts, std::int64_t hour);
    bool is_over(std::int64_t hour) const;
    Result<void> close_over(std::int64_t hour);
    std::optional<pay::Closing> unsigned_end(std::int64_t hour);
    Result<void> end_hour(const pay::Closing& closing);
    Result<void> end_signed(const pay::Closing& closing);
    Result<void> write(Open& open, const std::string& lines);
    Result<void> write(Open& open, std::span<const pay::Receipt> receipts);
    Result<void> begin(std::int64_t hour);

    ReceiptFilesSettings settings_;
    const crypto::PrivateKey* key_;  // null: the other one signs
    pay::ClosingSigner* signer_;
    Clock& clock_;
    WorkPool& pool_;
    host::UniqueFd directory_;  // locked
    std::unique_ptr<ReceiptJournal> journal_;
    Recovered recovered_;
    std::vector<pay::Receipt> backlog_;  // of the process before, where the disk was full
    bool has_old_notes_ = false;         // in the journal
    std::mutex mutex_;                   // guards the rest
    std::optional<Open> open_;
    HourPart last_{.hour = -1};      // that was closed
    std::string text_;               // of the last group, kept for the next
    std::vector<std::size_t> ends_;  // of its lines
    crypto::Hash32 previous_{};
};

// What a directory of receipts holds. The last hour may still be open: its receipts are not signed yet.
struct BookReport {
    std::optional<crypto::Address> party{};
    std::uint64_t hours = 0;
    std::uint64_t receipts = 0;
    pay::Money amount{};
    std::uint64_t open_receipts = 0;
};
// Blocking: checks every receipt, root and signature of a book, and that no hour is missing in between.
// `each` sees every receipt, open ones included. kInvalidArgument names file, line and fault; kNotFound, kIo.
Result<BookReport> check_book(
    const host::Path& directory, const std::function<void(const pay::Receipt&)>& each
);

}  // namespace framegrid::receipts_fs
