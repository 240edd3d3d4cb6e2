#include <framegrid/wire/grpc.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include <framegrid/runtime/manual_clock.hpp>

namespace framegrid::wire {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

Bytes raw(std::initializer_list<int> values) {
    Bytes bytes;
    for (const int value : values) {
        bytes.push_back(static_cast<std::uint8_t>(value));
    }
    return bytes;
}

TEST(GrpcFrames, OneMessage) {
    GrpcFrames frames;
    EXPECT_TRUE(frames.empty());
    frames.feed(grpc_frame("hello").view());
    EXPECT_FALSE(frames.empty());
    EXPECT_EQ(frames.next().value(), "hello");
    EXPECT_EQ(frames.next().value(), std::nullopt);
    EXPECT_TRUE(frames.empty());
}

TEST(GrpcFrames, ByteByByteAndSeveralAtOnce) {
    GrpcFrames frames;
    const Blob split = grpc_frame("split");
    for (const auto byte : split.view()) {
        EXPECT_EQ(frames.next().value(), std::nullopt);
        frames.feed(BytesView(&byte, 1));
    }
    EXPECT_EQ(frames.next().value(), "split");
    Bytes two;
    for (const auto* text : {"", "second"}) {
        const auto frame = grpc_frame(text);
        two.insert(two.end(), frame.view().begin(), frame.view().end());
    }
    frames.feed(two);
    EXPECT_EQ(frames.next().value(), "");
    EXPECT_EQ(frames.next().value(), "second");
    EXPECT_TRUE(frames.empty());
}

TEST(GrpcFrames, MalformedInput) {
    GrpcFrames compressed;
    compressed.feed(raw({1, 0, 0, 0, 0}));
    EXPECT_EQ(compressed.next().error().code, Errc::kUnsupported);
    GrpcFrames wrong;
    wrong.feed(raw({'H'}));
    EXPECT_EQ(wrong.next().error().code, Errc::kProtocol);
    GrpcFrames huge;
    huge.feed(raw({0, 0xff, 0xff, 0xff, 0xff}));
    EXPECT_EQ(huge.next().error().code, Errc::kTooLarge) << "refused by its length, before any byte of it";
    GrpcFrames limit(3);
    limit.feed(grpc_frame("1234").view());
    EXPECT_EQ(limit.next().error().code, Errc::kTooLarge);
}

TEST(GrpcText, PercentEncoding) {
    EXPECT_EQ(percent_encode("plain text"), "plain text");
    EXPECT_EQ(percent_encode("100%\n\xc3\xa9"), "100%25%0A%C3%A9");
    EXPECT_EQ(percent_decode("100%25%0A%C3%A9"), "100%\n\xc3\xa9");
    EXPECT_EQ(percent_decode("50% off %zz %4"), "50% off %zz %4") << "what is no escape stays";
    for (int i = 0; i < 256; ++i) {
        const std::string text(1, static_cast<char>(i));
        EXPECT_EQ(percent_decode(percent_encode(text)), text);
    }
}

TEST(GrpcText, Timeouts) {
    EXPECT_EQ(format_timeout(milliseconds(8)), "8000000n");
    EXPECT_EQ(format_timeout(seconds(8)), "8000000u");
    EXPECT_EQ(format_timeout(hours(1)), "3600000m");
    EXPECT_EQ(format_timeout(Duration(-5)), "0n");
    EXPECT_EQ(parse_timeout("8S"), Duration(seconds(8)));
    EXPECT_EQ(parse_timeout("100m"), Duration(milliseconds(100)));
    EXPECT_EQ(parse_timeout("2M"), Duration(std::chrono::minutes(2)));
    EXPECT_EQ(parse_timeout("99999999H"), Duration(hours(24 * 365))) << "cut to what fits";
    for (const auto* bad : {"", "S", "8", "8s", "-1S", "123456789S", "1.5S", " 1S", "8 S"}) {
        EXPECT_EQ(parse_timeout(bad), std::nullopt) << bad;
    }
    for (const Duration value : {Duration(1), Duration(123'456'789'000), Duration(hours(100))}) {
        const auto back = parse_timeout(format_timeout(value));
        ASSERT_TRUE(back);
        EXPECT_GE(*back, value) << "never shorter than meant";
    }
}

TEST(GrpcStatusMap, EveryErrcSurvives) {
    for (const auto code :
         {Errc::kInvalidArgument, Errc::kUnauthorized, Errc::kForbidden, Errc::kNotFound, Errc::kTooLarge,
          Errc::kUnsupported, Errc::kUnprocessable, Errc::kCapacity, Errc::kUnavailable, Errc::kDeadline,
          Errc::kCancelled, Errc::kIo, Errc::kInternal}) {
        EXPECT_EQ(errc_of(grpc_code_of(code)), code) << to_string(code);
    }
    EXPECT_EQ(errc_of(grpc_code_of(Errc::kProtocol)), Errc::kInternal);
}

TEST(GrpcStatusMap, UnknownIsClassifiedByItsText) {
    EXPECT_EQ(error_of({GrpcCode::kUnknown, "OrchestratorCapped"}).code, Errc::kCapacity);
    EXPECT_EQ(error_of({GrpcCode::kUnknown, "invalid secret"}).code, Errc::kUnauthorized);
    EXPECT_EQ(error_of({GrpcCode::kUnknown, "zero capacity"}).code, Errc::kInvalidArgument);
    EXPECT_EQ(error_of({GrpcCode::kUnknown, "whatever"}).disposition, Disposition::kPenalizePeer);
    EXPECT_EQ(error_of({GrpcCode::kUnavailable, ""}).code, Errc::kUnavailable);
    EXPECT_FALSE(error_of({GrpcCode::kUnavailable, ""}).message.empty());
}

// A request body in pieces, and a response that remembers what it was given.
class FakeBody final : public http::BodyReader {
  public:
    explicit FakeBody(std::vector<Bytes> pieces) : pieces_(std::move(pieces)) {}
    Task<Result<Blob>> read() override { co_return at_ < pieces_.size() ? Blob(pieces_[at_++]) : Blob(); }
    const http::Headers& trailers() const override { return none_; }

  private:
    std::vector<Bytes> pieces_;
    std::size_t at_ = 0;
    http::Headers none_;
};

class FakeResponse final : public http::ResponseWriter {
  public:
    Task<Result<void>> start(http::ResponseHead head) override {
        head_ = std::move(head);
        started_ = true;
        co_return Result<void>{};
    }
    Task<Result<void>> write(Blob piece) override {
        body.feed(piece.view());
        co_return Result<void>{};
    }
    Task<Result<void>> finish(http::Headers trailers) override {
        trailers_ = std::move(trailers);
        co_return Result<void>{};
    }
    bool started() const override { return started_; }
    std::string status() const { return std::string(trailers_.get("grpc-status").value_or("none")); }
    std::string message() const { return percent_decode(trailers_.get("grpc-message").value_or("")); }
    GrpcFrames body;

  private:
    http::ResponseHead head_;
    http::Headers trailers_;
    bool started_ = false;
};

class GrpcServing : public testing::Test {
  protected:
    GrpcServing()
        : server_(clock_, [](const Error& error) { return GrpcStatus{GrpcCode::kUnknown, error.message}; }) {
        server_.add_unary("t.T/Upper", &upper);
        server_.add_streaming("t.T/Count", &count);
    }
    static Task<Result<std::string>> upper(std::string request, Deadline) {
        if (request == "fail") {
            co_return fail(Errc::kCapacity, "OrchestratorCapped");
        }
        std::ranges::transform(request, request.begin(), [](char c) {
            return static_cast<char>(std::toupper(c));
        });
        co_return request;
    }
    static Task<Result<void>> count(std::string request, GrpcSink& sink) {
        for (const char c : request) {
            std::string text(1, c);
            FG_CO_CHECK(co_await sink.send(std::move(text)));
        }
        co_return fail(Errc::kUnauthorized, "invalid secret");
    }
    // The status that the call ended with.
    std::string call(const std::string& target, std::vector<Bytes> pieces, http::Headers extra = {}) {
        FakeBody body(std::move(pieces));
        http::RequestHead head;
        head.method = method_;
        head.target = target;
        head.headers = std::move(extra);
        head.headers.add("content-type", "application/grpc");
        http::Exchange exchange{head, body, response};
        boost::asio::io_context loop;
        boost::asio::co_spawn(loop, server_.serve(exchange), [](const std::exception_ptr& exception) {
            EXPECT_FALSE(exception);
        });
        loop.run();
        EXPECT_TRUE(response.started());
        return response.status();
    }
    static Bytes framed(std::string_view text) {
        const auto frame = grpc_frame(text);
        return {frame.view().begin(), frame.view().end()};
    }

    ManualClock clock_;
    GrpcServer server_;
    std::string method_ = "POST";
    FakeResponse response;
};

TEST_F(GrpcServing, Unary) {
    EXPECT_EQ(call("/t.T/Upper", {framed("abc")}, {{"grpc-timeout", "8S"}}), "0");
    EXPECT_EQ(response.body.next().value(), "ABC");
}

TEST_F(GrpcServing, UnaryError) {
    EXPECT_EQ(call("/t.T/Upper", {framed("fail")}), "2");
    EXPECT_EQ(response.message(), "OrchestratorCapped");
}

TEST_F(GrpcServing, StreamThenError) {
    EXPECT_EQ(call("/t.T/Count", {framed("xy")}), "2");
    EXPECT_EQ(response.body.next().value(), "x");
    EXPECT_EQ(response.body.next().value(), "y");
    EXPECT_EQ(response.message(), "invalid secret");
}

TEST_F(GrpcServing, UnknownMethod) {
    EXPECT_EQ(call("/t.T/Nope", {framed("x")}), "12");
}
TEST_F(GrpcServing, EmptyPath) {
    EXPECT_EQ(call("/", {framed("x")}), "12");
}
TEST_F(GrpcServing, WrongVerb) {
    method_ = "GET";
    EXPECT_EQ(call("/t.T/Upper", {}), "12");
}
TEST_F(GrpcServing, CompressedIsUnimplemented) {
    EXPECT_EQ(call("/t.T/Upper", {raw({1, 0, 0, 0, 1, 0})}), "12");
}
TEST_F(GrpcServing, TooLargeIsExhausted) {
    EXPECT_EQ(call("/t.T/Upper", {raw({0, 0x7f, 0, 0, 0})}), "8");
}
TEST_F(GrpcServing, NoMessage) {
    EXPECT_EQ(call("/t.T/Upper", {}), "13");
}
TEST_F(GrpcServing, HalfAMessage) {
    EXPECT_EQ(call("/t.T/Upper", {raw({0, 0, 0, 0, 9, 'x'})}), "13");
}
TEST_F(GrpcServing, TwoMessages) {
    EXPECT_EQ(call("/t.T/Upper", {framed("a"), framed("b")}), "13");
}
TEST_F(GrpcServing, BadTimeout) {
    EXPECT_EQ(call("/t.T/Upper", {framed("a")}, {{"grpc-timeout", "soon"}}), "3");
}

TEST_F(GrpcServing, RecognisesGrpcOnHttp2Only) {
    http::RequestHead head;
    head.headers = {{"content-type", "application/grpc+proto"}};
    EXPECT_TRUE(GrpcServer::is_grpc(head));
    head.version = http::Version::kHttp11;
    EXPECT_FALSE(GrpcServer::is_grpc(head));
}

}  // namespace
}  // namespace framegrid::wire
