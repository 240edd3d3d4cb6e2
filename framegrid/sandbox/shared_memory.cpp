#include <framegrid/sandbox/shared_memory.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace framegrid::sandbox {

namespace {

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;

Result<host::UniqueFd> make_region(const char* name, std::uint64_t size) {
    host::UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
        return fail(host::system_error("cannot get memory for media", errno));
    }
    return fd;
}

class Mapping {
  public:
    Mapping(void* at, std::size_t size) : at_(at), size_(size) {}
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping() { ::munmap(at_, size_); }

  private:
    void* at_;
    std::size_t size_;
};

}  // namespace

Result<host::UniqueFd> make_input_region(BytesView bytes) {
    FG_TRY(fd, make_region("framegrid-input", 0));
    while (!bytes.empty()) {
        const ssize_t put = ::write(fd.get(), bytes.data(), bytes.size());
        if (put < 0 && errno != EINTR) {
            return fail(host::system_error("cannot get memory for media", errno));
        }
        bytes = bytes.subspan(static_cast<std::size_t>(std::max<ssize_t>(put, 0)));
    }
    if (::fcntl(fd.get(), F_ADD_SEALS, kSizeSeals | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
        return fail(host::system_error("cannot protect shared memory", errno));
    }
    return fd;
}

Result<host::UniqueFd> make_output_region(std::uint64_t size) {
    FG_TRY(fd, make_region("framegrid-output", size));
    if (::fcntl(fd.get(), F_ADD_SEALS, kSizeSeals) != 0) {
        return fail(host::system_error("cannot protect shared memory", errno));
    }
    return fd;
}

Result<Blob> seal_and_map(const host::UniqueFd& region, std::uint64_t size) {
    if (size == 0) {
        return Blob();
    }
    ::fcntl(region.get(), F_ADD_SEALS, kSizeSeals | F_SEAL_WRITE);
    const int seals = ::fcntl(region.get(), F_GET_SEALS);
    struct stat info = {};
    if (seals < 0 || (seals & (kSizeSeals | F_SEAL_WRITE)) != (kSizeSeals | F_SEAL_WRITE)) {
        return fail(Errc::kProtocol, "shared memory that can still be written");
    }
    if (::fstat(region.get(), &info) != 0 || static_cast<std::uint64_t>(info.st_size) < size) {
        return fail(Errc::kProtocol, "shared memory that is smaller than announced");
    }
    void* at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, region.get(), 0);
    if (at == MAP_FAILED) {
        return fail(host::system_error("cannot map shared memory", errno));
    }
    const BytesView view(static_cast<const std::uint8_t*>(at), size);
    return Blob(std::make_shared<const Mapping>(at, size), view);
}

Result<Blob> copy_out(const host::UniqueFd& region, std::uint64_t offset, std::uint64_t size) {
    Bytes bytes(size);
    std::size_t have = 0;
    while (have < size) {
        const ssize_t got =
            ::pread(region.get(), bytes.data() + have, size - have, static_cast<off_t>(offset + have));
        if (got == 0) {
            return fail(Errc::kProtocol, "shared memory that is smaller than announced");
        }
        if (got < 0 && errno != EINTR) {
            return fail(host::system_error("cannot read shared memory", errno));
        }
        have += static_cast<std::size_t>(std::max<ssize_t>(got, 0));
    }
    return Blob(std::move(bytes));
}

Result<WritableMap> WritableMap::make(
    const host::UniqueFd& region, std::uint64_t offset, std::uint64_t size
) {
    void* at = ::mmap(
        nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, region.get(),
        static_cast<off_t>(offset)
    );
    if (at == MAP_FAILED) {
        return fail(host::system_error("cannot map shared memory", errno));
    }
    return WritableMap({static_cast<std::uint8_t*>(at), size});
}

WritableMap::~WritableMap() {
    if (!bytes_.empty()) {
        ::munmap(bytes_.data(), bytes_.size());
    }
}

}  // namespace framegrid::sandbox
