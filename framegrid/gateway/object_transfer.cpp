#include <framegrid/gateway/object_transfer.hpp>

#include <algorithm>

namespace framegrid::gateway {

namespace {

constexpr std::uint64_t kPieceBytes = 1 << 20;
constexpr std::size_t kHeadBytes = 4'096;

crypto::Hash32 hash_of(const std::string& digest) {
    crypto::Hash32 out{};
    const auto bytes = crypto::parse_hex(digest);
    if (bytes && bytes->size() == out.size()) {
        std::ranges::copy(*bytes, out.begin());
    }
    return out;
}

class ObjectReader final : public api::PieceReader {
  public:
    ObjectReader(
        api::Objects& objects, Clock& clock, Duration access_time_max, std::string digest,
        std::uint64_t bytes, std::shared_ptr<std::optional<Error>> failure
    )
        : objects_(objects),
          clock_(clock),
          access_time_max_(access_time_max),
          digest_(std::move(digest)),
          left_(bytes),
          failure_(std::move(failure)) {}

    Task<Result<Blob>> read() override {
        if (left_ == 0) {
            co_return Blob();
        }
        const auto soon = Deadline::after(clock_, access_time_max_);
        auto piece = co_await objects_.read(digest_, offset_, std::min(left_, kPieceBytes), soon);
        if (piece && piece->empty()) {
            piece = fail(Errc::kIo, "a stored file is shorter than it was");
        }
        if (!piece) {
            *failure_ = piece.error();
            co_return piece;
        }
        offset_ += piece->size();
        left_ -= piece->size();
        co_return piece;
    }

  private:
    api::Objects& objects_;
    Clock& clock_;
    Duration access_time_max_;
    std::string digest_;
    std::uint64_t offset_ = 0;
    std::uint64_t left_;
    std::shared_ptr<std::optional<Error>> failure_;
};

}  // namespace

ObjectTransfer::ObjectTransfer(
    api::Objects& objects, Clock& clock, Duration access_time_max, api::ObjectInfo input
)
    : Transfer({input.bytes, hash_of(input.digest)}),
      objects_(objects),
      clock_(clock),
      access_time_max_(access_time_max),
      digest_(std::move(input.digest)) {}

std::shared_ptr<api::PieceReader> ObjectTransfer::open_input() {
    return std::make_shared<ObjectReader>(
        objects_, clock_, access_time_max_, digest_, input().bytes, failure_
    );
}

Task<Result<void>> ObjectTransfer::begin_output(Deadline deadline) {
    writer_.reset();
    result_.reset();
    head_.clear();
    auto writer = noted(co_await objects_.create(soon(deadline)));
    if (!writer) {
        co_return fail(std::move(writer.error()));
    }
    writer_ = std::move(*writer);
    co_return Result<void>{};
}

Task<Result<void>> ObjectTransfer::append(Blob piece, Deadline deadline) {
    const auto view = piece.view().first(std::min(piece.size(), kHeadBytes - head_.size()));
    head_.insert(head_.end(), view.begin(), view.end());
    co_return noted(co_await writer_->append(std::move(piece), soon(deadline)));
}

Task<Result<api::FileFacts>> ObjectTransfer::end_output(Deadline deadline) {
    auto object = noted(co_await writer_->finish(soon(deadline)));
    writer_.reset();
    if (!object) {
        co_return fail(std::move(object.error()));
    }
    result_ = std::move(*object);
    co_return api::FileFacts{result_->bytes, hash_of(result_->digest)};
}

}  // namespace framegrid::gateway
