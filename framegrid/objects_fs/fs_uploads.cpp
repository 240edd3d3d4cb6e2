#include <framegrid/objects_fs/fs_uploads.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <boost/json.hpp>

namespace framegrid::objects_fs {

namespace {

namespace json = boost::json;

constexpr std::size_t kNoteBytesMax = 64 * 1024;
constexpr std::uint64_t kPieceBytes = 1 << 20;
constexpr std::uint64_t kHashBytes = 16 << 20;  // in one piece of pool work
constexpr unsigned kNoteMode = 0600;

std::unexpected<Error> upload_failed(const std::string& what) {
    return fail(host::system_error(what, errno));
}

std::unexpected<Error> no_such_upload() {
    return fail(Errc::kNotFound, "there is no such upload; they are deleted after a while", "id");
}

std::string note_text(const api::UploadRecord& record) {
    return json::serialize(json::object{
        {"id", record.id},
        {"owner", record.owner},
        {"bytes", record.bytes},
        {"metadata", record.metadata},
        {"artifact", record.artifact},
        {"created_unix_ms", record.created_unix_ms}
    });
}

std::optional<api::UploadRecord> parse_note(std::string_view text) {
    boost::system::error_code bad;
    const auto root = json::parse(text, bad);
    if (bad || !root.is_object()) {
        return std::nullopt;
    }
    const auto& note = root.get_object();
    const auto text_of = [&note](const char* name) {
        const auto* value = note.if_contains(name);
        return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
    };
    const auto number_of = [&note](const char* name) -> std::int64_t {
        const auto* value = note.if_contains(name);
        return value != nullptr && value->is_int64() ? value->get_int64() : -1;
    };
    api::UploadRecord out;
    out.id = text_of("id");
    out.owner = text_of("owner");
    out.metadata = text_of("metadata");
    out.artifact = text_of("artifact");
    out.created_unix_ms = number_of("created_unix_ms");
    const auto bytes = number_of("bytes");
    out.bytes = static_cast<std::uint64_t>(bytes);
    return out.id.empty() || bytes < 0 ? std::nullopt : std::optional(std::move(out));
}

std::int64_t changed_unix_ms(const struct stat& file) {
    return static_cast<std::int64_t>(file.st_mtim.tv_sec) * 1000 + file.st_mtim.tv_nsec / 1'000'000;
}

// At `offset`, whatever a write that failed half-way left behind it.
Result<void> write_at(const host::Path& path, std::uint64_t offset, BytesView bytes) {
    const host::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640));
    const std::string what = "cannot write an upload";
    if (!fd || ::lseek(fd.get(), static_cast<off_t>(offset), SEEK_SET) < 0) {
        return upload_failed(what);
    }
    return host::write_all(fd.get(), bytes, what);
}

Result<void> sync_file(const host::Path& path) {
    const host::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640));
    if (!fd || ::fsync(fd.get()) != 0) {
        return upload_failed("cannot write an upload");
    }
    return host::sync_directory(path.parent_path(), "cannot write to " + path.parent_path().string());
}

Result<Blob> read_at(const host::Path& path, std::uint64_t offset, std::uint64_t bytes) {
    const host::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    Bytes out(std::min(bytes, kPieceBytes));
    const auto count =
        fd ? ::pread(fd.get(), out.data(), out.size(), static_cast<off_t>(offset)) : ssize_t{-1};
    if (count < 0) {
        return upload_failed("cannot read an upload");
    }
    if (count == 0) {
        return fail(Errc::kIo, "an upload is shorter than it was");
    }
    out.resize(static_cast<std::size_t>(count));
    return Blob(std::move(out));
}

Result<void> remove_file(const host::Path& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        return upload_failed("cannot remove an upload");
    }
    return {};
}

}  // namespace

// Holds an upload: nobody else changes it meanwhile, and it outlives its removal.
class FsUploads::Turn {
  public:
    explicit Turn(Shared upload) : upload_(std::move(upload)) { upload_->busy = true; }
    Turn(Turn&& other) noexcept = default;
    Turn& operator=(Turn&& other) = delete;
    ~Turn() {
        if (upload_) {
            upload_->busy = false;
        }
    }
    const Shared& shared() const { return upload_; }
    Upload* operator->() const { return upload_.get(); }

  private:
    Shared upload_;
};

