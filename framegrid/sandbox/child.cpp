#include <framegrid/sandbox/child.hpp>

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>

namespace framegrid::sandbox {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kDescriptorsMax = 4;

// One sendmsg() of the parcel from `offset`; its descriptors go with the first byte.
ssize_t send_some(int fd, const Parcel& parcel, std::size_t offset) {
    FG_ASSERT(parcel.descriptors.size() <= kDescriptorsMax);
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kDescriptorsMax)> control = {};
    iovec vector = {
        .iov_base = const_cast<std::uint8_t*>(parcel.frame.data()) + offset,
        .iov_len = parcel.frame.size() - offset
    };
    msghdr header = {};
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    const std::size_t count = offset == 0 ? parcel.descriptors.size() : 0;
    if (count > 0) {
        header.msg_control = control.data();
        header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        cmsghdr* part = CMSG_FIRSTHDR(&header);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int) * count);
        for (std::size_t i = 0; i < count; ++i) {
            const int number = parcel.descriptors[i].get();
            std::memcpy(CMSG_DATA(part) + i * sizeof(int), &number, sizeof number);
        }
    }
    return ::sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

struct ChildSocket::Impl {
    Impl(const Executor& executor, int fd) : stream(executor, fd) {}
    asio::posix::stream_descriptor stream;
    std::deque<Parcel> parcels;
    std::size_t sent = 0;  // bytes of the first parcel
    bool waiting = false;  // for room in the socket
    bool broken = false;
    FrameReader reader;
    Bytes chunk = Bytes(64 * 1024);
};

ChildSocket::ChildSocket(const Executor& executor, host::UniqueFd fd)
    : impl_(std::make_unique<Impl>(executor, fd.release())) {}
ChildSocket::~ChildSocket() = default;

bool ChildSocket::send(Parcel parcel) {
    if (impl_->parcels.size() >= kParcelsMax) {
        return false;
    }
    impl_->parcels.push_back(std::move(parcel));
    if (!impl_->waiting) {
        flush();
    }
    return true;
}

void ChildSocket::flush() {
    while (!impl_->parcels.empty() && !impl_->broken) {
        const Parcel& parcel = impl_->parcels.front();
        const ssize_t put = send_some(impl_->stream.native_handle(), parcel, impl_->sent);
        if (put >= 0) {
            impl_->sent += static_cast<std::size_t>(put);
            if (impl_->sent == parcel.frame.size()) {
                impl_->parcels.pop_front();
                impl_->sent = 0;
            }
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            impl_->waiting = true;
            impl_->stream.async_wait(
                asio::posix::descriptor_base::wait_write,
                [weak = weak_from_this()](const boost::system::error_code& code) {
                    const auto self = weak.lock();
                    if (self && !code) {
                        self->impl_->waiting = false;
                        self->flush();
                    }
                }
            );
            return;
        } else if (errno != EINTR) {
            impl_->broken = true;
        }
    }
    if (impl_->broken) {
        impl_->parcels.clear();
    }
}

// Plain reads: the kernel discards descriptors that a hostile child may send along.
Task<Result<Message>> ChildSocket::receive() {
    const auto self = shared_from_this();
    while (true) {
        FG_CO_TRY(message, impl_->reader.next());
        if (message) {
            co_return std::move(*message);
        }
        boost::system::error_code code;
        const std::size_t got = co_await impl_->stream.async_read_some(
            asio::buffer(impl_->chunk), asio::redirect_error(asio::use_awaitable, code)
        );
        if (code == asio::error::operation_aborted) {
            throw boost::system::system_error(code);
        }
        if (code) {
            co_return fail(Errc::kUnavailable, "the executor closed its connection");
        }
        impl_->reader.append(BytesView(impl_->chunk).first(got));
    }
}

Result<SocketPair> make_socket_pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail(host::system_error("cannot make a socket pair", errno));
    }
    SocketPair pair{host::UniqueFd(ends[0]), host::UniqueFd(ends[1])};
    if (::fcntl(pair.ours.get(), F_SETFL, O_NONBLOCK) != 0) {
        return fail(host::system_error("cannot make a socket pair", errno));
    }
    return pair;
}

}  // namespace framegrid::sandbox
