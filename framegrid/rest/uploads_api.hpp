// /v1/uploads: uploads that can be resumed (tus 1.0), each of which becomes an artifact.
#pragma once

#include <map>
#include <set>

#include <framegrid/api/stored_files.hpp>
#include <framegrid/api/uploads.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/rest/artifacts_api.hpp>
#include <framegrid/rest/router.hpp>
#include <framegrid/rest/tus_headers.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::rest {

struct UploadsSettings {
    std::uint64_t file_bytes_max = std::uint64_t{16} << 30;
    std::uint64_t owner_bytes_max = std::uint64_t{256} << 30;  // with the files that the owner keeps
    std::size_t uploads_of_owner_max = 1'000;                  // begun and not complete
    std::size_t checked_bytes_max = 16u << 20;                 // of a body with a checksum: kept in memory
    Duration request_time_max = std::chrono::hours(1);
    Duration idle_max = std::chrono::hours(24);  // then an upload is removed, complete or not
    std::string public_url;                      // as RestSettings
};

struct UploadsPorts {
    api::Uploads& uploads;
    api::Objects& objects;
    ArtifactsApi& artifacts;
    api::StoredFiles files;
    Clock& clock;
    Random& random;
    WorkPool& pool;
    Logger log;
};

// Lives as long as the Rest.
class UploadsApi {
  public:
    UploadsApi(UploadsPorts ports, UploadsSettings settings)
        : ports_(std::move(ports)), settings_(std::move(settings)) {}
    void add_routes(Router& router);
    // Removes some of what has expired.
    Task<void> sweep();

  private:
    class Turn;
    class Completing;
    Task<Answer> options(Call& call);
    Task<Answer> create(Call& call);
    Task<Answer> show(Call& call);
    Task<Answer> resume(Call& call);
    Task<Answer> erase(Call& call);

    Result<api::UploadRecord> find(const Call& call) const;
    Task<Result<api::UploadRecord>> begin(Call& call);
    Task<Result<api::UploadRecord>> receive(Call& call, std::string id);
    Task<Result<void>> receive_pieces(Call& call, std::string id);
    Task<Result<void>> receive_checked(Call& call, std::string id, TusChecksum checksum);
    Task<Result<api::UploadRecord>> complete(std::string id);
    Task<Answer> answer(Call& call, Result<api::UploadRecord> record, int status);
    Answer refusal(const Call& call, const Error& error, int status = 0) const;
    void describe(http::Headers& headers, const api::UploadRecord& record) const;
    std::string described(const api::UploadRecord& record) const;

    UploadsPorts ports_;
    const UploadsSettings settings_;
    // The request that continues each upload. A later one takes over: the earlier one's client is gone,
    // though its connection may not know yet.
    std::map<std::string, std::uint64_t> turns_;
    std::uint64_t turn_count_ = 0;
    std::set<std::string> completing_;  // those that become artifacts right now
};

}  // namespace framegrid::rest
