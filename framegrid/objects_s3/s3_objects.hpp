// Stored files in an S3-compatible store.
#pragma once

#include <memory>
#include <string>

#include <framegrid/api/object_upkeep.hpp>
#include <framegrid/api/objects.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/http/client.hpp>
#include <framegrid/objects_s3/sigv4.hpp>
#include <framegrid/runtime/offload.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::objects_s3 {

struct S3Settings {
    http::Url endpoint{};  // its path is not used; the bucket stands in the path of requests
    SigningScope scope{};
    std::string bucket{};
    std::string prefix{};  // of all keys: empty, or ends with a slash
    Credentials credentials{};
    std::uint64_t part_bytes = 8 << 20;               // of an upload in parts; S3 wants at least 5 MiB
    std::uint64_t copy_bytes_max = 5ULL << 30;        // of one copy inside the store; larger ones go in parts
    int tries_max = 4;                                // of one request
    Duration pause = std::chrono::milliseconds(200);  // before the second try; doubles
};

// "s3://bucket/prefix" -> bucket and prefix of `settings`. kInvalidArgument.
Result<void> set_place(S3Settings& settings, std::string_view url);

// What objects are made of; the references outlive them and their writers.
struct S3Ports {
    http::Client& client;
    Clock& clock;
    Random& random;
    WorkPool& pool;  // hashes
    Logger log;
};

// Keys are PREFIX + digest; what is being written is at PREFIX + "new/" + a random name, and copied inside
// the store when its digest is known; what was set aside is at PREFIX + "aside/" + digest, and who has
// records at PREFIX + "owners/". A writer holds one part in memory.
class S3Objects final : public api::Objects, public api::ObjectUpkeep {
  public:
    S3Objects(S3Ports ports, S3Settings settings);
    ~S3Objects() override;

    // Whether the bucket can be used: kNotFound, kForbidden, kUnavailable with what to do.
    Task<Result<void>> check(Deadline deadline);

    Task<Result<std::unique_ptr<api::ObjectWriter>>> create(Deadline deadline) override;
    Task<Result<api::ObjectInfo>> stat(std::string digest, Deadline deadline) override;
    Task<Result<Blob>> read(std::string digest, std::uint64_t offset, std::uint64_t bytes, Deadline deadline)
        override;
    Task<Result<bool>> claim(std::string owner, Deadline deadline) override;
    // The first page also removes what killed gateways left while they wrote, after a day.
    Task<Result<api::ObjectPage>> stored_before(
        std::int64_t unix_ms, std::string from, std::size_t limit, Deadline deadline
    ) override;
    Task<Result<void>> set_aside(std::string digest, Deadline deadline) override;
    Task<Result<std::vector<std::string>>> aside_before(
        std::int64_t unix_ms, std::size_t limit, Deadline deadline
    ) override;
    Task<Result<void>> put_back(std::string digest, Deadline deadline) override;
    Task<Result<void>> drop(std::string digest, Deadline deadline) override;

  private:
    class Store;
    class Writer;
    Task<Result<void>> move(std::string from, std::string to, Deadline deadline);
    Task<void> remove_unfinished(Deadline deadline);
    std::shared_ptr<Store> store_;
};

}  // namespace framegrid::objects_s3
