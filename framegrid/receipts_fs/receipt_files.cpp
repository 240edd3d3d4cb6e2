#include <framegrid/receipts_fs/receipt_files.hpp>

#include <algorithm>
#include <cerrno>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace framegrid::receipts_fs {

namespace {

constexpr const char* kJournal = "waiting";
constexpr const char* kUnsignedField = "unsigned_hour";
constexpr std::size_t kPieceBytes = 256 * 1024;
constexpr std::size_t kLineBytesUsual = 768;
constexpr std::size_t kLineBytesMax = 2'048;
// Of a file that is read: longer than any that is written, or was before hours had parts.
constexpr std::size_t kFileBytesMax = std::size_t{2} << 30U;
constexpr std::int32_t kPartsMax = 9'999;

Result<pay::Hour> read(const host::Path& file, const std::function<void(const pay::Receipt&)>& each) {
    FG_TRY(text, host::read_file(file, kFileBytesMax));
    auto hour = pay::read_hour(as_text(text), each);
    if (!hour) {
        return fail(std::move(hour.error()).with_context(file.string()));
    }
    return hour;
}

Result<void> check(const pay::Receipt& receipt) {
    FG_CHECK(pay::check_work(receipt.work));
    if (receipt.unix_ms < 0 || receipt.units < 0 || receipt.price.wei < 0 || receipt.price.units <= 0) {
        return fail(Errc::kInvalidArgument, "a receipt's numbers are not negative");
    }
    return {};
}

// A receipt without what may still be missing when it is noted.
std::string undigested(pay::Receipt receipt) {
    receipt.parameters = {};
    receipt.input = {};
    receipt.output = {};
    return pay::to_line(receipt);
}

// A file's bytes in pieces, read on the pool.
class Lines {
  public:
    Lines(host::Path path, WorkPool& pool) : path_(std::move(path)), pool_(pool) {}
    Task<Result<Blob>> next() {
        co_return co_await offload(pool_, [this] { return read_piece(); });
    }

  private:
    Result<Blob> read_piece() {
        if (!file_) {
            file_ = host::UniqueFd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
        }
        Bytes bytes(kPieceBytes);
        const auto count = file_ ? ::read(file_.get(), bytes.data(), bytes.size()) : -1;
        if (count < 0) {
            return fail(host::system_error("cannot read " + path_.string(), errno));
        }
        bytes.resize(static_cast<std::size_t>(count));
        return Blob(std::move(bytes));
    }

    host::Path path_;
    WorkPool& pool_;
    host::UniqueFd file_;
};

}  // namespace

Result<std::unique_ptr<ReceiptFiles>> ReceiptFiles::open(
    ReceiptFilesSettings settings, const crypto::PrivateKey& key, Clock& clock, WorkPool& pool
) {
    FG_CHECK(host::make_dirs(settings.directory, 0700));
    std::unique_ptr<ReceiptFiles> out(new ReceiptFiles(std::move(settings), &key, nullptr, clock, pool));
    FG_CHECK(out->recover());
    FG_CHECK(out->close_over(clock.unix_ms() / kHourMs));
    return out;
}

Result<std::unique_ptr<ReceiptFiles>> ReceiptFiles::open(
    ReceiptFilesSettings settings, pay::ClosingSigner& signer, Clock& clock, WorkPool& pool
) {
    FG_CHECK(host::make_dirs(settings.directory, 0700));
    std::unique_ptr<ReceiptFiles> out(new ReceiptFiles(std::move(settings), nullptr, &signer, clock, pool));
    FG_CHECK(out->recover());
    return out;
}

