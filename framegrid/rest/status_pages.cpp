#include <framegrid/rest/status_pages.hpp>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>
#include <framegrid/job/pipelines.hpp>

namespace framegrid::rest {

namespace json = boost::json;

void dump(MetricsWriter& out, const RestStats& stats) {
    out.counter("framegrid_rest_requests_total", stats.answered, {{"result", "answered"}});
    out.counter("framegrid_rest_requests_total", stats.client_errors, {{"result", "client_error"}});
    out.counter("framegrid_rest_requests_total", stats.server_errors, {{"result", "server_error"}});
    out.counter("framegrid_rest_requests_total", stats.aborted, {{"result", "aborted"}});
    out.counter("framegrid_rest_refused_total", stats.refused);
    const auto turned_away = [&out](std::uint64_t count, std::string_view why) {
        out.counter("framegrid_rest_turned_away_total", count, {{"reason", why}});
    };
    turned_away(stats.gate.unauthorized, "unauthorized");
    turned_away(stats.gate.forbidden, "forbidden");
    turned_away(stats.gate.over_rate, "rate");
    turned_away(stats.gate.over_jobs, "concurrent_jobs");
    turned_away(stats.gate.undecided, "undecided");
    out.counter("framegrid_rest_received_bytes_total", stats.bytes_in);
    out.counter("framegrid_rest_sent_bytes_total", stats.bytes_out);
    out.counter("framegrid_rest_segments_total", stats.ingest.segments);
    out.counter("framegrid_rest_segments_bypassed_total", stats.ingest.bypassed);
    out.gauge("framegrid_rest_jobs_in_flight", static_cast<double>(stats.jobs_in_flight));
    out.gauge("framegrid_rest_memory_bytes", static_cast<double>(stats.memory_bytes));
    out.gauge("framegrid_rest_memory_limit_bytes", static_cast<double>(stats.memory_bytes_max));
    out.gauge("framegrid_rest_streams", static_cast<double>(stats.streams));
    out.gauge("framegrid_rest_playlist_bytes", static_cast<double>(stats.hls_bytes));
    out.gauge("framegrid_rest_results", static_cast<double>(stats.results));
    out.gauge("framegrid_rest_results_bytes", static_cast<double>(stats.results_bytes));
    stats.requests.dump(out, "framegrid_rest_request_seconds", "route", "status");
}

std::string status_json(
    const std::string& version, Duration uptime, const std::vector<market::PoolEntryView>& pool,
    const gateway::Stats& jobs, const RestStats& rest, std::size_t orchestrators_max
) {
    json::array orchestrators;
    for (const auto& entry : pool) {
        if (orchestrators.size() >= orchestrators_max) {
            break;
        }
        json::object one;
        one["uri"] = valid_utf8(entry.uri);
        one["known"] = entry.known;
        one["suspended"] = entry.suspended;
        one["in_flight"] = std::int64_t{entry.in_flight};
        one["capacity"] = std::int64_t{entry.capacity};
        one["latency_score"] = entry.latency_score;
        one["failures"] = std::int64_t{entry.failures};
        orchestrators.push_back(std::move(one));
    }
    json::object counts;
    counts["done"] = jobs.jobs_done;
    counts["failed"] = jobs.jobs_failed;
    counts["refused"] = jobs.jobs_refused;
    counts["retries"] = jobs.retries;
    counts["results_rejected"] = jobs.results_rejected;
    counts["in_flight"] = jobs.in_flight;
    json::object requests;
    requests["answered"] = rest.answered;
    requests["client_errors"] = rest.client_errors;
    requests["server_errors"] = rest.server_errors;
    requests["refused"] = rest.refused;
    requests["aborted"] = rest.aborted;
    requests["memory_bytes"] = rest.memory_bytes;
    json::object out;
    out["role"] = "gateway";
    out["version"] = version;
    out["uptime_s"] = std::chrono::duration_cast<std::chrono::seconds>(uptime).count();
    out["orchestrators_known"] = pool.size();
    out["orchestrators"] = std::move(orchestrators);
    out["jobs"] = std::move(counts);
    out["requests"] = std::move(requests);
    out["streams"] = rest.streams;
    return json::serialize(out);
}

// One line for each pipeline: its path, what it does, and what it takes.
std::string pipeline_lines() {
    std::string out;
    for (const auto& spec : job::pipelines()) {
        std::string takes;
        for (const auto& file : spec.files) {
            takes += (takes.empty() ? "" : "|") + std::string(file.name);
        }
        for (const auto& parameter : spec.parameters) {
            if (parameter.required) {
                takes += (takes.empty() ? "" : ", ") + std::string(parameter.name);
            }
        }
        out += fmt::format("  /{:<35} {} ({})\n", spec.name, spec.title, takes);
    }
    return out;
}

std::string help_text(const std::string& version) {
    return "Framegrid gateway " + version +
           "\n\n"
           "PUT|POST /live/{stream}/{n}.ts|.mp4   transcode a segment; Accept: multipart/mixed returns the "
           "renditions\n"
           "                                      Content-Duration: ms, Livepeer-Transcode-Configuration: "
           "JSON\n"
           "GET  /stream/{stream}.m3u8            play a stream that is being pushed\n"
           "POST /{pipeline}                      JSON, or multipart with a file; returns "
           "{\"images\":[{\"url\",\"seed\"}]}\n" +
           pipeline_lines() +
           "POST /echo                            the body, through gateway and orchestrator and back\n"
           "GET  /status  /metrics  /healthz\n\n"
           "  curl -F image=@in.png -H 'Accept: image/png' -o out.png http://THIS/upscale\n"
           "  curl -H 'Accept: image/png' -o out.png --json '{\"prompt\":\"a red circle on the left over "
           "blue\"}' "
           "http://THIS/text-to-image\n";
}

}  // namespace framegrid::rest
