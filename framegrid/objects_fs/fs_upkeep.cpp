#include <framegrid/objects_fs/fs_upkeep.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <system_error>

#include <fmt/format.h>

namespace framegrid::objects_fs {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHex = "0123456789abcdef";
constexpr unsigned kFolders = 256;

std::unexpected<Error> disk_error(const std::string& what) {
    return fail(host::system_error(what, errno));
}

// nullopt: it is gone, or no file.
std::optional<std::int64_t> stored_at(const host::Path& path) {
    constexpr std::int64_t kThousand = 1'000;
    constexpr std::int64_t kMillion = 1'000'000;
    struct stat found{};
    if (::stat(path.c_str(), &found) != 0 || !S_ISREG(found.st_mode)) {
        return std::nullopt;
    }
    return std::int64_t{found.st_mtim.tv_sec} * kThousand + found.st_mtim.tv_nsec / kMillion;
}

// In order, so that a page can go on where another ended. A folder that is not there holds none.
std::vector<std::string> names_in(const host::Path& folder) {
    std::vector<std::string> out;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        out.push_back(at->path().filename().string());
    }
    std::ranges::sort(out);
    return out;
}

bool is_folder_name(const std::string& name) {
    return name.size() == 2 && name.find_first_not_of(kHex) == std::string::npos;
}

}  // namespace

bool is_digest(std::string_view text) {
    return text.size() == 64 && text.find_first_not_of(kHex) == std::string_view::npos;
}

host::Path path_of(const host::Path& root, const std::string& digest) {
    return root / digest.substr(0, 2) / digest.substr(2, 2) / digest;
}

host::Path aside_path_of(const host::Path& root, const std::string& digest) {
    return root / "aside" / digest;
}

Result<bool> claim_directory(const host::Path& root, const std::string& owner) {
    const auto folder = root / "owners";
    FG_CHECK(host::make_dirs(folder));
    const host::UniqueFd mark(::open((folder / owner).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640));
    if (!mark) {
        return disk_error("cannot write to " + folder.string());
    }
    return names_in(folder) == std::vector<std::string>{owner};
}

Result<api::ObjectPage> list_stored(
    const host::Path& root, std::int64_t before_unix_ms, const std::string& from, std::size_t limit
) {
    api::ObjectPage out;
    std::size_t looked = 0;
    const unsigned begin =
        from.size() < 2 ? 0U : static_cast<unsigned>(std::strtoul(from.substr(0, 2).c_str(), nullptr, 16));
    for (unsigned i = begin; i < kFolders; ++i) {
        const auto outer = fmt::format("{:02x}", i);
        ++looked;
        for (const auto& inner : names_in(root / outer)) {
            if (!is_folder_name(inner) || outer + inner < from) {
                continue;
            }
            if (looked >= limit) {
                out.next = outer + inner;
                return out;
            }
            ++looked;
            for (auto& name : names_in(root / outer / inner)) {
                ++looked;
                const auto at = is_digest(name) ? stored_at(root / outer / inner / name) : std::nullopt;
                if (at && *at < before_unix_ms) {
                    out.digests.push_back(std::move(name));
                }
            }
        }
    }
    return out;
}

Result<void> set_file_aside(const host::Path& root, const std::string& digest) {
    if (!is_digest(digest)) {
        return {};
    }
    const auto path = path_of(root, digest);
    // Its time tells when it was set aside. Before it is moved: an older one would count from when it was
    // stored.
    if (::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) != 0) {
        return errno == ENOENT ? Result<void>{} : disk_error("cannot set a stored file aside");
    }
    FG_CHECK(host::make_dirs(root / "aside"));
    if (::rename(path.c_str(), aside_path_of(root, digest).c_str()) != 0 && errno != ENOENT) {
        return disk_error("cannot set a stored file aside");
    }
    return {};
}

Result<std::vector<std::string>> list_aside(
    const host::Path& root, std::int64_t before_unix_ms, std::size_t limit
) {
    std::vector<std::string> out;
    for (auto& name : names_in(root / "aside")) {
        if (out.size() >= limit) {
            break;
        }
        const auto at = is_digest(name) ? stored_at(root / "aside" / name) : std::nullopt;
        if (at && *at < before_unix_ms) {
            out.push_back(std::move(name));
        }
    }
    return out;
}

Result<void> put_file_back(const host::Path& root, const std::string& digest) {
    if (!is_digest(digest)) {
        return {};
    }
    const auto from = aside_path_of(root, digest);
    const auto to = path_of(root, digest);
    FG_CHECK(host::make_dirs(to.parent_path()));
    const bool linked = ::link(from.c_str(), to.c_str()) == 0 || errno == EEXIST;
    if (!linked && errno == ENOENT) {
        return {};
    }
    // Some file systems have no second names. What may be there by now are the same bytes.
    if (!linked && ::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) {
        return disk_error("cannot put a stored file back");
    }
    return linked ? drop_aside(root, digest) : Result<void>{};
}

Result<void> drop_aside(const host::Path& root, const std::string& digest) {
    if (!is_digest(digest)) {
        return {};
    }
    if (::unlink(aside_path_of(root, digest).c_str()) != 0 && errno != ENOENT) {
        return disk_error("cannot remove a stored file");
    }
    return {};
}

}  // namespace framegrid::objects_fs