Result<std::unique_ptr<FsUploads>> FsUploads::open(
    const host::Path& directory, api::Objects& objects, FsObjects* beside, WorkPool& pool, Clock& clock,
    UploadsSettings settings
) {
    FG_CHECK(host::make_dirs(directory, 0700));
    std::unique_ptr<FsUploads> out(new FsUploads(directory, objects, beside, pool, clock, settings));
    FG_CHECK(out->load());
    return out;
}

Result<void> FsUploads::load() {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
        if (entry.path().extension() == ".json") {
            FG_CHECK(load_one(entry.path()));
        }
    }
    if (error) {
        return fail(Errc::kIo, "cannot read " + directory_.string() + ": " + error.message());
    }
    return {};
}

Result<void> FsUploads::load_one(const host::Path& note) {
    FG_TRY(text, host::read_file(note, kNoteBytesMax));
    auto record = parse_note(as_text(text));
    if (!record || record->id + ".json" != note.filename()) {
        return {};  // not ours: it stays as it is
    }
    struct stat file{};
    if (::stat(note.c_str(), &file) == 0) {
        record->touched_unix_ms = changed_unix_ms(file);
    }
    const auto part = part_of(record->id);
    if (!record->artifact.empty()) {
        record->received = record->bytes;
        FG_CHECK(remove_file(part));  // the process ended between the note and this
    } else if (::stat(part.c_str(), &file) == 0) {
        record->received = std::min(static_cast<std::uint64_t>(file.st_size), record->bytes);
        record->touched_unix_ms = std::max(record->touched_unix_ms, changed_unix_ms(file));
    }
    auto upload = std::make_shared<Upload>();
    upload->record = *std::move(record);
    const auto id = upload->record.id;
    all_.emplace(id, std::move(upload));
    return {};
}

Result<FsUploads::Turn> FsUploads::take(const std::string& id) {
    const auto found = all_.find(id);
    if (found == all_.end()) {
        return no_such_upload();
    }
    if (found->second->busy) {
        return fail(Errc::kCapacity, "another request is changing this upload; try again");
    }
    return Turn(found->second);
}

Task<Result<void>> FsUploads::create(api::UploadRecord record) {
    if (all_.size() >= settings_.uploads_max) {
        co_return fail(Errc::kCapacity, "the gateway holds as many uploads as it may; try again later");
    }
    record.received = 0;
    record.touched_unix_ms = clock_.unix_ms();
    const auto id = record.id;
    auto upload = std::make_shared<Upload>();
    upload->record = std::move(record);
    const Turn turn(upload);
    all_.emplace(id, upload);
    auto write = [this, &upload, &id] {
        const auto text = note_text(upload->record);
        return host::write_file_atomic(note_of(id), as_bytes(text), host::Durability::kSynced, kNoteMode);
    };
    auto written = co_await offload(pool_, std::move(write));
    if (!written) {
        all_.erase(id);
    }
    co_return written;
}

Result<api::UploadRecord> FsUploads::find(const std::string& id) const {
    const auto found = all_.find(id);
    return found == all_.end() ? Result<api::UploadRecord>(no_such_upload()) : found->second->record;
}

Task<Result<void>> FsUploads::append(std::string id, Blob piece) {
    FG_CO_TRY(turn, take(id));
    auto& record = turn->record;
    if (!record.artifact.empty() || piece.size() > record.bytes - record.received) {
        co_return fail(Errc::kTooLarge, "more bytes than Upload-Length announced", "upload-length");
    }
    auto write = [this, &turn, &id, &piece]() -> Result<void> {
        FG_CHECK(write_at(part_of(id), turn->record.received, piece.view()));
        if (turn->hashed == turn->record.received) {
            turn->digest.update(piece.view());
            turn->hashed += piece.size();
        }
        return {};
    };
    auto written = co_await offload(pool_, std::move(write));
    if (written) {
        record.received += piece.size();
        record.touched_unix_ms = clock_.unix_ms();
    }
    co_return written;
}

Task<Result<void>> FsUploads::settle(std::string id) {
    FG_CO_TRY(turn, take(id));
    auto sync = [this, &id] { return sync_file(part_of(id)); };
    co_return co_await offload(pool_, std::move(sync));
}

