#include <framegrid/objects_fs/fs_objects.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <system_error>

#include <boost/asio/post.hpp>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/objects_fs/fs_upkeep.hpp>

namespace framegrid::objects_fs {

namespace {

constexpr std::uint64_t kPieceMax = 1 << 20;
constexpr std::size_t kNameBytes = 16;
constexpr std::size_t kBatchBytes = 1 << 20;
constexpr std::uint64_t kWriteBackBytes = 8 << 20;
constexpr std::size_t kBatchPiecesMax = 1'024;
constexpr std::size_t kBatchesMax = 3;  // of a file that wait to be written or hashed

std::unexpected<Error> failed(const std::string& what) {
    return fail(host::system_error(what, errno));
}

std::unexpected<Error> no_such_file() {
    return fail(Errc::kNotFound, "there is no such stored file");
}

template <class T>
bool is_missing(const Result<T>& result) {
    return !result && result.error().code == Errc::kNotFound;
}

Result<void> sync_names(const host::Path& root, const host::Path& target) {
    for (const auto& directory : {target.parent_path(), target.parent_path().parent_path(), root}) {
        FG_CHECK(host::sync_directory(directory, "cannot write to " + directory.string()));
    }
    return {};
}

Result<bool> link_file(const host::Path& root, const host::Path& file, const std::string& digest) {
    const auto target = path_of(root, digest);
    FG_CHECK(host::make_dirs(target.parent_path()));
    if (::link(file.c_str(), target.c_str()) != 0 && errno != EEXIST) {
        const bool elsewhere = errno == EXDEV || errno == EPERM || errno == EMLINK || errno == EOPNOTSUPP;
        return elsewhere ? Result<bool>(false) : failed("cannot name a stored file");
    }
    FG_CHECK(sync_names(root, target));
    return true;
}

using Batch = std::vector<Blob>;

// A file without a name yet. write() and hash() may run at the same time, each in one place at a time.
class NewFile {
  public:
    NewFile(host::Path root, host::Path path) : root_(std::move(root)), path_(std::move(path)) {}
    ~NewFile() {
        if (fd_) {
            (void)::unlink(path_.c_str());
        }
    }
    NewFile(const NewFile&) = delete;
    NewFile& operator=(const NewFile&) = delete;

    Result<void> open() {
        fd_ = host::UniqueFd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
        return fd_ ? Result<void>{} : failed("cannot make a file in " + path_.parent_path().string());
    }
    Result<void> write(const Batch& batch) {
        for (const auto& piece : batch) {
            FG_CHECK(host::write_all(fd_.get(), piece.view(), "cannot write a stored file"));
            bytes_ += piece.size();
        }
        if (bytes_ - on_its_way_ >= kWriteBackBytes) {
            // The disk works while more arrives, and fsync() has little left to wait for. A hint: it may
            // fail.
            const auto from = static_cast<off64_t>(on_its_way_);
            const auto count = static_cast<off64_t>(bytes_ - on_its_way_);
            (void)::sync_file_range(fd_.get(), from, count, SYNC_FILE_RANGE_WRITE);
            on_its_way_ = bytes_;
        }
        return {};
    }
    Result<void> hash(const Batch& batch) {
        for (const auto& piece : batch) {
            digest_.update(piece.view());
        }
        return {};
    }
    Result<api::ObjectInfo> finish() {
        const std::string digest = crypto::hex(digest_.finish());
        const auto target = path_of(root_, digest);
        struct stat known{};
        if (::stat(target.c_str(), &known) == 0) {
            return api::ObjectInfo{digest, bytes_};  // the destructor removes the second copy
        }
        if (::fsync(fd_.get()) != 0) {
            return failed("cannot write a stored file");
        }
        FG_CHECK(host::make_dirs(target.parent_path()));
        if (::rename(path_.c_str(), target.c_str()) != 0) {
            return failed("cannot name a stored file");
        }
        fd_.reset();
        FG_CHECK(sync_names(root_, target));
        return api::ObjectInfo{digest, bytes_};
    }

  private:
    host::Path root_;
    host::Path path_;
    host::UniqueFd fd_;
    crypto::Digest digest_ = crypto::Digest::sha256();
    std::uint64_t bytes_ = 0;
    std::uint64_t on_its_way_ = 0;  // of them, to the disk
};

// Does one thing to the batches of a file, one after the other, on the pool. It does not own the file: the
// writer and what runs on the pool do, so that the loop's thread never closes it.
class Lane : public std::enable_shared_from_this<Lane> {
  public:
    using Step = Result<void> (NewFile::*)(const Batch&);
    Lane(std::weak_ptr<NewFile> file, Step step, WorkPool& pool, Executor executor)
        : file_(std::move(file)), step_(step), pool_(pool), executor_(std::move(executor)) {}

