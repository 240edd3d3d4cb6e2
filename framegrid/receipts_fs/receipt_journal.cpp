#include <framegrid/receipts_fs/receipt_journal.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

namespace framegrid::receipts_fs {

namespace {

// Numbers of bytes in a file of this machine's own order: it is read where it was written.
struct Entry {
    std::uint64_t check = 0;   // over all that follows
    std::uint64_t number = 0;  // counts up; 0: there is none
    std::int64_t unix_ms = 0;
    std::int64_t price_wei = 0;
    std::int64_t price_units = 0;
    std::int64_t units = 0;
    std::uint32_t version = 0;
    std::uint32_t work_bytes = 0;
    crypto::Hash32 id{};
    crypto::Address payer{};
    crypto::Address payee{};
    crypto::Hash32 model{};
    crypto::Hash32 parameters{};
    crypto::Hash32 input{};
    crypto::Hash32 output{};
    std::array<char, 128> work{};
};
static_assert(std::is_trivially_copyable_v<Entry> && sizeof(Entry) == 384);

// Which entries are dropped, in the first page.
struct Head {
    std::uint64_t check = 0;
    std::uint64_t dropped = 0;
};

// No entry lies in two pages: a process that is killed leaves each that it has written whole, or as it was.
constexpr std::uint64_t kPageBytes = 4'096;
constexpr std::uint64_t kEntriesOfPage = kPageBytes / sizeof(Entry);
constexpr std::size_t kJournalBytesMax = std::size_t{1} << 30U;

std::uint64_t place_of(std::uint64_t index) {
    return kPageBytes * (1 + index / kEntriesOfPage) + sizeof(Entry) * (index % kEntriesOfPage);
}

// FNV-1a in words: it finds what a crash of the machine has torn, not what somebody has made.
template <class T>
std::uint64_t check_of(const T& value) {
    std::array<std::uint64_t, sizeof(T) / sizeof(std::uint64_t)> words{};
    std::memcpy(words.data(), &value, sizeof(T));
    std::uint64_t out = 0xcbf29ce484222325U;
    for (std::size_t i = 1; i < words.size(); ++i) {
        out = (out ^ words[i]) * 0x100000001b3U;
        out ^= out >> 32U;
    }
    return out;
}

template <class T>
bool put(int file, std::uint64_t place, T value) {
    value.check = check_of(value);
    return ::pwrite(file, &value, sizeof(T), static_cast<off_t>(place)) == static_cast<ssize_t>(sizeof(T));
}

template <class T>
std::optional<T> get(BytesView bytes, std::uint64_t place) {
    T out;
    if (place + sizeof(T) > bytes.size()) {
        return std::nullopt;
    }
    std::memcpy(&out, bytes.data() + place, sizeof(T));
    return out.check == check_of(out) ? std::optional(out) : std::nullopt;
}

// Whether a page that has been allocated can always be written. Elsewhere (btrfs, NFS, and whatever is below
// an overlay) a full disk may refuse it, which would be the end of a process that has it mapped.
bool keeps_its_word(int file) {
    constexpr std::array<std::uint64_t, 3>
        kGood{0xEF53 /* ext4 */, 0x58465342 /* XFS */, 0x01021994 /* tmpfs */};
    struct statfs about{};
    return ::fstatfs(file, &about) == 0 &&
           std::ranges::find(kGood, static_cast<std::uint64_t>(about.f_type)) != kGood.end();
}

Entry entry_of(std::uint64_t number, const pay::Receipt& receipt) {
    Entry out;
    out.number = number;
    out.unix_ms = receipt.unix_ms;
    out.price_wei = receipt.price.wei;
    out.price_units = receipt.price.units;
    out.units = receipt.units;
    out.version = static_cast<std::uint32_t>(receipt.version);
    out.work_bytes = static_cast<std::uint32_t>(receipt.work.copy(out.work.data(), out.work.size()));
    out.id = receipt.id;
    out.payer = receipt.payer;
    out.payee = receipt.payee;
    out.model = receipt.model;
    out.parameters = receipt.parameters;
    out.input = receipt.input;
    out.output = receipt.output;
    return out;
}

pay::Receipt receipt_of(const Entry& entry) {
    pay::Receipt out;
    out.version = static_cast<int>(entry.version);
    out.id = entry.id;
    out.unix_ms = entry.unix_ms;
    out.payer = entry.payer;
    out.payee = entry.payee;
    out.work.assign(entry.work.data(), std::min<std::size_t>(entry.work_bytes, entry.work.size()));
    out.price = {entry.price_wei, entry.price_units};
    out.units = entry.units;
    out.model = entry.model;
    out.parameters = entry.parameters;
    out.input = entry.input;
    out.output = entry.output;
    return out;
}

}  // namespace

Result<std::unique_ptr<ReceiptJournal>> ReceiptJournal::open(
    host::Path path, std::uint32_t entries_max, std::vector<pay::Receipt>& left
) {
    auto bytes = host::read_file(path, kJournalBytesMax);
    if (!bytes && bytes.error().code != Errc::kNotFound) {
        return fail(std::move(bytes.error()));
    }
    host::UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file) {
        return fail(host::system_error("cannot make " + path.string(), errno));
    }
    // So that a disk which fills up later has room for these. Where that is not possible it has less of it.
    const int allocated = posix_fallocate(file.get(), 0, static_cast<off_t>(place_of(entries_max)));
    std::unique_ptr<ReceiptJournal> out(new ReceiptJournal(std::move(path), std::move(file), entries_max));
    if (bytes) {
        out->recover(*bytes, left);
    }
    out->map(allocated == 0);
    return out;
}

