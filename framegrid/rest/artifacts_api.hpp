// /v1/artifacts: stored files over HTTP, streamed both ways.
#pragma once

#include <optional>

#include <framegrid/api/artifact_index.hpp>
#include <framegrid/api/objects.hpp>
#include <framegrid/api/stored_files.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/rest/object_sweep.hpp>
#include <framegrid/rest/router.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::rest {

struct ArtifactsSettings {
    std::uint64_t file_bytes_max = std::uint64_t{16} << 30;
    std::uint64_t owner_bytes_max = std::uint64_t{256} << 30;  // of all files that an owner keeps
    Duration upload_time_max = std::chrono::hours(1);
    Duration life = std::chrono::hours(24 * 7);
    Duration store_time_max = std::chrono::minutes(2);  // for each access to the store
    Duration signed_url_life_max = std::chrono::hours(24 * 7);
    std::string public_url;               // as RestSettings
    api::ObjectUpkeep* upkeep = nullptr;  // outlives it; null: bytes stay when their last record goes
    ObjectSweepSettings sweep{};
};

// Lives as long as the Rest.
class ArtifactsApi {
  public:
    ArtifactsApi(
        api::Objects& objects, api::ArtifactIndex& index, Clock& clock, Random& random, Logger log,
        ArtifactsSettings settings, Bytes url_secret
    );
    void add_routes(Router& router);
    // Removes some of what has expired.
    Task<void> sweep();

    // For other forms of the same API. kNotFound: there is no such file, or it is somebody else's.
    Task<Result<job::ArtifactRecord>> find(Call& call, std::string id);
    // kTooLarge: the caller may store no more, or not `more` bytes.
    Task<Result<void>> check_quota(std::string owner, std::uint64_t more = 0);
    // The bytes, or the part that the request's Range asks for; an error is answered.
    Task<Answer> send_content(Call& call, Result<job::ArtifactRecord> record);
    Task<Result<void>> remove(job::ArtifactRecord record);

  private:
    Task<Answer> upload(Call& call);
    Task<Answer> list(Call& call);
    Task<Answer> show(Call& call);
    Task<Answer> content(Call& call);
    Task<Answer> inside(Call& call);
    Task<Answer> sign(Call& call);
    Task<Answer> erase(Call& call);

    Task<Result<job::ArtifactRecord>> receive(Call& call);
    Task<Result<job::ArtifactRecord>> find_inside(Call& call);
    Task<Result<void>> send(
        Call& call, job::ArtifactRecord record, std::uint64_t offset, std::uint64_t bytes
    );
    std::string described(const Call& call, const job::ArtifactRecord& record) const;
    Result<Duration> read_url_life(std::string_view body) const;

    api::Objects& objects_;
    api::ArtifactIndex& index_;
    Clock& clock_;
    Logger log_;
    const ArtifactsSettings settings_;
    api::StoredFiles files_;
    const Bytes url_secret_;
    std::optional<ObjectSweep> objects_sweep_;
};

}  // namespace framegrid::rest
