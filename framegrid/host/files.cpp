#include <framegrid/host/files.hpp>

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <framegrid/base/log.hpp>

#include <fmt/format.h>

namespace framegrid::host {

namespace {

std::string_view advice_for(int errno_value) {
    switch (errno_value) {
        case ENOSPC:
        case EDQUOT:
            return "; free some space or choose another directory";
        case EACCES:
        case EPERM:
            return "; check its permissions";
        case EROFS:
            return "; choose a directory that can be written";
        case EMFILE:
        case ENFILE:
            return "; raise the limit of open files (ulimit -n)";
        case ENOMEM:
            return "; the system is out of memory";
        default:
            return "";
    }
}

std::string text_of(int errno_value) {
    char buffer[128];
    return ::strerror_r(errno_value, buffer, sizeof buffer);
}

// The name stays in the file's own directory, so that rename() is atomic.
Result<UniqueFd> open_beside(const Path& path, unsigned mode, std::string& temp, const std::string& what) {
    temp = (path.parent_path() / ("." + path.filename().string() + ".XXXXXX")).string();
    UniqueFd fd(::mkostemp(temp.data(), O_CLOEXEC));
    if (!fd) {
        return fail(system_error(what, errno));
    }
    if (::fchmod(fd.get(), mode) != 0) {
        const int error = errno;
        ::unlink(temp.c_str());
        return fail(system_error(what, error));
    }
    return fd;
}

}  // namespace

Error system_error(std::string what, int errno_value) {
    Errc code = Errc::kIo;
    if (errno_value == ENOENT || errno_value == ENOTDIR) {
        code = Errc::kNotFound;
    } else if (errno_value == EACCES || errno_value == EPERM) {
        code = Errc::kForbidden;
    }
    return make_error(code, fmt::format("{}: {}{}", what, text_of(errno_value), advice_for(errno_value)));
}

void UniqueFd::reset() {
    if (fd_ >= 0) {
        ::close(std::exchange(fd_, -1));
    }
}

Result<void> write_all(int fd, BytesView content, const std::string& what) {
    while (!content.empty()) {
        const ssize_t put = ::write(fd, content.data(), content.size());
        if (put < 0) {
            if (errno == EINTR) {
                continue;
            }
            return fail(system_error(what, errno));
        }
        content = content.subspan(static_cast<std::size_t>(put));
    }
    return {};
}

Result<void> sync_directory(const Path& directory, const std::string& what) {
    const UniqueFd dir(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir || ::fsync(dir.get()) != 0) {
        return fail(system_error(what, errno));
    }
    return {};
}

Result<Bytes> read_head(const Path& path, std::size_t count) {
    const std::string what = fmt::format("cannot read {}", printable(path.string()));
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        return fail(system_error(what, errno));
    }
    Bytes content(count);
    const ssize_t got = ::read(fd.get(), content.data(), count);
    if (got < 0) {
        return fail(system_error(what, errno));
    }
    content.resize(static_cast<std::size_t>(got));
    return content;
}

Result<Bytes> read_file(const Path& path, std::size_t limit) {
    const std::string what = fmt::format("cannot read {}", printable(path.string()));
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        return fail(system_error(what, errno));
    }
    struct stat info = {};
    if (::fstat(fd.get(), &info) != 0) {
        return fail(system_error(what, errno));
    }
    if (S_ISDIR(info.st_mode)) {
        return fail(system_error(what, EISDIR));
    }
    const auto too_large = [&] {
        return fail(Errc::kTooLarge, fmt::format("{}: larger than {} bytes", what, limit));
    };
    if (S_ISREG(info.st_mode) && static_cast<std::uint64_t>(info.st_size) > limit) {
        return too_large();
    }
    // Pipes and files in /proc tell no size: read until the end in growing steps.
    Bytes content(std::min<std::size_t>(limit, static_cast<std::size_t>(info.st_size)) + 1);
    std::size_t size = 0;
    while (true) {
        if (size == content.size()) {
            content.resize(std::min(limit + 1, std::max<std::size_t>(4096, size * 2)));
        }
        const ssize_t got = ::read(fd.get(), content.data() + size, content.size() - size);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return fail(system_error(what, errno));
        }
        size += static_cast<std::size_t>(got);
        if (size > limit) {
            return too_large();
        }
        if (got == 0) {
            break;
        }
    }
    content.resize(size);
    return content;
}