void ReceiptJournal::recover(BytesView file, std::vector<pay::Receipt>& left) {
    const auto head = get<Head>(file, 0);
    dropped_ = head ? head->dropped : 0;
    std::vector<Entry> entries;
    for (std::uint64_t i = 0; place_of(i) + sizeof(Entry) <= file.size(); ++i) {
        if (const auto entry = get<Entry>(file, place_of(i)); entry && entry->number > dropped_) {
            entries.push_back(*entry);
        }
    }
    std::ranges::sort(entries, {}, &Entry::number);
    for (const auto& entry : entries) {
        left.push_back(receipt_of(entry));
    }
    last_ = entries.empty() ? dropped_ : entries.back().number;
}

void ReceiptJournal::map(bool is_allocated) {
    if (!is_allocated || !keeps_its_word(file_.get())) {
        return;
    }
    const std::size_t size = place_of(entries_max_);
    void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
    if (at != MAP_FAILED) {
        mapped_ = {static_cast<std::uint8_t*>(at), size};
    }
}

// All places of an empty journal are free once its head says so.
bool ReceiptJournal::begin() {
    if (dropped_ != last_ || !write_head()) {
        return false;
    }
    free_.resize(entries_max_);
    std::iota(free_.rbegin(), free_.rend(), 0U);  // few pages are touched while few entries are there
    used_.clear();
    is_open_ = true;
    return true;
}

bool ReceiptJournal::write_head() {
    return put(file_.get(), 0, Head{0, dropped_});
}

ReceiptJournal::~ReceiptJournal() {
    if (!mapped_.empty()) {
        (void)::munmap(mapped_.data(), mapped_.size());
    }
    if (dropped_ == last_) {
        (void)::unlink(path_.c_str());
    }
}

std::uint64_t ReceiptJournal::add(const pay::Receipt& receipt) {
    if ((!is_open_ && !begin()) || free_.empty()) {
        return 0;
    }
    const std::uint32_t place = free_.back();
    Entry entry = entry_of(last_ + 1, receipt);
    if (!mapped_.empty()) {
        // Torn by a kill it is no entry: the work was not answered then.
        entry.check = check_of(entry);
        std::memcpy(mapped_.data() + place_of(place), &entry, sizeof(entry));
    } else if (!put(file_.get(), place_of(place), entry)) {
        return 0;
    }
    free_.pop_back();
    used_.push_back(place);
    return ++last_;
}

// By a system call in any case: a torn one would lose what has been answered.
void ReceiptJournal::change(std::uint64_t number, const pay::Receipt& receipt) {
    if (number > dropped_ && number - dropped_ <= used_.size()) {
        const std::uint32_t place = used_[number - dropped_ - 1];
        (void)put(file_.get(), place_of(place), entry_of(number, receipt));  // else it stays as it was
    }
}

void ReceiptJournal::drop(std::uint64_t number) {
    number = std::min(number, last_);
    if (number <= dropped_) {
        return;
    }
    for (; dropped_ < number; ++dropped_) {
        if (!used_.empty()) {
            free_.push_back(used_.front());
            used_.pop_front();
        }
    }
    if (is_open_) {
        is_open_ = write_head();
    } else {
        (void)begin();
    }
}

}  // namespace framegrid::receipts_fs
