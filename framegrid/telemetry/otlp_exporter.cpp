#include <framegrid/telemetry/otlp_exporter.hpp>

#include <algorithm>
#include <array>
#include <charconv>

#include <framegrid/http/text.hpp>

namespace framegrid::telemetry {

namespace {

constexpr std::size_t kAnswerBytesMax = 64 * 1024;
constexpr std::size_t kHeadersMax = 16;
constexpr Duration kRetryFirst = std::chrono::milliseconds(500);
constexpr std::array kLater{429, 502, 503, 504};  // OTLP/HTTP: these may be sent again

bool may_retry(const Result<http::Fetched>& answer) {
    return !answer || std::ranges::find(kLater, answer->status) != kLater.end();
}

// nullopt: a % without two hex digits.
std::optional<std::string> percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        unsigned byte = 0;
        const auto digits = text.substr(i + 1, 2);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
        if (error != std::errc{} || digits.size() != 2 || end != digits.data() + 2) {
            return std::nullopt;
        }
        out += static_cast<char>(byte);
        i += 2;
    }
    return out;
}

}  // namespace

Result<http::Url> traces_url(std::string endpoint) {
    while (endpoint.ends_with('/')) {
        endpoint.pop_back();
    }
    return http::parse_url(endpoint + "/v1/traces");
}

Result<http::Headers> parse_export_headers(std::string_view text) {
    http::Headers out;
    while (!text.empty()) {
        const auto comma = std::min(text.find(','), text.size());
        const auto entry = http::trim(text.substr(0, comma));
        text.remove_prefix(std::min(comma + 1, text.size()));
        if (entry.empty()) {
            continue;
        }
        const auto mark = entry.find('=');
        const auto name = http::trim(entry.substr(0, mark));
        auto value = mark == std::string_view::npos ? std::nullopt
                                                    : percent_decoded(http::trim(entry.substr(mark + 1)));
        if (!value || name.empty() || out.fields().size() >= kHeadersMax) {
            // Not quoted: it is a secret, usually.
            return fail(Errc::kInvalidArgument, "the OTLP headers are not a list of name=value", "headers");
        }
        out.add(http::to_lower(name), std::move(*value));
    }
    FG_CHECK(http::check_headers(out));
    return out;
}

OtlpExporter::OtlpExporter(http::Client& client, Clock& clock, Logger log, ExporterSettings settings)
    : client_(client), clock_(clock), log_(std::move(log)), settings_(std::move(settings)) {}

void OtlpExporter::take(SpanRecord span) {
    if (queue_.size() >= settings_.queue_max) {
        ++stats_.dropped;
        return;
    }
    queue_.push_back(std::move(span));
    if (queue_.size() >= settings_.batch_max) {
        full_.notify_all();
    }
}

// One batch: sent, or dropped after some attempts. It stays in the queue meanwhile, so that flush() finds
// what a cancelled serve() did not finish.
Task<Result<void>> OtlpExporter::send_batch(Deadline deadline) {
    const auto size = static_cast<std::ptrdiff_t>(std::min(queue_.size(), settings_.batch_max));
    const std::vector<SpanRecord> batch(queue_.begin(), queue_.begin() + size);
    const Blob body(to_bytes(write_otlp_json(settings_.resource, batch)));
    auto sent = co_await send(body, deadline);
    (sent ? stats_.sent : stats_.dropped) += batch.size();
    queue_.erase(queue_.begin(), queue_.begin() + size);
    co_return sent;
}

Task<Result<void>> OtlpExporter::send(Blob body, Deadline deadline) {
    Duration pause = kRetryFirst;
    for (int attempt = 1;; ++attempt) {
        http::Request request;
        request.method = "POST";
        request.url = settings_.url;
        request.headers = settings_.headers;
        request.headers.set("content-type", "application/json");
        request.body = body;
        const auto soon = deadline.at_most(clock_, settings_.send_time_max);
        const auto answer = co_await client_.fetch(std::move(request), kAnswerBytesMax, soon);
        if (answer && answer->status / 100 == 2) {
            co_return Result<void>{};
        }
        if (!may_retry(answer) || attempt >= settings_.attempts_max || deadline.passed(clock_)) {
            co_return fail(
                answer ? make_error(Errc::kUnavailable, "HTTP " + std::to_string(answer->status))
                       : answer.error()
            );
        }
        co_await sleep_for(clock_, pause);
        pause *= 2;
    }
}

Task<void> OtlpExporter::serve() {
    for (;;) {
        if (queue_.size() < settings_.batch_max) {
            (void)co_await full_.wait_until(clock_, clock_.now() + settings_.period);
        }
        if (queue_.empty()) {
            continue;
        }
        const auto sent = co_await send_batch({TimePoint::max()});
        if (!sent && !failing_) {
            log_.warn(
                "telemetry.spans_not_sent",
                {{"collector", settings_.url.origin()}, {"error", sent.error().message}}
            );
        }
        failing_ = !sent;
    }
}

Task<void> OtlpExporter::flush(Deadline deadline) {
    while (!queue_.empty() && !deadline.passed(clock_)) {
        (void)co_await send_batch(deadline);
    }
}

ExporterStats OtlpExporter::stats() const {
    ExporterStats out = stats_;
    out.queued = queue_.size();
    return out;
}

void dump(MetricsWriter& out, const ExporterStats& stats) {
    out.counter("framegrid_telemetry_spans_total", stats.sent, {{"result", "sent"}});
    out.counter("framegrid_telemetry_spans_total", stats.dropped, {{"result", "dropped"}});
    out.gauge("framegrid_telemetry_spans_queued", static_cast<double>(stats.queued));
}

}  // namespace framegrid::telemetry