// What arrived before this process began.
Task<Result<void>> FsUploads::hash_rest(Shared upload) {
    while (upload->hashed < upload->record.bytes) {
        auto hash = [this, &upload]() -> Result<void> {
            const auto part = part_of(upload->record.id);
            const auto end = std::min(upload->record.bytes, upload->hashed + kHashBytes);
            while (upload->hashed < end) {
                FG_TRY(piece, read_at(part, upload->hashed, end - upload->hashed));
                upload->digest.update(piece.view());
                upload->hashed += piece.size();
            }
            return {};
        };
        FG_CO_CHECK(co_await offload(pool_, std::move(hash)));
    }
    co_return Result<void>{};
}

// For stores that are elsewhere; they hash for themselves.
Task<Result<api::ObjectInfo>> FsUploads::copy(Shared upload) {
    const auto deadline = [this] { return Deadline::after(clock_, std::chrono::minutes(2)); };
    auto writer = co_await objects_.create(deadline());
    if (!writer) {
        co_return fail(std::move(writer.error()));
    }
    const auto& record = upload->record;
    for (std::uint64_t at = 0; at < record.bytes;) {
        auto read = [this, &record, at] { return read_at(part_of(record.id), at, record.bytes - at); };
        auto piece = co_await offload(pool_, std::move(read));
        if (!piece) {
            co_return fail(std::move(piece.error()));
        }
        at += piece->size();
        FG_CO_CHECK(co_await (*writer)->append(*std::move(piece), deadline()));
    }
    co_return co_await (*writer)->finish(deadline());
}

Task<Result<api::ObjectInfo>> FsUploads::store(std::string id) {
    FG_CO_TRY(turn, take(id));
    const auto& record = turn->record;
    if (record.received != record.bytes || !record.artifact.empty()) {
        co_return fail(Errc::kInternal, "an upload that is not complete cannot be stored");
    }
    if (beside_ == nullptr) {
        co_return co_await copy(turn.shared());
    }
    auto sync = [this, &id] { return sync_file(part_of(id)); };
    FG_CO_CHECK(co_await offload(pool_, std::move(sync)));
    FG_CO_CHECK(co_await hash_rest(turn.shared()));
    const auto digest = crypto::hex(turn->digest.finish());
    turn->digest = crypto::Digest::sha256();
    turn->hashed = 0;
    const auto linked = co_await beside_->link(part_of(id), digest);
    if (!linked) {
        co_return fail(linked.error());
    }
    if (!*linked) {
        co_return co_await copy(turn.shared());
    }
    co_return api::ObjectInfo{digest, record.bytes};
}

Task<Result<void>> FsUploads::finish(std::string id, std::string artifact) {
    FG_CO_TRY(turn, take(id));
    auto record = turn->record;
    record.artifact = std::move(artifact);
    auto note = [this, &record]() -> Result<void> {
        const auto text = note_text(record);
        FG_CHECK(
            host::write_file_atomic(note_of(record.id), as_bytes(text), host::Durability::kSynced, kNoteMode)
        );
        return remove_file(part_of(record.id));
    };
    auto noted = co_await offload(pool_, std::move(note));
    if (noted) {
        record.touched_unix_ms = clock_.unix_ms();
        turn->record = std::move(record);
    }
    co_return noted;
}

Task<Result<void>> FsUploads::remove(std::string id) {
    FG_CO_TRY(turn, take(id));
    auto erase = [this, &id]() -> Result<void> {
        FG_CHECK(remove_file(part_of(id)));
        return remove_file(note_of(id));
    };
    auto removed = co_await offload(pool_, std::move(erase));
    if (removed) {
        all_.erase(id);
    }
    co_return removed;
}

api::UploadUsage FsUploads::usage(const std::string& owner) const {
    api::UploadUsage out;
    for (const auto& [id, upload] : all_) {
        if (upload->record.owner == owner && upload->record.artifact.empty()) {
            ++out.uploads;
            out.bytes += upload->record.bytes;
        }
    }
    return out;
}

std::vector<std::string> FsUploads::idle_since(std::int64_t unix_ms, std::size_t limit) const {
    std::vector<std::string> out;
    for (const auto& [id, upload] : all_) {
        if (out.size() < limit && !upload->busy && upload->record.touched_unix_ms < unix_ms) {
            out.push_back(id);
        }
    }
    return out;
}

}  // namespace framegrid::objects_fs