Result<void> write_file_atomic(const Path& path, BytesView content, Durability durability, unsigned mode) {
    const std::string what = fmt::format("cannot write {}", printable(path.string()));
    std::string temp;
    FG_TRY(fd, open_beside(path, mode, temp, what));
    const auto fill = [&]() -> Result<void> {
        FG_CHECK(write_all(fd.get(), content, what));
        if (durability == Durability::kSynced && ::fsync(fd.get()) != 0) {
            return fail(system_error(what, errno));
        }
        // Some file systems report a full disk only here.
        if (::close(fd.release()) != 0 || ::rename(temp.c_str(), path.c_str()) != 0) {
            return fail(system_error(what, errno));
        }
        return {};
    };
    if (auto done = fill(); !done) {
        ::unlink(temp.c_str());
        return done;
    }
    return durability == Durability::kSynced
               ? sync_directory(path.has_parent_path() ? path.parent_path() : Path("."), what)
               : Result<void>{};
}

Result<void> make_dirs(const Path& path, unsigned mode) {
    if (path.empty()) {
        return {};
    }
    if (::mkdir(path.c_str(), mode) == 0) {
        return {};
    }
    int error = errno;
    if (error == ENOENT && path.has_parent_path() && path.parent_path() != path) {
        FG_CHECK(make_dirs(path.parent_path(), mode));
        if (::mkdir(path.c_str(), mode) == 0) {
            return {};
        }
        error = errno;
    }
    std::error_code ignored;
    if (error == EEXIST && std::filesystem::is_directory(path, ignored)) {
        return {};
    }
    return fail(system_error(fmt::format("cannot make the directory {}", printable(path.string())), error));
}

Result<TempDir> TempDir::make(std::string_view prefix) {
    const char* base = std::getenv("TMPDIR");
    std::string name = fmt::format("{}/{}-XXXXXX", base != nullptr && *base != 0 ? base : "/tmp", prefix);
    if (::mkdtemp(name.data()) == nullptr) {
        return fail(system_error(fmt::format("cannot make a temporary directory like {}", name), errno));
    }
    return TempDir(Path(name));
}

TempDir::~TempDir() {
    if (!path_.empty()) {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
}

Result<Path> executable_path() {
    std::error_code code;
    Path path = std::filesystem::read_symlink("/proc/self/exe", code);
    if (code) {
        return fail(system_error("cannot find this program's own file", code.value()));
    }
    return path;
}

Path expand_home(std::string_view path) {
    if (path != "~" && !path.starts_with("~/")) {
        return Path(path);
    }
    const char* home = std::getenv("HOME");
    if (home == nullptr || *home == 0) {
        const passwd* entry = ::getpwuid(::getuid());
        home = entry != nullptr ? entry->pw_dir : "/";
    }
    return path.size() > 2 ? Path(home) / path.substr(2) : Path(home);
}

Path state_dir() {
    const char* base = std::getenv("XDG_STATE_HOME");
    if (base != nullptr && *base == '/') {
        return Path(base) / "framegrid";
    }
    return expand_home("~/.local/state") / "framegrid";
}

Path data_dir() {
    const char* base = std::getenv("XDG_DATA_HOME");
    if (base != nullptr && *base == '/') {
        return Path(base) / "framegrid";
    }
    return expand_home("~/.local/share") / "framegrid";
}

Result<std::uint64_t> free_bytes(const Path& path) {
    std::error_code code;
    const auto space = std::filesystem::space(path, code);
    if (code) {
        const std::string what = fmt::format("cannot tell the free space of {}", printable(path.string()));
        return fail(system_error(what, code.value()));
    }
    return space.available;
}

}  // namespace framegrid::host
