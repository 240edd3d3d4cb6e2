#include <framegrid/http/h1_link.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

namespace framegrid::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kOutputBytesMax = 256 * 1024;  // before a writer waits
constexpr int kReadsPerTurn = 8;

}  // namespace

H1Link::H1Link(
    Executor executor, Clock& clock, std::unique_ptr<Transport> transport, std::span<std::uint8_t> scratch,
    std::size_t unparsed_max
)
    : executor_(std::move(executor)),
      clock_(clock),
      transport_(std::move(transport)),
      scratch_(scratch),
      unparsed_max_(unparsed_max),
      progress_at_(clock.now()) {}

void H1Link::start(BytesView initial) {
    unparsed_.assign(initial.begin(), initial.end());
    parse();
    wait_readable();
}

void H1Link::close(const Error& why) {
    if (std::exchange(closed_, true)) {
        return;
    }
    const auto self = shared_from_this();
    transport_->close(!output_.empty() || transport_->has_unsent());
    output_.clear();
    if (room_) {
        std::exchange(room_, std::nullopt)->fire();
    }
    on_closed(why);
}

bool H1Link::is_full() const {
    return !closed_ && output_.size() > kOutputBytesMax;
}

Task<void> H1Link::wait_room() {
    const OneShot shot;
    room_ = shot;
    co_await shot.wait();
}

void H1Link::send(std::string_view text) {
    if (!closed_) {
        output_.append(as_bytes(text));
        schedule_flush();
    }
}

void H1Link::send(Blob blob) {
    if (!closed_) {
        output_.append(std::move(blob));
        schedule_flush();
    }
}

void H1Link::wait_readable() {
    if (!closed_ && !read_waiting_ && !eof_ && unparsed_.size() < unparsed_max_) {
        read_waiting_ = true;
        transport_->wait_readable([self = shared_from_this()] {
            self->read_waiting_ = false;
            self->read();
        });
    }
}

void H1Link::read() {
    const auto self = shared_from_this();
    for (int i = 0; i < kReadsPerTurn && !closed_ && !eof_ && unparsed_.size() < unparsed_max_; ++i) {
        ErrorCode code;
        const std::size_t n = transport_->read_some(scratch_, code);
        if (n > 0) {
            received_bytes_ += n;
            const std::size_t used = unparsed_.empty() ? parse_some({scratch_.data(), n}) : 0;
            unparsed_.insert(
                unparsed_.end(), scratch_.begin() + static_cast<std::ptrdiff_t>(used),
                scratch_.begin() + static_cast<std::ptrdiff_t>(n)
            );
            parse();
        }
        if (code && code != asio::error::would_block) {
            eof_ = true;
            tell_eof();
            break;
        }
        if (n < scratch_.size()) {
            break;
        }
    }
    wait_readable();
}

void H1Link::tell_eof() {
    if (eof_ && !closed_ && (tells_eof_at_once() || unparsed_.empty() || can_parse()) &&
        !std::exchange(eof_told_, true)) {
        on_eof();
    }
}

std::size_t H1Link::parse_some(BytesView bytes) {
    std::size_t used = 0;
    parsing_ = true;
    while (used < bytes.size() && !closed_ && can_parse()) {
        const std::size_t n = on_bytes(bytes.subspan(used));
        used += n;
        if (n == 0) {
            break;
        }
    }
    parsing_ = false;
    return used;
}

void H1Link::parse() {
    if (parsing_ || unparsed_.empty()) {
        return;
    }
    const std::size_t used = parse_some(unparsed_);
    unparsed_.erase(unparsed_.begin(), unparsed_.begin() + static_cast<std::ptrdiff_t>(used));
    if (!closed_ && used == 0 && can_parse() && unparsed_.size() >= unparsed_max_) {
        close(make_error(Errc::kProtocol, "the peer sent a line that is too long"));
    }
    if (unparsed_.empty() && unparsed_.capacity() > 0) {
        Bytes().swap(unparsed_);
    }
}

void H1Link::resume() {
    if (closed_ || resume_scheduled_) {
        return;
    }
    resume_scheduled_ = true;
    asio::post(executor_, [self = shared_from_this()] {
        self->resume_scheduled_ = false;
        self->parse();
        self->tell_eof();
        self->wait_readable();
    });
}

std::optional<TimePoint> H1Link::blocked_since() const {
    return write_blocked_ ? std::optional(progress_at_) : std::nullopt;
}

void H1Link::schedule_flush() {
    if (!flush_scheduled_ && !write_blocked_) {
        flush_scheduled_ = true;
        asio::post(executor_, [self = shared_from_this()] {
            self->flush_scheduled_ = false;
            self->flush();
        });
    }
}

void H1Link::flush() {
    if (closed_ || write_blocked_) {
        return;
    }
    const auto self = shared_from_this();
    const std::size_t before = output_.size();
    const ErrorCode code = output_.write_to(*transport_);
    if (output_.size() < before || !write_blocked_) {
        progress_at_ = clock_.now();
    }
    if (code == asio::error::would_block) {
        write_blocked_ = true;
        transport_->wait_writable([self = shared_from_this()] {
            self->write_blocked_ = false;
            self->flush();
        });
    } else if (code) {
        // The peer may have said why before it stopped listening.
        write_blocked_ = true;
        output_.clear();
        read();
        close(make_error(Errc::kUnavailable, "the peer closed the connection"));
        return;
    }
    if (room_ && output_.size() <= kOutputBytesMax / 2) {
        std::exchange(room_, std::nullopt)->fire();
    }
    if (!code) {
        on_flushed();
    }
}

}  // namespace framegrid::http
