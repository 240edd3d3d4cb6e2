// Where a gateway's jobs, records of files, results and keys are kept: a SQLite file of its own, or a
// PostgreSQL database that several gateways share.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include <framegrid/api/artifact_index.hpp>
#include <framegrid/api/job_store.hpp>
#include <framegrid/api/key_store.hpp>
#include <framegrid/api/result_index.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/metrics.hpp>

namespace framegrid::app {

// --store: "sqlite", or the URL of a PostgreSQL database, which may hold a password.
void add_store_option(CLI::App& command, std::string& store);
// Whether other gateways may use the same one.
bool is_shared(const std::string& store);

// A secret that all gateways with one database have in common; `fresh` becomes it when there is none. Only
// for a shared store that has been opened. Blocking. kIo.
Result<Bytes> shared_secret(const std::string& store, const std::string& name, const Bytes& fresh);

class Stores {
  public:
    // Blocking: opens or makes what is missing. A SQLite file lies in `directory`. `clock` outlives it. kIo.
    static Result<std::unique_ptr<Stores>> open(
        const std::string& store, const host::Path& directory, Clock& clock
    );
    virtual ~Stores() = default;
    virtual api::JobStore& jobs() = 0;
    virtual api::ArtifactIndex& artifacts() = 0;
    virtual api::ResultIndex& results() = 0;
    virtual api::KeyStore& keys() = 0;
    virtual void dump(MetricsWriter& out) const = 0;
};

}  // namespace framegrid::app
