#include <framegrid/signer/hour_to_sign.hpp>

namespace framegrid::signer {

namespace {

constexpr std::size_t kLineBytesMax = 8 * 1024;  // the amount alone may have half of that

}  // namespace

Result<HourToSign> HourToSign::begin(
    const crypto::PrivateKey& key, std::string hour, const crypto::Hash32& previous
) {
    if (!pay::is_hour_name(hour)) {
        return fail(Errc::kInvalidArgument, "an hour is written as 2026-11-27T06", "hour");
    }
    return HourToSign(key, std::move(hour), previous);
}

Result<void> HourToSign::add_line(std::string_view line) {
    const auto number = std::to_string(sum_.receipts() + 1);
    auto receipt = pay::parse_receipt(line);
    if (!receipt) {
        receipt.error().field = "receipts";
        return fail(std::move(receipt.error()).with_context("line " + number));
    }
    if (receipt->payer != address_ && receipt->payee != address_) {
        return fail(
            Errc::kForbidden, "line " + number + " is a receipt of others than this signer's address",
            "receipts"
        );
    }
    sum_.add(*receipt, line);
    return {};
}

Result<void> HourToSign::add(std::string_view piece) {
    for (auto end = piece.find('\n'); end != std::string_view::npos; end = piece.find('\n')) {
        if (begun_.empty()) {
            FG_CHECK(add_line(piece.substr(0, end)));
        } else {
            begun_ += piece.substr(0, end);
            FG_CHECK(add_line(begun_));
            begun_.clear();
        }
        piece.remove_prefix(end + 1);
    }
    if (begun_.size() + piece.size() > kLineBytesMax) {
        return fail(Errc::kInvalidArgument, "a line is longer than any receipt", "receipts");
    }
    begun_ += piece;
    return {};
}

Result<pay::Closing> HourToSign::close() {
    if (!begun_.empty() || sum_.receipts() == 0) {
        return fail(
            Errc::kInvalidArgument, begun_.empty() ? "there are no receipts" : "the last line has no end",
            "receipts"
        );
    }
    return sum_.close(hour_, previous_, key_);
}

}  // namespace framegrid::signer
