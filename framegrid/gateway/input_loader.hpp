// The files that a job names: stored ones, those behind a URL, those in the document itself.
#pragma once

#include <string>

#include <framegrid/gateway/job_work.hpp>
#include <framegrid/gateway/object_transfer.hpp>

namespace framegrid::gateway {

// Ports and settings outlive it.
class InputLoader {
  public:
    InputLoader(const WorkPorts& ports, const WorkSettings& settings) : ports_(ports), settings_(settings) {}

    // `text`: one of job::InputKind. Errors name "inputs.<name>". A file of another owner is kNotFound; a URL
    // that cannot be read now is kUnprocessable, since waiting in the queue would not bring it.
    Task<Result<Blob>> load(std::string owner, std::string name, std::string text, Deadline deadline) const;
    // A stored file that is too large for memory and may be (`bytes_max`); nullptr: load() it. The same
    // errors.
    Task<Result<std::shared_ptr<ObjectTransfer>>> transfer(
        std::string owner, std::string name, std::string text, std::uint64_t bytes_max
    ) const;
    // An object by its SHA-256.
    Task<Result<Blob>> object(std::string digest, Deadline deadline) const;

  private:
    Task<Result<job::ArtifactRecord>> find(std::string owner, std::string name, std::string id) const;

    const WorkPorts& ports_;
    const WorkSettings& settings_;
};

}  // namespace framegrid::gateway
