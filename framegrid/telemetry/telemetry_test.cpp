// Sending over sockets is tested with a real collector's rules in tests/e2e/network/test_telemetry.py.
#include <framegrid/telemetry/otlp_exporter.hpp>

#include <array>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include <gtest/gtest.h>

#include <framegrid/runtime/manual_clock.hpp>

namespace framegrid::telemetry {
namespace {

SpanRecord some_span() {
    SpanRecord span;
    span.context = {"0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"};
    span.parent_id = "00f067aa0ba902b7";
    span.name = "gateway.attempt";
    span.kind = SpanKind::kClient;
    span.begin_unix_ns = 1'700'000'000'123'000'000;
    span.end_unix_ns = 1'700'000'000'125'000'000;
    span.attributes = {{"framegrid.attempt", 2}, {"odd", std::string("\xff\"")}};
    span.error = "full";
    return span;
}

TEST(OtlpJson, HasTheFormOfTheStandard) {
    const std::array spans{some_span()};
    const auto document = boost::json::parse(write_otlp_json({"framegrid-gateway", "0.9", "a1"}, spans));
    const auto& resource = document.at("resourceSpans").at(0);
    EXPECT_EQ(
        resource.at_pointer("/resource/attributes/0/value/stringValue").as_string(), "framegrid-gateway"
    );
    const auto& span = resource.at_pointer("/scopeSpans/0/spans/0");
    EXPECT_EQ(span.at("traceId").as_string(), "0af7651916cd43dd8448eb211c80319c");
    EXPECT_EQ(span.at("parentSpanId").as_string(), "00f067aa0ba902b7");
    EXPECT_EQ(span.at("kind").as_int64(), 3);
    EXPECT_EQ(span.at("startTimeUnixNano").as_string(), "1700000000123000000");
    EXPECT_EQ(span.at_pointer("/attributes/0/value/intValue").as_string(), "2");
    EXPECT_EQ(span.at_pointer("/status/code").as_int64(), 2);
}

TEST(ExportHeaders, AreAListWithPercentEncodedValues) {
    const auto headers = parse_export_headers("Authorization=Basic%20YTpi, x-team = a ,");
    ASSERT_TRUE(headers) << headers.error().message;
    EXPECT_EQ(headers->get("authorization"), "Basic YTpi");
    EXPECT_EQ(headers->get("x-team"), "a");
    for (const char* bad : {"novalue", "=x", "a=%2", "a=%zz", "a=%0d%0ab", "sp ace=1"}) {
        const auto refused = parse_export_headers(bad);
        ASSERT_FALSE(refused) << bad;
    }
    EXPECT_EQ(traces_url("http://127.0.0.1:4318/")->target, "/v1/traces");
}

TEST(OtlpExporter, DropsWhatItsQueueCannotHold) {
    boost::asio::io_context loop;
    ManualClock clock;
    http::Client client(loop.get_executor(), clock, {}, {});
    ExporterSettings settings;
    settings.queue_max = 2;
    OtlpExporter exporter(client, clock, {}, settings);
    for (int i = 0; i < 5; ++i) {
        exporter.take(some_span());
    }
    EXPECT_EQ(exporter.stats().queued, 2U);
    EXPECT_EQ(exporter.stats().dropped, 3U);
}

}  // namespace
}  // namespace framegrid::telemetry