    void put(std::shared_ptr<const Batch> batch) {
        waiting_.push_back(std::move(batch));
        if (waiting_.size() == 1) {
            start();
        }
    }
    // Until at most `left` batches are not done, or one has failed.
    Task<Result<void>> wait(std::size_t left) {
        while (!failure_ && waiting_.size() > left) {
            co_await progress_.wait();
        }
        co_return failure_ ? Result<void>(std::unexpected(*failure_)) : Result<void>{};
    }
    // Nothing is begun any more.
    void abandon() { file_.reset(); }

  private:
    void start() {
        auto file = file_.lock();
        if (!file) {
            return;
        }
        pool_.post([self = shared_from_this(), file = std::move(file), batch = waiting_.front()]() mutable {
            auto done = (file.get()->*self->step_)(*batch);
            batch.reset();
            file.reset();
            const auto executor = self->executor_;
            boost::asio::post(executor, [self = std::move(self), done = std::move(done)]() mutable {
                self->on_done(std::move(done));
            });
        });
    }
    void on_done(Result<void> done) {
        waiting_.pop_front();
        if (!done) {
            failure_ = std::move(done.error());
            waiting_.clear();
        }
        if (!waiting_.empty()) {
            start();
        }
        progress_.notify_all();
    }

    std::weak_ptr<NewFile> file_;
    Step step_;
    WorkPool& pool_;
    Executor executor_;
    std::deque<std::shared_ptr<const Batch>> waiting_;  // the first is being done
    std::optional<Error> failure_;
    Notifier progress_;
};

// Small pieces are written and hashed together, both at the same time and while more arrives.
class FsWriter final : public api::ObjectWriter {
  public:
    FsWriter(std::shared_ptr<NewFile> file, WorkPool& pool, const Executor& executor)
        : file_(std::move(file)),
          pool_(pool),
          writes_(std::make_shared<Lane>(file_, &NewFile::write, pool, executor)),
          hashes_(std::make_shared<Lane>(file_, &NewFile::hash, pool, executor)) {}
    // Closing may write, too.
    ~FsWriter() override {
        writes_->abandon();
        hashes_->abandon();
        pool_.post([file = std::move(file_)] {});
    }
    // Errors of earlier pieces come with later ones, or at the end.
    Task<Result<void>> append(Blob piece, Deadline /*deadline*/) override {
        batch_bytes_ += piece.size();
        batch_.push_back(std::move(piece));
        if (batch_bytes_ < kBatchBytes && batch_.size() < kBatchPiecesMax) {
            co_return Result<void>{};
        }
        pass_on();
        FG_CO_CHECK(co_await writes_->wait(kBatchesMax));
        co_return co_await hashes_->wait(kBatchesMax);
    }
    Task<Result<api::ObjectInfo>> finish(Deadline /*deadline*/) override {
        FG_CO_CHECK(co_await writes_->wait(0));
        FG_CO_CHECK(co_await hashes_->wait(0));
        auto end = [this]() -> Result<api::ObjectInfo> {
            FG_CHECK(file_->write(batch_));
            FG_CHECK(file_->hash(batch_));
            return file_->finish();
        };
        co_return co_await offload(pool_, std::move(end));
    }

  private:
    void pass_on() {
        auto batch = std::make_shared<const Batch>(std::exchange(batch_, {}));
        batch_bytes_ = 0;
        writes_->put(batch);
        hashes_->put(std::move(batch));
    }

