// What a job or a workflow may cost at most, asked before anything is bought.
#pragma once

#include <string>
#include <vector>

#include <boost/json.hpp>

#include <framegrid/app/session.hpp>

namespace framegrid::app {

struct QuoteOptions {
    std::string file;                 // a job as JSON, a workflow as YAML or JSON; "-": a job, standard input
    std::vector<std::string> inputs;  // name=value
    std::string gateway;              // empty: one on this machine, or a private network
    std::int64_t timeout_s = 60;
};

// A JSON object from a file of at most 4 MiB, or from standard input ("-"); nullopt: it is something else,
// which `not_a_job()` says.
Result<std::optional<boost::json::object>> read_job_document(const std::string& file);
Error not_a_job();

// Both print what the gateway says: a table, or its JSON.
Task<Result<int>> quote_workflow(Session& session, QuoteOptions options);
// `document`: what `options.file` holds.
Task<Result<int>> quote_job(
    Session& session, QuoteOptions options, boost::json::object document, std::string url
);

}  // namespace framegrid::app
