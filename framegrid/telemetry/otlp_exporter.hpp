// Sends spans to a collector in batches, beside the work. What does not fit into its queue is dropped and
// counted: a collector that is slow or away costs no job anything.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include <framegrid/base/log.hpp>
#include <framegrid/http/client.hpp>
#include <framegrid/runtime/async.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/telemetry/otlp_json.hpp>

namespace framegrid::telemetry {

struct ExporterSettings {
    http::Url url;          // of the traces: ".../v1/traces"
    http::Headers headers;  // of each request: credentials, usually
    Resource resource;
    std::size_t queue_max = 4096;  // spans
    std::size_t batch_max = 256;
    Duration period = std::chrono::seconds(1);  // a batch that is not full is sent after so long
    Duration send_time_max = std::chrono::seconds(5);
    int attempts_max = 3;  // for one batch, while the collector says "later" or nothing
};

// "https://collector:4318" -> ".../v1/traces" there, as OTEL_EXPORTER_OTLP_ENDPOINT means it.
Result<http::Url> traces_url(std::string endpoint);
// "key=value,key2=value2" with percent-encoded values, as OTEL_EXPORTER_OTLP_HEADERS has it.
Result<http::Headers> parse_export_headers(std::string_view text);

struct ExporterStats {
    std::uint64_t sent = 0;
    std::uint64_t dropped = 0;  // the queue was full, or the collector did not take them
    std::size_t queued = 0;
};
void dump(MetricsWriter& out, const ExporterStats& stats);

// Single-threaded, on the client's executor. `client` and `clock` outlive it.
class OtlpExporter final : public SpanSink {
  public:
    OtlpExporter(http::Client& client, Clock& clock, Logger log, ExporterSettings settings);
    void take(SpanRecord span) override;
    // Sends until cancelled.
    Task<void> serve();
    // Sends what is queued, until the deadline: before the process ends.
    Task<void> flush(Deadline deadline);
    ExporterStats stats() const;

  private:
    Task<Result<void>> send_batch(Deadline deadline);
    Task<Result<void>> send(Blob body, Deadline deadline);

    http::Client& client_;
    Clock& clock_;
    Logger log_;
    ExporterSettings settings_;
    std::deque<SpanRecord> queue_;
    Notifier full_;
    ExporterStats stats_;
    bool failing_ = false;
};

}  // namespace framegrid::telemetry
