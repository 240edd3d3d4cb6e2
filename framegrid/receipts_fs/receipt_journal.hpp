// Receipts on their way into an hour's file: each is in the page cache before its work is answered, so that
// killing the process loses none.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include <framegrid/host/files.hpp>
#include <framegrid/pay/receipt.hpp>

namespace framegrid::receipts_fs {

// Entries of 384 bytes in one file, each in any place that is free: the last one that became so, which is
// still in the processor's cache. Where the file system promises that its pages can be written, they are
// mapped, and an entry costs no system call; else one write. On one executor.
class ReceiptJournal {
  public:
    // Blocking. `left`: what a process before this one has left here, oldest first, without entries that a
    // stop of the machine has damaged. Until it is dropped there is no room for others. A disk that is full
    // refuses entries, not this. kIo.
    static Result<std::unique_ptr<ReceiptJournal>> open(
        host::Path path, std::uint32_t entries_max, std::vector<pay::Receipt>& left
    );
    ReceiptJournal(const ReceiptJournal&) = delete;
    ReceiptJournal& operator=(const ReceiptJournal&) = delete;
    // Removes the file when it holds nothing.
    ~ReceiptJournal();

    // The number of the entry, counted up; 0: there is no room, or the disk refuses it.
    std::uint64_t add(const pay::Receipt& receipt);
    // In its place, as long as it is there.
    void change(std::uint64_t number, const pay::Receipt& receipt);
    // That one and all before it are no longer needed.
    void drop(std::uint64_t number);
    void drop_all() { drop(last_); }

  private:
    ReceiptJournal(host::Path path, host::UniqueFd file, std::uint32_t entries_max)
        : path_(std::move(path)), file_(std::move(file)), entries_max_(entries_max) {}
    void map(bool is_allocated);
    void recover(BytesView file, std::vector<pay::Receipt>& left);
    bool begin();
    bool write_head();

    host::Path path_;
    host::UniqueFd file_;
    std::uint32_t entries_max_;
    std::span<std::uint8_t> mapped_;   // the file; empty: it is written
    std::uint64_t last_ = 0;           // number that was given
    std::uint64_t dropped_ = 0;        // up to that one
    std::vector<std::uint32_t> free_;  // places, the next one last
    std::deque<std::uint32_t> used_;   // of those after the dropped one, in their order
    bool is_open_ = false;  // false: what is left is not dropped yet, or the disk does not take the head
};

}  // namespace framegrid::receipts_fs
