// gRPC over this project's HTTP: framing, statuses, client and server. One port serves it beside plain HTTP,
// which the gRPC library cannot do. Messages are serialized protobuf bytes.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/http/client.hpp>
#include <framegrid/http/message.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::wire {

inline constexpr std::size_t kGrpcMessageMax = std::size_t{4} * 1024 * 1024;

// The numbers are the wire format.
enum class GrpcCode : std::uint8_t {
    kOk = 0,
    kCancelled = 1,
    kUnknown = 2,
    kInvalidArgument = 3,
    kDeadlineExceeded = 4,
    kNotFound = 5,
    kAlreadyExists = 6,
    kPermissionDenied = 7,
    kResourceExhausted = 8,
    kFailedPrecondition = 9,
    kAborted = 10,
    kOutOfRange = 11,
    kUnimplemented = 12,
    kInternal = 13,
    kUnavailable = 14,
    kDataLoss = 15,
    kUnauthenticated = 16,
};

struct GrpcStatus {
    GrpcCode code = GrpcCode::kOk;
    std::string message;
    friend bool operator==(const GrpcStatus&, const GrpcStatus&) = default;
};

GrpcCode grpc_code_of(Errc code);
Errc errc_of(GrpcCode code);
// The Error that a client's caller sees for a status other than kOk.
Error error_of(const GrpcStatus& status);

// grpc-message: percent-encoded UTF-8. Decoding never fails: what is no valid escape stays as it is.
std::string percent_encode(std::string_view text);
std::string percent_decode(std::string_view text);

// grpc-timeout: at most 8 digits and a unit. Formatting rounds up; nullopt for malformed text.
std::string format_timeout(Duration timeout);
std::optional<Duration> parse_timeout(std::string_view text);

// One length-prefixed message.
Blob grpc_frame(std::string_view message);

// Cuts a byte stream into messages. Holds at most one message and one piece.
class GrpcFrames {
  public:
    explicit GrpcFrames(std::size_t message_max = kGrpcMessageMax) : message_max_(message_max) {}
    void feed(BytesView piece);
    // nullopt: more bytes are needed. kTooLarge, kUnsupported (compressed) and kProtocol are final.
    Result<std::optional<std::string>> next();
    // True between messages: the stream may end here.
    bool empty() const { return at_ == buffer_.size(); }

  private:
    std::size_t message_max_;
    std::string buffer_;
    std::size_t at_ = 0;
};

// The answers of a server-streaming call. Destroying it cancels the call.
class GrpcStream {
  public:
    explicit GrpcStream(http::Response response) : response_(std::move(response)) {}
    // nullopt: the server ended the call with kOk. Any other status is error_of() it.
    Task<Result<std::optional<std::string>>> next();

  private:
    http::Response response_;
    GrpcFrames frames_;
};

// Calls to one server. Single-threaded, as `client` is. `base` names the origin; its path is ignored.
class GrpcClient {
  public:
    GrpcClient(http::Client& client, Clock& clock, http::Url base)
        : client_(client), clock_(clock), base_(std::move(base)) {}

    // `method` is "net.Orchestrator/Ping". A status other than kOk is error_of() it; a server that does not
    // speak gRPC is kProtocol.
    Task<Result<std::string>> unary(std::string method, std::string request, Deadline deadline);
    // The deadline is for the response's head, which a server may hold back until the first message; it is
    // not sent.
    Task<Result<std::unique_ptr<GrpcStream>>> server_stream(
        std::string method, std::string request, Deadline deadline
    );

  private:
    http::Request make_request(const std::string& method, std::string_view request) const;
    http::Client& client_;
    Clock& clock_;
    http::Url base_;
};

// Where a streaming method puts its messages.
class GrpcSink {
  public:
    explicit GrpcSink(http::ResponseWriter& response) : response_(response) {}
    Task<Result<void>> send(std::string message);

  private:
    http::ResponseWriter& response_;
};

// Dispatches calls to methods. Methods are added once, before serving.
class GrpcServer {
  public:
    using Unary = std::function<Task<Result<std::string>>(std::string request, Deadline deadline)>;
    using Streaming = std::function<Task<Result<void>>(std::string request, GrpcSink& sink)>;
    // How an error of a method becomes a status.
    using StatusOf = std::function<GrpcStatus(const Error&)>;

    GrpcServer(Clock& clock, StatusOf status_of) : clock_(clock), status_of_(std::move(status_of)) {}
    void add_unary(std::string method, Unary handler) {
        unary_.emplace(std::move(method), std::move(handler));
    }
    void add_streaming(std::string method, Streaming handler) {
        streaming_.emplace(std::move(method), std::move(handler));
    }

    static bool is_grpc(const http::RequestHead& head);
    // Serves one call, its head included.
    Task<void> serve(http::Exchange& exchange) const;

  private:
    Task<GrpcStatus> run_unary(const Unary& handler, http::Exchange& exchange, std::string request) const;
    Task<GrpcStatus> run_streaming(const Streaming& handler, http::Exchange& exchange, std::string request)
        const;
    Task<GrpcStatus> dispatch(http::Exchange& exchange) const;

    Clock& clock_;
    StatusOf status_of_;
    std::map<std::string, Unary, std::less<>> unary_;
    std::map<std::string, Streaming, std::less<>> streaming_;
};

}  // namespace framegrid::wire
