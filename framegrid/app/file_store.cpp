#include <framegrid/app/file_store.hpp>

#include <cstdlib>

#include <framegrid/objects_fs/fs_objects.hpp>
#include <framegrid/objects_fs/fs_uploads.hpp>
#include <framegrid/objects_s3/s3_objects.hpp>

namespace framegrid::app {

namespace {

class Directory final : public FileStore {
  public:
    Directory(Session& session, std::unique_ptr<objects_fs::FsObjects> objects)
        : session_(session), objects_(std::move(objects)) {}
    api::Objects& objects() override { return *objects_; }
    api::ObjectUpkeep& upkeep() override { return *objects_; }
    Result<std::unique_ptr<api::Uploads>> open_uploads(const host::Path& directory) override {
        return objects_fs::FsUploads::open(
            directory, *objects_, objects_.get(), session_.pool, session_.clock
        );
    }
    Task<Result<void>> check(Deadline /*deadline*/) override { co_return Result<void>{}; }
    Task<void> stop() override { co_return; }

  private:
    Session& session_;
    std::unique_ptr<objects_fs::FsObjects> objects_;
};

http::ClientSettings s3_client_settings() {
    http::ClientSettings out;
    out.verify_certificates = true;
    out.connections_per_origin_max = 32;
    return out;
}

class Bucket final : public FileStore {
  public:
    Bucket(Session& session, objects_s3::S3Settings settings)
        : session_(session),
          client_(session.loop.executor(), session.clock, s3_client_settings(), session.log),
          objects_({client_, session.clock, session.random, session.pool, session.log}, std::move(settings)) {
    }
    api::Objects& objects() override { return objects_; }
    api::ObjectUpkeep& upkeep() override { return objects_; }
    Result<std::unique_ptr<api::Uploads>> open_uploads(const host::Path& directory) override {
        return objects_fs::FsUploads::open(directory, objects_, nullptr, session_.pool, session_.clock);
    }
    Task<Result<void>> check(Deadline deadline) override { return objects_.check(deadline); }
    Task<void> stop() override { return client_.stop(); }

  private:
    Session& session_;
    http::Client client_;
    objects_s3::S3Objects objects_;
};

std::string from_environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

Result<objects_s3::S3Settings> s3_settings(const FileOptions& options) {
    objects_s3::S3Settings out;
    FG_CHECK(objects_s3::set_place(out, options.place));
    out.scope.region = options.region;
    const auto endpoint =
        options.endpoint.empty() ? "https://s3." + options.region + ".amazonaws.com" : options.endpoint;
    FG_TRY(url, http::parse_url(endpoint));
    out.endpoint = std::move(url);
    out.credentials = {
        from_environment("AWS_ACCESS_KEY_ID"), from_environment("AWS_SECRET_ACCESS_KEY"),
        from_environment("AWS_SESSION_TOKEN")
    };
    if (out.credentials.access_key.empty() || out.credentials.secret_key.empty()) {
        return fail(
            Errc::kInvalidArgument,
            "files in S3 need AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment", "files"
        );
    }
    return out;
}

}  // namespace

void add_file_options(CLI::App& command, FileOptions& options) {
    command
        .add_option(
            "--files", options.place,
            "where stored files are: a directory or s3://BUCKET/PREFIX; gateways with one store share it; "
            "default: in the data directory"
        )
        ->envname("FRAMEGRID_FILES");
    command.add_option("--s3-endpoint", options.endpoint, "URL of an S3-compatible store; default: Amazon's")
        ->envname("AWS_ENDPOINT_URL");
    command.add_option("--s3-region", options.region, "of the bucket")
        ->envname("AWS_REGION")
        ->capture_default_str();
}

Result<std::unique_ptr<FileStore>> FileStore::open(
    Session& session, const FileOptions& options, const host::Path& data, const std::string& name
) {
    if (options.place.starts_with("s3://")) {
        FG_TRY(settings, s3_settings(options));
        return std::make_unique<Bucket>(session, std::move(settings));
    }
    const bool own = options.place.empty();
    FG_TRY(
        objects, objects_fs::FsObjects::open(
                     own ? data / "objects" : host::expand_home(options.place), session.pool, session.random,
                     own ? "new" : "new-" + name
                 )
    );
    return std::make_unique<Directory>(session, std::move(objects));
}

}  // namespace framegrid::app
