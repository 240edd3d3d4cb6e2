// Small files, directories and file descriptors. Blocking: for settings, keys, results and tools, not for the
// loop's busy paths.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::host {

using Path = std::filesystem::path;

// What `errno_value` means to a person who tried to do `what` ("cannot write x.ts"), with what they can do
// about it. kNotFound, kForbidden, or kIo (disk full and everything else).
Error system_error(std::string what, int errno_value);

// Owns a file descriptor.
class UniqueFd {
  public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~UniqueFd() { reset(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void reset();

  private:
    int fd_ = -1;
};

// All of `content`, however many calls that takes. Errors say `what` was being done.
Result<void> write_all(int fd, BytesView content, const std::string& what);
// Names that were made or changed in the directory survive a crash of the machine afterwards.
Result<void> sync_directory(const Path& directory, const std::string& what);

// The whole file. kTooLarge over `limit` bytes (sizes that grow while reading included).
Result<Bytes> read_file(const Path& path, std::size_t limit);

// The first bytes of a file, at most `count`.
Result<Bytes> read_head(const Path& path, std::size_t count);

enum class Durability : std::uint8_t {
    kCached,  // survives a crash of the process
    kSynced,  // survives a crash of the machine
};
// Replaces the file as a whole: readers see the old or the new content, and a failure leaves the old one.
// `mode` are the permissions (0600 for secrets).
Result<void> write_file_atomic(
    const Path& path, BytesView content, Durability durability = Durability::kCached, unsigned mode = 0644
);

// Makes the directory and its parents; fine when it exists.
Result<void> make_dirs(const Path& path, unsigned mode = 0755);

// A directory of its own that is removed, with its content, when the object dies.
class TempDir {
  public:
    // Under $TMPDIR or /tmp, readable by this user only.
    static Result<TempDir> make(std::string_view prefix = "framegrid");
    TempDir(TempDir&& other) noexcept : path_(std::exchange(other.path_, {})) {}
    TempDir& operator=(TempDir&& other) noexcept {
        path_.swap(other.path_);
        return *this;
    }
    ~TempDir();

    const Path& path() const { return path_; }

  private:
    explicit TempDir(Path path) : path_(std::move(path)) {}
    Path path_;
};

// This program's own file.
Result<Path> executable_path();
// "~" and "~/x" with the home directory in place of "~"; anything else as it is.
Path expand_home(std::string_view path);
// Where this user's framegrid keeps state: $XDG_STATE_HOME/framegrid or ~/.local/state/framegrid. Not
// created.
Path state_dir();
// Where this user's framegrid keeps what must not be lost: $XDG_DATA_HOME/framegrid or
// ~/.local/share/framegrid. Not created.
Path data_dir();
// Free bytes for this user on the file system of `path`; kIo when it cannot be told.
Result<std::uint64_t> free_bytes(const Path& path);

}  // namespace framegrid::host
