// What a gateway's durable jobs are made of: stores, the desk and the calls it makes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <framegrid/api/key_store.hpp>
#include <framegrid/app/file_store.hpp>
#include <framegrid/app/session.hpp>
#include <framegrid/gateway/gateway.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/rest/jobs_api.hpp>

namespace framegrid::app {

struct JobOptions {
    std::string data;              // directory; empty: host::data_dir()/gateway
    std::string store = "sqlite";  // as Stores::open() takes it
    FileOptions files;
    int lease_seconds = 30;
    bool fetch_anywhere = false;  // inputs and webhooks may have private addresses
    std::string webhook_secret_file;
    std::string url_secret_file;
    int running_max = 256;
    int queued_max = 20'000;
    int retention_hours = 24 * 7;
    int orphan_seconds = 600;
    std::map<std::string, std::string> default_models{};  // the gateway's, pipeline -> model
};
void add_job_options(CLI::App& command, JobOptions& options);
// PIPELINE=MODEL, checked.
CLI::Option* add_default_model_option(CLI::App& command, std::vector<std::string>& into);

// What it works with; the references outlive it.
struct JobPeers {
    gateway::Gateway& gateway;
    api::MediaProbe& probe;
    api::MediaOperations& operations;
};

// Where a gateway keeps its jobs and keys: `data`, or the usual place when that is empty.
host::Path data_directory(const std::string& data);
host::Path job_database(const host::Path& directory);

// The session outlives it.
class GatewayJobs {
  public:
    // Opens or makes everything below the data directory. Blocking. kIo, kForbidden; kCapacity: another
    // gateway uses the directory.
    static Result<std::unique_ptr<GatewayJobs>> open(
        Session& session, JobPeers peers, const JobOptions& options, std::string public_url
    );
    virtual ~GatewayJobs() = default;
    virtual rest::JobPorts ports() = 0;
    virtual api::KeyStore& keys() = 0;
    // What owners may have of the desk; once, before serve().
    virtual void limit_owners(std::function<gateway::OwnerLimits(const std::string& owner)> limits_of) = 0;
    // Until cancelled.
    virtual Task<Result<bool>> serve() = 0;
    // See JobDesk::drain().
    virtual Task<void> drain(TimePoint until) = 0;
    virtual Task<void> stop() = 0;
    virtual void dump(MetricsWriter& out) const = 0;
};

}  // namespace framegrid::app
