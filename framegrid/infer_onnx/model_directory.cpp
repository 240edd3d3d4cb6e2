#include <framegrid/infer_onnx/model_directory.hpp>

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace framegrid::infer_onnx {

namespace {

constexpr std::int64_t kMapFrom = 1 << 20;

struct Descriptor {
    int fd;
    explicit Descriptor(int value) : fd(value) {}
    ~Descriptor() {
        if (fd >= 0) {
            ::close(fd);
        }
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
};

Result<Blob> map_file(const std::string& path, int fd, std::size_t size) {
    void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED) {
        return fail(Errc::kIo, path + " cannot be mapped: " + std::strerror(errno));
    }
    std::shared_ptr<const void> owner(memory, [size](const void* at) {
        ::munmap(const_cast<void*>(at), size);
    });
    return Blob(std::move(owner), {static_cast<const std::uint8_t*>(memory), size});
}

Result<Blob> read_file(const std::string& path, int fd, std::size_t size) {
    Bytes bytes(size);
    for (std::size_t at = 0; at < size;) {
        const ::ssize_t got = ::read(fd, bytes.data() + at, size - at);
        if (got <= 0) {
            return fail(Errc::kIo, path + " cannot be read");
        }
        at += static_cast<std::size_t>(got);
    }
    return Blob(std::move(bytes));
}

}  // namespace

Result<Blob> ModelDirectory::read(const std::string& path, std::int64_t bytes_max) {
    const Descriptor file(::open((directory_ / path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.fd < 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? fail(Errc::kNotFound, path + " is missing or not a file")
                   : fail(Errc::kIo, path + " cannot be opened: " + std::strerror(errno));
    }
    struct ::stat status{};
    if (::fstat(file.fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return fail(Errc::kNotFound, path + " is missing or not a file");
    }
    if (status.st_size > bytes_max) {
        return fail(Errc::kTooLarge, path + " has over " + std::to_string(bytes_max) + " bytes");
    }
    const auto size = static_cast<std::size_t>(status.st_size);
    return status.st_size >= kMapFrom ? map_file(path, file.fd, size) : read_file(path, file.fd, size);
}

}  // namespace framegrid::infer_onnx