Result<void> ReceiptFiles::recover() {
    const std::string where = settings_.directory.string();
    directory_ = host::UniqueFd(::open(where.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory_) {
        return fail(host::system_error("cannot open " + where, errno));
    }
    if (flock(directory_.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail(Errc::kIo, "the receipts in " + where + " are being written by another process");
    }
    std::vector<pay::Receipt> notes;
    FG_TRY(journal, ReceiptJournal::open(settings_.directory / kJournal, settings_.notes_max, notes));
    journal_ = std::move(journal);
    // Those that were written as well: with all their digests then, maybe.
    std::unordered_map<std::string, std::size_t> written;
    std::set<crypto::Hash32> noted;
    for (const auto& note : notes) {
        written.emplace(undigested(note), 0);
        noted.insert(note.id);
    }
    FG_CHECK(recover_hour([&](const pay::Receipt& receipt) {
        if (!noted.contains(receipt.id)) {
            return;
        }
        if (const auto found = written.find(undigested(receipt)); found != written.end()) {
            ++found->second;
        }
    }));
    std::erase_if(notes, [&](const pay::Receipt& note) {
        std::size_t& left = written.at(undigested(note));
        return left > 0 && left-- > 0;
    });
    recover_notes(std::move(notes));
    return {};
}

// Into the hour that is open, over or not: nobody has signed it.
void ReceiptFiles::recover_notes(std::vector<pay::Receipt> notes) {
    std::erase_if(notes, [](const pay::Receipt& note) { return !check(note); });
    backlog_ = std::move(notes);
    recovered_.receipts = backlog_.size();
    recovered_.without_digest =
        static_cast<std::uint64_t>(std::ranges::count_if(backlog_, [](const auto& note) {
            return note.input == crypto::Hash32{} || note.output == crypto::Hash32{};
        }));
    has_old_notes_ = !write_backlog(clock_.unix_ms() / kHourMs);
    if (!has_old_notes_) {
        journal_->drop_all();
    }
}

Result<void> ReceiptFiles::write_backlog(std::int64_t hour) {
    if (backlog_.empty()) {
        return {};
    }
    if (!open_) {
        FG_CHECK(begin(hour));
    }
    FG_CHECK(write(*open_, backlog_));
    backlog_.clear();
    return {};
}

Result<void> ReceiptFiles::recover_hour(const std::function<void(const pay::Receipt&)>& each) {
    const std::string where = settings_.directory.string();
    FG_TRY(names, hours_in(settings_.directory));
    if (names.empty()) {
        return {};
    }
    const auto keep_end = [this](const std::string& name, const pay::Hour& hour) {
        last_ = hour_named(name);
        previous_ = hour.digest;
    };
    Open last;
    FG_TRY(file, host::read_file(path_of(settings_.directory, names.back()), kFileBytesMax));
    auto hour = pay::read_hour(as_text(file), each);
    if (!hour) {
        return fail(
            Errc::kIo, path_of(where, names.back()).string() + " is damaged: " + hour.error().message
        );
    }
    if (hour->closing && hour->torn == 0) {
        keep_end(names.back(), *hour);
        return {};
    }
    if (names.size() > 1) {
        const auto& before = names[names.size() - 2];
        FG_TRY(closed, read(path_of(settings_.directory, before), [](const pay::Receipt&) {}));
        keep_end(before, closed);
    }
    last.sum = std::move(hour->sum);
    last.at = hour_named(names.back());
    last.bytes = file.size() - hour->torn;
    last.file = host::UniqueFd(
        ::open(path_of(settings_.directory, names.back()).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)
    );
    if (!last.file || ftruncate(last.file.get(), static_cast<off_t>(last.bytes)) != 0) {
        return fail(host::system_error("cannot mend " + names.back(), errno));
    }
    open_ = std::move(last);
    return {};
}

Result<void> ReceiptFiles::begin(std::int64_t hour) {
    HourPart at{.hour = hour};
    if (at <= last_) {  // it has further parts, or the clock was set back: what is closed is not opened
        at = {.hour = last_.hour, .part = last_.part + 1};
    }
    if (at.part > kPartsMax) {
        return fail(Errc::kCapacity, "this hour's files of receipts are full");
    }
    const host::Path path = path_of(settings_.directory, name_of(at));
    Open next;
    next.at = at;
    next.file =
        host::UniqueFd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!next.file) {
        return fail(host::system_error("cannot make " + path.string(), errno));
    }
    FG_CHECK(host::sync_directory(settings_.directory, "cannot keep " + path.string()));
    open_ = std::move(next);
    return {};
}

// Of whole lines with their ends.
Result<void> ReceiptFiles::write(Open& open, const std::string& lines) {
    auto written = host::write_all(open.file.get(), as_bytes(lines), "cannot keep a receipt");
    if (!written) {
        // A part of a line would spoil the next one. If this fails, too, a restart cuts it off.
        (void)!ftruncate(open.file.get(), static_cast<off_t>(open.bytes));
        return written;
    }
    open.bytes += lines.size();
    return {};
}

Result<void> ReceiptFiles::append(std::span<const pay::Receipt> receipts, std::int64_t hour) {
    const std::scoped_lock lock(mutex_);
    FG_CHECK(close_over(hour));
    FG_CHECK(write_backlog(hour));
    if (!open_) {
        FG_CHECK(begin(hour));
    }
    return write(*open_, receipts);
}

Result<void> ReceiptFiles::write(Open& open, std::span<const pay::Receipt> receipts) {
    text_.clear();
    ends_.clear();
    text_.reserve(receipts.size() * kLineBytesUsual + kLineBytesMax);
    for (const auto& receipt : receipts) {
        pay::append_line(text_, receipt);
        ends_.push_back(text_.size());
        text_ += '\n';
    }
    FG_CHECK(write(open, text_));
    std::size_t start = 0;
    for (std::size_t i = 0; i < receipts.size(); ++i) {
        open.sum.add(receipts[i], std::string_view(text_).substr(start, ends_[i] - start));
        start = ends_[i] + 1;
    }
    return {};
}

bool ReceiptFiles::is_over(std::int64_t hour) const {
    return open_ && (open_->at.hour < hour || open_->bytes >= settings_.part_bytes_max);
}

Result<void> ReceiptFiles::close_over(std::int64_t hour) {
    if (!is_over(hour)) {
        return {};
    }
    if (key_ == nullptr) {
        return fail(Errc::kUnavailable, "the hour before is not signed yet", kUnsignedField);
    }
    return end_hour(open_->sum.close(name_of(open_->at), previous_, *key_));
}

Result<void> ReceiptFiles::end_hour(const pay::Closing& closing) {
    const auto line = pay::to_line(closing);
    FG_CHECK(write(*open_, line + '\n'));
    if (fsync(open_->file.get()) != 0) {
        return fail(host::system_error("cannot keep receipts", errno));
    }
    last_ = open_->at;
    previous_ = crypto::sha256(as_bytes(line));
    open_.reset();
    return {};
}

std::optional<pay::Closing> ReceiptFiles::unsigned_end(std::int64_t hour) {
    const std::scoped_lock lock(mutex_);
    if (!is_over(hour)) {
        return std::nullopt;
    }
    return open_->sum.describe(name_of(open_->at), previous_, signer_->party());
}

Result<void> ReceiptFiles::end_signed(const pay::Closing& closing) {
    const std::scoped_lock lock(mutex_);
    if (!open_ || name_of(open_->at) != closing.hour) {
        return {};  // somebody was faster
    }
    if (!open_->sum.matches(closing)) {
        return fail(Errc::kUnavailable, "the hour has grown while it was signed", kUnsignedField);
    }
    return end_hour(closing);
}

Task<Result<void>> ReceiptFiles::close_elsewhere(std::int64_t hour) {
    auto closing = co_await offload(pool_, [&] { return unsigned_end(hour); });
    if (!closing) {
        co_return Result<void>{};
    }
    auto lines = std::make_shared<Lines>(path_of(settings_.directory, closing->hour), pool_);
    auto signature = co_await signer_->sign_closing(*closing, [lines] { return lines->next(); });
    if (!signature) {
        co_return fail(std::move(signature.error()).with_context("close the hour " + closing->hour));
    }
    closing->signature = *signature;
    if (!crypto::verify_message(closing->party, as_bytes(pay::closing_text(*closing)), *signature)) {
        co_return fail(Errc::kProtocol, "the signer signed another book than ours for " + closing->hour);
    }
    co_return co_await offload(pool_, [&] { return end_signed(*closing); });
}

Task<Result<void>> ReceiptFiles::add(pay::Receipt receipt) {
    co_return co_await add_all({&receipt, 1});
}

Task<Result<void>> ReceiptFiles::add_all(std::span<const pay::Receipt> receipts) {
    for (const auto& receipt : receipts) {
        FG_CO_CHECK(check(receipt));
    }
    if (receipts.empty()) {
        co_return Result<void>{};
    }
    const std::int64_t hour = clock_.unix_ms() / kHourMs;
    auto written = co_await offload(pool_, [&] { return append(receipts, hour); });
    if (!written && signer_ != nullptr && written.error().field == kUnsignedField) {
        FG_CO_CHECK(co_await close_elsewhere(hour));
        written = co_await offload(pool_, [&] { return append(receipts, hour); });
    }
    if (has_old_notes_ && backlog_.empty()) {
        has_old_notes_ = false;
        journal_->drop_all();  // no other note was taken meanwhile
    }
    co_return written;
}

Task<Result<void>> ReceiptFiles::close_past() {
    const std::int64_t hour = clock_.unix_ms() / kHourMs;
    if (signer_ != nullptr) {
        co_return co_await close_elsewhere(hour);
    }
    co_return co_await offload(pool_, [&] {
        const std::scoped_lock lock(mutex_);
        return close_over(hour);
    });
}

Result<BookReport> check_book(
    const host::Path& directory, const std::function<void(const pay::Receipt&)>& each
) {
    FG_TRY(names, hours_in(directory));
    if (names.empty()) {
        return fail(Errc::kNotFound, "there are no receipts in " + directory.string());
    }
    pay::BookCheck check;
    BookReport out;
    for (const auto& name : names) {
        const host::Path file = path_of(directory, name);
        FG_TRY(hour, read(file, each));
        if (!hour.closing && name == names.back()) {
            out.open_receipts = hour.sum.receipts();
            break;
        }
        if (auto added = check.add(hour, name); !added) {
            return fail(std::move(added.error()).with_context(file.string()));
        }
    }
    out.party = check.party();
    out.hours = check.hours();
    out.receipts = check.receipts();
    out.amount = check.amount();
    return out;
}

}  // namespace framegrid::receipts_fs
