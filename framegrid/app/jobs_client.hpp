// The gateway's durable jobs from a client's side: files up, a job, its events, files down. A gateway that
// restarts is waited for.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include <boost/json/object.hpp>

#include <framegrid/app/session.hpp>
#include <framegrid/host/files.hpp>

namespace framegrid::app {

// On the session's loop; outlives what it runs.
class JobsClient {
  public:
    // $FRAMEGRID_API_KEY, if it is set, goes along.
    JobsClient(Session& session, std::string url);

    // The id of the stored file.
    Task<Result<std::string>> upload(host::Path file, Deadline deadline);
    // A job's input: what the gateway can find by itself as it is, else a local file, uploaded.
    Task<Result<std::string>> input(std::string text, Deadline deadline);
    // What was accepted. `document` has an idempotency key, so that a repeated call is one job.
    Task<Result<boost::json::object>> submit(boost::json::object document, Deadline deadline);
    Task<Result<boost::json::object>> quote(boost::json::object document, Deadline deadline);
    // Until it is over: the job as it is then. `told` hears of its events, each once.
    using Told = std::function<void(const std::string& kind, const boost::json::object& data)>;
    Task<Result<boost::json::object>> follow(std::string id, Told told, Deadline deadline);
    Task<Result<boost::json::object>> get(std::string id, Deadline deadline);
    // `query`: "state=failed&limit=20", or empty.
    Task<Result<boost::json::object>> list(std::string query, Deadline deadline);
    Task<Result<void>> cancel(std::string id, Deadline deadline);
    // A stored file's content, streamed to `to`; its size.
    Task<Result<std::uint64_t>> download(std::string artifact, host::Path to, Deadline deadline);

  private:
    Result<http::Request> request_for(std::string method, const std::string& path) const;
    // Until a gateway that is away or full is back, or once.
    enum class Tries : std::uint8_t { kMany, kOne };
    // `body`: a file that is sent, from its beginning with each try.
    Task<Result<http::Fetched>> fetch(
        http::Request request, Tries tries, Deadline deadline, std::optional<host::Path> body = std::nullopt
    );
    Task<Result<boost::json::object>> call(
        std::string method, std::string path, std::string body, Deadline deadline, Tries tries = Tries::kMany
    );
    Task<Result<bool>> read_events(std::string id, Told& told, std::string& last, Deadline deadline);

    Session& session_;
    std::string url_;
    std::string api_key_;
};

}  // namespace framegrid::app
