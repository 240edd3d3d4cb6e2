#include <framegrid/wire/transfers.hpp>

#include <charconv>

#include <framegrid/wire/protocol_error.hpp>

namespace framegrid::wire {

namespace {

constexpr std::size_t kErrorBytesMax = 4 * 1024;

class TransferBody final : public http::BodyReader {
  public:
    explicit TransferBody(std::shared_ptr<api::PieceReader> input) : input_(std::move(input)) {}
    Task<Result<Blob>> read() override { return input_->read(); }
    const http::Headers& trailers() const override { return none_; }

  private:
    std::shared_ptr<api::PieceReader> input_;
    http::Headers none_;
};

class BodyPieces final : public api::PieceReader {
  public:
    explicit BodyPieces(http::BodyReader& body) : body_(body) {}
    Task<Result<Blob>> read() override { return body_.read(); }

  private:
    http::BodyReader& body_;
};

class ExchangeTransfer final : public api::Transfer {
  public:
    ExchangeTransfer(http::Exchange& exchange, std::uint64_t bytes)
        : Transfer({bytes, {}}), exchange_(exchange) {}

    std::shared_ptr<api::PieceReader> open_input() override {
        return std::make_shared<BodyPieces>(exchange_.body);
    }
    Task<Result<void>> begin_output(Deadline /*deadline*/) override {
        http::ResponseHead head;
        head.headers = {
            {"content-type", "application/octet-stream"}, {"content-length", std::to_string(input().bytes)}
        };
        return exchange_.response.start(std::move(head));
    }
    Task<Result<void>> append(Blob piece, Deadline /*deadline*/) override {
        bytes_ += piece.size();
        return exchange_.response.write(std::move(piece));
    }
    Task<Result<api::FileFacts>> end_output(Deadline /*deadline*/) override {
        co_return api::FileFacts{bytes_, {}};
    }

  private:
    http::Exchange& exchange_;
    std::uint64_t bytes_ = 0;
};

Task<Result<void>> take_answer(
    http::BodyReader& body, Clock& clock, api::Transfer& transfer, std::uint64_t bytes, Duration stall_max,
    Deadline deadline
) {
    std::uint64_t taken = 0;
    for (;;) {
        auto reading = body.read();
        auto piece =
            co_await with_deadline<Blob>(clock, deadline.at_most(clock, stall_max), std::move(reading));
        if (!piece) {
            co_return fail(std::move(piece.error()));
        }
        if (piece->empty()) {
            break;
        }
        taken += piece->size();
        if (taken > bytes) {
            break;
        }
        FG_CO_CHECK(co_await transfer.append(std::move(*piece), deadline));
    }
    if (taken != bytes) {
        co_return fail(as_peer_fault(make_error(Errc::kProtocol, "the result has another size"), "transfer"));
    }
    co_return Result<void>{};
}

}  // namespace

std::shared_ptr<http::BodyReader> body_of(std::shared_ptr<api::PieceReader> input) {
    return std::make_shared<TransferBody>(std::move(input));
}

Task<Result<api::FileFacts>> exchange_transfer(
    http::Client& client, Clock& clock, http::Request request, std::shared_ptr<api::Transfer> transfer,
    std::uint64_t bytes, Duration stall_max, Deadline deadline
) {
    request.headers.set("content-length", std::to_string(transfer->input().bytes));
    request.body_source = body_of(transfer->open_input());
    FG_CO_TRY(response, co_await client.open(std::move(request), deadline.at_most(clock, stall_max)));
    if (response.head.status != 200) {
        auto reading = http::read_all(*response.body, kErrorBytesMax);
        const auto text =
            co_await with_deadline<Blob>(clock, deadline.at_most(clock, stall_max), std::move(reading));
        co_return fail(error_from_answer(
            response.head.status, response.head.headers, text ? text->text() : std::string_view()
        ));
    }
    FG_CO_CHECK(co_await transfer->begin_output(deadline));
    FG_CO_CHECK(co_await take_answer(*response.body, clock, *transfer, bytes, stall_max, deadline));
    co_return co_await transfer->end_output(deadline);
}

std::shared_ptr<api::Transfer> transfer_of(http::Exchange& exchange, std::uint64_t bytes) {
    return std::make_shared<ExchangeTransfer>(exchange, bytes);
}

std::optional<std::uint64_t> content_length(const http::RequestHead& head) {
    const auto text = head.headers.get("content-length").value_or("");
    std::uint64_t bytes = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), bytes);
    const bool good = code == std::errc{} && end == text.data() + text.size();
    return good ? std::optional(bytes) : std::nullopt;
}

}  // namespace framegrid::wire