    std::shared_ptr<NewFile> file_;
    WorkPool& pool_;
    std::shared_ptr<Lane> writes_;
    std::shared_ptr<Lane> hashes_;
    Batch batch_;
    std::size_t batch_bytes_ = 0;
};

Result<api::ObjectInfo> stat_file(const host::Path& path, const std::string& digest) {
    struct stat found{};
    if (::stat(path.c_str(), &found) != 0) {
        return errno == ENOENT ? Result<api::ObjectInfo>(no_such_file())
                               : failed("cannot look at a stored file");
    }
    return api::ObjectInfo{digest, static_cast<std::uint64_t>(found.st_size)};
}

Result<Blob> read_piece(const host::Path& path, std::uint64_t offset, std::uint64_t bytes) {
    const host::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        return errno == ENOENT ? Result<Blob>(no_such_file()) : failed("cannot read a stored file");
    }
    const std::size_t wanted = std::min(bytes, kPieceMax);
    const auto out = std::make_shared_for_overwrite<std::uint8_t[]>(wanted);
    std::size_t filled = 0;
    while (filled < wanted) {
        const auto count =
            ::pread(fd.get(), out.get() + filled, wanted - filled, static_cast<off_t>(offset + filled));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return failed("cannot read a stored file");
        }
        if (count == 0) {
            break;
        }
        filled += static_cast<std::size_t>(count);
    }
    return Blob(out, BytesView(out.get(), filled));
}

}  // namespace

Result<std::unique_ptr<FsObjects>> FsObjects::open(
    host::Path directory, WorkPool& pool, Random& random, const std::string& unfinished
) {
    auto folder = directory / unfinished;
    std::error_code error;
    std::filesystem::remove_all(folder, error);
    FG_CHECK(host::make_dirs(folder));
    return std::unique_ptr<FsObjects>(new FsObjects(std::move(directory), std::move(folder), pool, random));
}

Task<Result<std::unique_ptr<api::ObjectWriter>>> FsObjects::create(Deadline /*deadline*/) {
    auto file = std::make_shared<NewFile>(directory_, unfinished_ / random_.hex(kNameBytes));
    auto open = [&file] { return file->open(); };
    FG_CO_CHECK(co_await offload(pool_, std::move(open)));
    co_return std::make_unique<FsWriter>(std::move(file), pool_, co_await this_executor());
}

Task<Result<api::ObjectInfo>> FsObjects::stat(std::string digest, Deadline /*deadline*/) {
    if (!is_digest(digest)) {
        co_return no_such_file();
    }
    auto look = [this, &digest] {
        auto found = stat_file(path_of(directory_, digest), digest);
        return is_missing(found) ? stat_file(aside_path_of(directory_, digest), digest) : found;
    };
    co_return co_await offload(pool_, std::move(look));
}

Task<Result<Blob>> FsObjects::read(
    std::string digest, std::uint64_t offset, std::uint64_t bytes, Deadline /*deadline*/
) {
    if (!is_digest(digest)) {
        co_return no_such_file();
    }
    auto look = [&] {
        auto piece = read_piece(path_of(directory_, digest), offset, bytes);
        return is_missing(piece) ? read_piece(aside_path_of(directory_, digest), offset, bytes) : piece;
    };
    co_return co_await offload(pool_, std::move(look));
}

Task<Result<bool>> FsObjects::claim(std::string owner, Deadline /*deadline*/) {
    auto write = [this, &owner] { return claim_directory(directory_, owner); };
    co_return co_await offload(pool_, std::move(write));
}

Task<Result<api::ObjectPage>> FsObjects::stored_before(
    std::int64_t unix_ms, std::string from, std::size_t limit, Deadline /*deadline*/
) {
    auto look = [&] { return list_stored(directory_, unix_ms, from, limit); };
    co_return co_await offload(pool_, std::move(look));
}

Task<Result<void>> FsObjects::set_aside(std::string digest, Deadline /*deadline*/) {
    auto move = [this, &digest] { return set_file_aside(directory_, digest); };
    co_return co_await offload(pool_, std::move(move));
}

Task<Result<std::vector<std::string>>> FsObjects::aside_before(
    std::int64_t unix_ms, std::size_t limit, Deadline /*deadline*/
) {
    auto look = [&] { return list_aside(directory_, unix_ms, limit); };
    co_return co_await offload(pool_, std::move(look));
}

Task<Result<void>> FsObjects::put_back(std::string digest, Deadline /*deadline*/) {
    auto move = [this, &digest] { return put_file_back(directory_, digest); };
    co_return co_await offload(pool_, std::move(move));
}

Task<Result<void>> FsObjects::drop(std::string digest, Deadline /*deadline*/) {
    auto erase = [this, &digest] { return drop_aside(directory_, digest); };
    co_return co_await offload(pool_, std::move(erase));
}

Task<Result<bool>> FsObjects::link(host::Path file, std::string digest) {
    auto name = [this, &file, &digest] { return link_file(directory_, file, digest); };
    co_return co_await offload(pool_, std::move(name));
}

}  // namespace framegrid::objects_fs
