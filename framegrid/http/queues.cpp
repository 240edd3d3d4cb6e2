#include <framegrid/http/queues.hpp>

#include <algorithm>
#include <array>

#include <boost/asio/error.hpp>

namespace framegrid::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kPieceBytes = 64 * 1024;       // small chunks are joined up to this size
constexpr std::size_t kShareBytes = 4 * 1024;        // smaller blobs are copied: cheaper than another buffer
constexpr std::size_t kKeepLinearBytes = 64 * 1024;  // a quiet connection keeps no larger buffer
constexpr std::size_t kPiecesPerWrite = 64;

}  // namespace

void BodyQueue::push(BytesView bytes) {
    if (bytes.empty() || complete()) {
        return;
    }
    buffered_ += bytes.size();
    const bool behind = !pieces_.empty();  // the reader is: more is likely to come before it takes this
    if (behind && pieces_.back().capacity() - pieces_.back().size() >= bytes.size()) {
        pieces_.back().insert(pieces_.back().end(), bytes.begin(), bytes.end());
    } else {
        Bytes& piece = pieces_.emplace_back();
        piece.reserve(behind ? std::max(bytes.size(), kPieceBytes) : bytes.size());
        piece.insert(piece.end(), bytes.begin(), bytes.end());
    }
    wake();
}

void BodyQueue::finish() {
    finished_ = finished_ || !error_;
    wake();
}

void BodyQueue::fail(Error error) {
    if (!complete()) {
        error_ = std::move(error);
        wake();
    }
}

std::size_t BodyQueue::drop() {
    pieces_.clear();
    return std::exchange(buffered_, 0);
}

void BodyQueue::wake() {
    if (auto waiter = std::exchange(waiter_, std::nullopt)) {
        waiter->fire();
    }
}

Task<void> BodyQueue::wait_readable() {
    struct Forget {
        std::optional<OneShot>& waiter;
        ~Forget() { waiter.reset(); }
    };
    const OneShot shot;
    waiter_ = shot;
    const Forget forget{waiter_};
    co_await shot.wait();
}

Result<Blob> BodyQueue::take() {
    if (!pieces_.empty()) {
        Blob piece(std::move(pieces_.front()));
        pieces_.pop_front();
        buffered_ -= piece.size();
        return piece;
    }
    if (error_) {
        return std::unexpected(*error_);
    }
    return Blob{};
}

void OutputBuffer::append(BytesView bytes) {
    if (bytes.empty()) {
        return;
    }
    if (first_ > kPiecesPerWrite) {
        compact();
    }
    size_ += bytes.size();
    const std::size_t offset = linear_.size();
    linear_.insert(linear_.end(), bytes.begin(), bytes.end());
    if (segments_.size() > first_ && segments_.back().blob.empty()) {
        segments_.back().size += bytes.size();
    } else {
        segments_.push_back({offset, bytes.size(), {}});
    }
}

void OutputBuffer::append(Blob blob) {
    if (blob.size() < kShareBytes) {
        append(blob.view());
        return;
    }
    size_ += blob.size();
    const std::size_t size = blob.size();
    segments_.push_back({0, size, std::move(blob)});
}

void OutputBuffer::clear() {
    segments_.clear();
    if (linear_.capacity() > kKeepLinearBytes) {
        Bytes().swap(linear_);
    }
    linear_.clear();
    first_ = written_ = size_ = 0;
}

ErrorCode OutputBuffer::write_to(Transport& transport) {
    std::array<asio::const_buffer, kPiecesPerWrite> pieces;
    while (size_ > 0 || transport.has_unsent()) {
        std::size_t count = 0;
        for (std::size_t i = first_; i < segments_.size() && count < pieces.size(); ++i, ++count) {
            const auto& segment = segments_[i];
            const auto* data = segment.blob.empty() ? linear_.data() + segment.offset : segment.blob.data();
            const std::size_t skip = i == first_ ? written_ : 0;
            pieces[count] = asio::const_buffer(data + skip, segment.size - skip);
        }
        ErrorCode code;
        consume(transport.write_some(Pieces(pieces.data(), count), code));
        if (code) {
            return code;
        }
    }
    return {};
}

// A stream that never drains completely must not keep what it has written.
void OutputBuffer::compact() {
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
    std::size_t unused = linear_.size();
    for (const auto& segment : segments_) {
        if (segment.blob.empty()) {
            unused = segment.offset;
            break;
        }
    }
    linear_.erase(linear_.begin(), linear_.begin() + static_cast<std::ptrdiff_t>(unused));
    for (auto& segment : segments_) {
        if (segment.blob.empty()) {
            segment.offset -= unused;
        }
    }
}

void OutputBuffer::consume(std::size_t count) {
    size_ -= count;
    written_ += count;
    while (first_ < segments_.size() && written_ >= segments_[first_].size) {
        written_ -= segments_[first_].size;
        segments_[first_].blob = {};
        ++first_;
    }
    if (size_ == 0) {
        clear();
    }
}

}  // namespace framegrid::http
