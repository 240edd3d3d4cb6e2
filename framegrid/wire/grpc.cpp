#include <framegrid/wire/grpc.hpp>

#include <array>
#include <charconv>

#include <framegrid/wire/protocol_error.hpp>

namespace framegrid::wire {

namespace {

constexpr std::size_t kPrefixBytes = 5;  // compressed flag, big-endian length
constexpr std::int64_t kTimeoutMax = 99'999'999;

struct Unit {
    char name;
    std::int64_t ns;
};
constexpr std::array kUnits{
    Unit{'n', 1},
    Unit{'u', 1'000},
    Unit{'m', 1'000'000},
    Unit{'S', 1'000'000'000},
    Unit{'M', 60'000'000'000},
    Unit{'H', 3'600'000'000'000},
};

int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

GrpcCode grpc_code_of(Errc code) {
    switch (code) {
        case Errc::kInvalidArgument:
            return GrpcCode::kInvalidArgument;
        case Errc::kUnauthorized:
            return GrpcCode::kUnauthenticated;
        case Errc::kForbidden:
            return GrpcCode::kPermissionDenied;
        case Errc::kNotFound:
            return GrpcCode::kNotFound;
        case Errc::kTooLarge:
            return GrpcCode::kOutOfRange;
        case Errc::kUnsupported:
            return GrpcCode::kUnimplemented;
        case Errc::kUnprocessable:
            return GrpcCode::kFailedPrecondition;
        case Errc::kCapacity:
            return GrpcCode::kResourceExhausted;
        case Errc::kUnavailable:
            return GrpcCode::kUnavailable;
        case Errc::kDeadline:
            return GrpcCode::kDeadlineExceeded;
        case Errc::kCancelled:
            return GrpcCode::kCancelled;
        case Errc::kProtocol:
        case Errc::kInternal:
            return GrpcCode::kInternal;
        case Errc::kIo:
            return GrpcCode::kDataLoss;
    }
    return GrpcCode::kUnknown;
}

Errc errc_of(GrpcCode code) {
    switch (code) {
        case GrpcCode::kCancelled:
            return Errc::kCancelled;
        case GrpcCode::kInvalidArgument:
            return Errc::kInvalidArgument;
        case GrpcCode::kDeadlineExceeded:
            return Errc::kDeadline;
        case GrpcCode::kNotFound:
            return Errc::kNotFound;
        case GrpcCode::kPermissionDenied:
            return Errc::kForbidden;
        case GrpcCode::kResourceExhausted:
            return Errc::kCapacity;
        case GrpcCode::kFailedPrecondition:
            return Errc::kUnprocessable;
        case GrpcCode::kOutOfRange:
            return Errc::kTooLarge;
        case GrpcCode::kUnimplemented:
            return Errc::kUnsupported;
        case GrpcCode::kUnavailable:
            return Errc::kUnavailable;
        case GrpcCode::kDataLoss:
            return Errc::kIo;
        case GrpcCode::kUnauthenticated:
            return Errc::kUnauthorized;
        case GrpcCode::kOk:
        case GrpcCode::kUnknown:
        case GrpcCode::kAlreadyExists:
        case GrpcCode::kAborted:
        case GrpcCode::kInternal:
            return Errc::kInternal;
    }
    return Errc::kInternal;
}

Error error_of(const GrpcStatus& status) {
    // Existing nodes report every failure as Unknown and expect peers to read the text (protocol
    // section 2.3).
    if (status.code == GrpcCode::kUnknown) {
        return error_from_text(status.message);
    }
    const std::string_view name = to_string(errc_of(status.code));
    auto error = error_from_code(name, status.message);
    if (!error) {
        return make_error(Errc::kInternal, clean_text(status.message));
    }
    if (error->message.empty()) {
        error->message =
            "the peer ended the call with gRPC status " + std::to_string(static_cast<int>(status.code));
    }
    return *std::move(error);
}

std::string percent_encode(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (c >= ' ' && c <= '~' && c != '%') {
            out.push_back(c);
        } else {
            const auto byte = static_cast<std::uint8_t>(c);
            out.push_back('%');
            out.push_back(kDigits[byte >> 4]);
            out.push_back(kDigits[byte & 15]);
        }
    }
    return out;
}

std::string percent_decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int high = text[i] == '%' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
        const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
        if (low >= 0) {
            out.push_back(static_cast<char>(high << 4 | low));
            i += 2;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

std::string format_timeout(Duration timeout) {
    const std::int64_t ns = std::max<std::int64_t>(timeout.count(), 0);
    for (const auto& unit : kUnits) {
        const std::int64_t count = ns / unit.ns + (ns % unit.ns == 0 ? 0 : 1);
        if (count <= kTimeoutMax) {
            return std::to_string(count) + unit.name;
        }
    }
    return std::to_string(kTimeoutMax) + "H";
}

std::optional<Duration> parse_timeout(std::string_view text) {
    if (text.size() < 2 || text.size() > 9) {
        return std::nullopt;
    }
    std::int64_t count = 0;
    const char* const end = text.data() + text.size() - 1;
    const auto [at, error] = std::from_chars(text.data(), end, count);
    if (error != std::errc{} || at != end || count < 0) {
        return std::nullopt;
    }
    // 99,999,999 hours do not fit; a year is as good as forever.
    constexpr std::int64_t kForever = 365LL * 24 * 3600 * 1'000'000'000;
    for (const auto& unit : kUnits) {
        if (unit.name == *end) {
            return Duration(count > kForever / unit.ns ? kForever : count * unit.ns);
        }
    }
    return std::nullopt;
}

Blob grpc_frame(std::string_view message) {
    Bytes frame;
    frame.reserve(kPrefixBytes + message.size());
    frame.push_back(0);
    for (int shift = 24; shift >= 0; shift -= 8) {
        frame.push_back(static_cast<std::uint8_t>(message.size() >> shift));
    }
    frame.insert(frame.end(), message.begin(), message.end());
    return Blob(std::move(frame));
}

void GrpcFrames::feed(BytesView piece) {
    if (at_ == buffer_.size()) {
        buffer_.clear();
        at_ = 0;
    } else if (at_ > 0) {
        buffer_.erase(0, at_);
        at_ = 0;
    }
    buffer_.append(as_text(piece));
}

Result<std::optional<std::string>> GrpcFrames::next() {
    const std::string_view rest = std::string_view(buffer_).substr(at_);
    if (rest.empty()) {
        return std::nullopt;
    }
    if (rest[0] == 1) {
        return fail(Errc::kUnsupported, "compressed gRPC messages are not supported");
    }
    if (rest[0] != 0) {
        return fail(Errc::kProtocol, "a gRPC message has a wrong prefix");
    }
    if (rest.size() < kPrefixBytes) {
        return std::nullopt;
    }
    std::size_t size = 0;
    for (std::size_t i = 1; i < kPrefixBytes; ++i) {
        size = size << 8 | static_cast<std::uint8_t>(rest[i]);
    }
    if (size > message_max_) {
        return fail(Errc::kTooLarge, "a gRPC message is over " + std::to_string(message_max_) + " bytes");
    }
    if (rest.size() < kPrefixBytes + size) {
        return std::nullopt;
    }
    at_ += kPrefixBytes + size;
    return std::string(rest.substr(kPrefixBytes, size));
}

}  // namespace framegrid::wire
