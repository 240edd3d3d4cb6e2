// Stored files: bytes among the objects, with a record among the artifacts.
#pragma once

#include <framegrid/api/artifact_index.hpp>
#include <framegrid/api/objects.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::api {

// The one place where records of files are made. What the references name outlives it. Errors: those of the
// two ports.
class StoredFiles {
  public:
    // Records expire after `life`; each access to the objects may take `access_time_max`.
    StoredFiles(
        Objects& objects, ArtifactIndex& index, Clock& clock, Random& random, Duration life,
        Duration access_time_max
    )
        : objects_(objects),
          index_(index),
          clock_(clock),
          random_(random),
          life_(life),
          access_time_max_(access_time_max) {}

    // Stores the bytes with a record. `about` has owner, job and name, and may have the content type; else
    // it is recognised. Returns the complete record.
    Task<Result<job::ArtifactRecord>> keep(job::ArtifactRecord about, Blob bytes);
    // A record for an object that was written already. `head`: its first bytes, enough to recognise it by.
    Task<Result<job::ArtifactRecord>> add_record(job::ArtifactRecord about, ObjectInfo object, Blob head);
    Deadline soon() const { return Deadline::after(clock_, access_time_max_); }

  private:
    Objects& objects_;
    ArtifactIndex& index_;
    Clock& clock_;
    Random& random_;
    Duration life_;
    Duration access_time_max_;
};

}  // namespace framegrid::api
