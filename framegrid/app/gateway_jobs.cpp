#include <framegrid/app/gateway_jobs.hpp>

#include <sys/file.h>

#include <fcntl.h>

#include <cerrno>

#include <framegrid/app/keys.hpp>
#include <framegrid/app/stores.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/gateway/ai_request.hpp>
#include <framegrid/rest/outgoing.hpp>

namespace framegrid::app {

namespace {

constexpr unsigned kOwnerOnly = 0600;
constexpr std::size_t kSecretBytes = 24;
constexpr std::size_t kUrlSecretBytes = 32;
constexpr Duration kFilesCheckTimeMax = std::chrono::seconds(5);
constexpr std::size_t kNameBytes = 8;
constexpr std::size_t kIdFileBytesMax = 64;
constexpr std::string_view kSecretPrefix = "whsec_";

// One process at a time: two desks would take each other's jobs for left ones.
Result<host::UniqueFd> lock_directory(const host::Path& directory) {
    const auto file = directory / "lock";
    host::UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kOwnerOnly));
    if (!fd) {
        return fail(host::system_error("cannot open " + file.string(), errno));
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail(
            Errc::kCapacity,
            "another gateway uses " + directory.string() +
                ": give this one a directory of its own with --data",
            "data"
        );
    }
    return fd;
}

// What the jobs that run here are held under, also after a restart. Made on the first start: gateways with
// one store must not take each other's jobs for their own.
Result<std::string> gateway_name(const host::Path& directory, Random& random) {
    const auto file = directory / "gateway.id";
    if (!std::filesystem::exists(file)) {
        const auto fresh = "gateway-" + random.hex(kNameBytes) + "\n";
        FG_CHECK(host::write_file_atomic(file, as_bytes(fresh), host::Durability::kSynced, kOwnerOnly));
    }
    FG_TRY(content, host::read_file(file, kIdFileBytesMax));
    std::string name(as_text(content));
    name.resize(std::min(name.find_first_of("\r\n"), name.size()));
    if (name.empty()) {
        return fail(Errc::kIo, file.string() + " is empty: delete it, and a new one is made");
    }
    return name;
}

// The secret as Standard Webhooks write it: "whsec_" and base64. Made on the first start.
Result<Bytes> webhook_secret(const host::Path& directory, const std::string& chosen, Random& random) {
    const auto file = chosen.empty() ? directory / "webhook.secret" : host::Path(chosen);
    if (chosen.empty() && !std::filesystem::exists(file)) {
        Bytes fresh(kSecretBytes);
        random.fill(fresh);
        const auto text = std::string(kSecretPrefix) + crypto::base64(fresh) + "\n";
        FG_CHECK(host::write_file_atomic(file, as_bytes(text), host::Durability::kSynced, kOwnerOnly));
    }
    FG_TRY(text, read_secret_file(file.string()));
    if (!text.starts_with(kSecretPrefix)) {
        return fail(
            Errc::kInvalidArgument, file.string() + " does not hold a webhook secret (whsec_ and base64)",
            "webhook-secret-file"
        );
    }
    return crypto::parse_base64(text.substr(kSecretPrefix.size()));
}

// Signs URLs of files. Made on the first start; gateways with one database find the same one there.
Result<Bytes> url_secret(const host::Path& directory, const JobOptions& options, Random& random) {
    const auto hash_of = [](std::string_view text) {
        const auto hash = crypto::sha256(as_bytes(text));
        return Bytes(hash.begin(), hash.end());
    };
    if (!options.url_secret_file.empty()) {
        FG_TRY(chosen, read_secret_file(options.url_secret_file));
        return hash_of(chosen);
    }
    Bytes fresh(kUrlSecretBytes);
    random.fill(fresh);
    if (is_shared(options.store)) {
        return shared_secret(options.store, "artifact-urls", fresh);
    }
    const auto file = directory / "url.secret";
    if (!std::filesystem::exists(file)) {
        const auto text = crypto::hex(fresh) + "\n";
        FG_CHECK(host::write_file_atomic(file, as_bytes(text), host::Durability::kSynced, kOwnerOnly));
    }
    FG_TRY(kept, read_secret_file(file.string()));
    return hash_of(kept);
}

gateway::DeskSettings desk_settings(const JobOptions& options, std::string public_url, std::string name) {
    gateway::DeskSettings out;
    out.holder = std::move(name);
    out.shared_store = is_shared(options.store);
    out.lease = std::chrono::seconds(options.lease_seconds);
    out.public_url = std::move(public_url);
    out.running_max = static_cast<std::size_t>(options.running_max);
    out.running_of_owner_max = out.running_max;
    out.queued_max = static_cast<std::size_t>(options.queued_max);
    out.queued_of_owner_max = out.queued_max;
    out.retention = std::chrono::hours(options.retention_hours);
    return out;
}

gateway::WorkSettings work_settings(const JobOptions& options) {
    gateway::WorkSettings out;
    out.default_models = options.default_models;
    out.artifact_life = std::chrono::hours(options.retention_hours);
    return out;
}

// The same for all gateways with one database, another one for each database.
Result<std::string> files_owner(const JobOptions& options, const std::string& name, Random& random) {
    constexpr std::size_t kBytes = 16;
    if (!is_shared(options.store)) {
        return name;
    }
    Bytes fresh(kBytes);
    random.fill(fresh);
    FG_TRY(shared, shared_secret(options.store, "files-owner", fresh));
    return crypto::hex(shared);
}

rest::ObjectSweepSettings sweep_settings(const JobOptions& options, std::string owner) {
    rest::ObjectSweepSettings out;
    out.owner = std::move(owner);
    out.orphan_life = std::chrono::seconds(options.orphan_seconds);
    constexpr int kLives = 6;
    out.round_pause = std::min<Duration>(out.round_pause, out.orphan_life * kLives);
    out.page_pause = std::min<Duration>(out.page_pause, out.orphan_life);
    return out;
}

struct Opened {
    host::UniqueFd lock;
    std::string name;
    std::unique_ptr<Stores> stores;
    std::unique_ptr<FileStore> files;
    std::unique_ptr<api::Uploads> uploads;
    Bytes secret;
    Bytes url_secret;
    std::string files_owner;
};

Result<Opened> open_all(Session& session, const JobOptions& options) {
    const auto directory = data_directory(options.data);
    FG_CHECK(host::make_dirs(directory, 0700));
    FG_TRY(lock, lock_directory(directory));
    FG_TRY(name, gateway_name(directory, session.random));
    FG_TRY(stores, Stores::open(options.store, directory, session.clock));
    FG_TRY(files, FileStore::open(session, options.files, directory, name));
    FG_TRY(uploads, files->open_uploads(directory / "uploads"));
    FG_TRY(secret, webhook_secret(directory, options.webhook_secret_file, session.random));
    FG_TRY(signs_urls, url_secret(directory, options, session.random));
    FG_TRY(owner, files_owner(options, name, session.random));
    return Opened{std::move(lock),    std::move(name),   std::move(stores),     std::move(files),
                  std::move(uploads), std::move(secret), std::move(signs_urls), std::move(owner)};
}

// Each job to the runner of its kind.
class AnyWork final : public gateway::JobRunner {
  public:
    AnyWork(gateway::JobRunner& single, gateway::JobRunner& workflows)
        : single_(single), workflows_(workflows) {}
    Task<Result<std::string>> run(job::Record record, gateway::JobTeller tell, Deadline deadline) override {
        const bool steps = record.kind == job::kWorkflow || record.kind == job::kTranscode;
        return (steps ? workflows_ : single_).run(std::move(record), std::move(tell), deadline);
    }

  private:
    gateway::JobRunner& single_;
    gateway::JobRunner& workflows_;
};

class DurableJobs final : public GatewayJobs {
  public:
    DurableJobs(
        Session& session, JobPeers peers, const JobOptions& options, std::string public_url, Opened opened
    )
        : clock_(session.clock),
          log_(session.log),
          opened_(std::move(opened)),
          client_(
              session.loop.executor(), session.clock, rest::stranger_client_settings(options.fetch_anywhere),
              session.log
          ),
          fetcher_(client_, session.clock),
          sender_(client_, session.clock, opened_.secret),
          work_settings_(work_settings(options)),
          sweep_settings_(sweep_settings(options, opened_.files_owner)),
          work_(gateway::make_job_work(work_ports(session, peers), work_settings_)),
          workflows_(
              gateway::make_workflow_work(session.loop.executor(), work_ports(session, peers), work_settings_)
          ),
          any_work_(*work_, *workflows_),
          desk_(gateway::make_job_desk(
              {session.loop.executor(), session.clock, session.random, session.log, opened_.stores->jobs(),
               any_work_, sender_,
               [this](const std::string& owner) {
                   return limits_of_ ? limits_of_(owner) : gateway::OwnerLimits{};
               },
               session.tracer},
              desk_settings(options, std::move(public_url), opened_.name)
          )) {}

    rest::JobPorts ports() override {
        auto& stores = *opened_.stores;
        return {*desk_,
                stores.jobs(),
                opened_.files->objects(),
                stores.artifacts(),
                *work_,
                *workflows_,
                work_settings_,
                opened_.uploads.get(),
                opened_.url_secret,
                &opened_.files->upkeep(),
                sweep_settings_};
    }
    api::KeyStore& keys() override { return opened_.stores->keys(); }
    void limit_owners(std::function<gateway::OwnerLimits(const std::string& owner)> limits_of) override {
        limits_of_ = std::move(limits_of);
    }
    Task<Result<bool>> serve() override {
        // Not fatal: it may come back, and jobs without files do not need it.
        const auto usable = co_await opened_.files->check(Deadline::after(clock_, kFilesCheckTimeMax));
        if (!usable) {
            log_.error("gateway.files_unusable", {{"error", usable.error().message}});
        }
        std::vector<Task<Result<bool>>> services;
        services.push_back(desk_->serve());
        services.push_back(workflows_->serve());
        auto results = co_await all_of(std::move(services));
        co_return std::move(results.front());
    }
    Task<void> drain(TimePoint until) override { return desk_->drain(until); }
    Task<void> stop() override {
        co_await client_.stop();
        co_await opened_.files->stop();
    }
    void dump(MetricsWriter& out) const override {
        gateway::dump(out, desk_->stats());
        gateway::dump(out, verified_);
        opened_.stores->dump(out);
    }

  private:
    gateway::WorkPorts work_ports(Session& session, JobPeers peers) {
        auto& stores = *opened_.stores;
        return {session.clock,      session.random,   session.log, peers.gateway, opened_.files->objects(),
                stores.artifacts(), stores.results(), fetcher_,    peers.probe,   peers.operations,
                session.pool,       verified_};
    }

    Clock& clock_;
    Logger log_;
    Opened opened_;
    http::Client client_;
    std::function<gateway::OwnerLimits(const std::string& owner)> limits_of_;
    rest::HttpFetcher fetcher_;
    rest::WebhookSender sender_;
    gateway::WorkSettings work_settings_;
    rest::ObjectSweepSettings sweep_settings_;
    gateway::VerificationStats verified_;
    std::unique_ptr<gateway::JobWork> work_;
    std::unique_ptr<gateway::WorkflowWork> workflows_;
    AnyWork any_work_;
    std::unique_ptr<gateway::JobDesk> desk_;
};

}  // namespace

host::Path data_directory(const std::string& data) {
    return data.empty() ? host::data_dir() / "gateway" : host::expand_home(data);
}

host::Path job_database(const host::Path& directory) {
    return directory / "jobs.sqlite";
}

CLI::Option* add_default_model_option(CLI::App& command, std::vector<std::string>& into) {
    return command
        .add_option(
            "--default-model", into,
            "PIPELINE=MODEL for requests and jobs that name no model; may be repeated"
        )
        ->delimiter(',')
        ->check([](const std::string& text) {
            const auto read = gateway::read_default_models({text});
            return read ? std::string() : read.error().message;
        });
}

void add_job_options(CLI::App& command, JobOptions& options) {
    command
        .add_option(
            "--data", options.data, "directory of jobs and files; default: $XDG_DATA_HOME/framegrid/gateway"
        )
        ->envname("FRAMEGRID_DATA");
    add_store_option(command, options.store);
    add_file_options(command, options.files);
    command
        .add_option(
            "--lease-seconds", options.lease_seconds,
            "a job of a gateway that went away is taken over after so long"
        )
        ->check(CLI::Range(2, 600))
        ->capture_default_str();
    command.add_option("--jobs-running", options.running_max, "durable jobs at once; others queue")
        ->check(CLI::Range(1, 10'000))
        ->capture_default_str();
    command
        .add_option("--jobs-queued", options.queued_max, "durable jobs that wait; more are refused with 429")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    command
        .add_option("--retention-hours", options.retention_hours, "finished jobs and files are kept so long")
        ->check(CLI::Range(1, 24 * 3650))
        ->capture_default_str();
    command
        .add_option(
            "--orphan-seconds", options.orphan_seconds,
            "stored bytes that no file's record names are set aside after so long, and removed after as long "
            "again"
        )
        ->check(CLI::Range(2, 7 * 24 * 3600))
        ->capture_default_str();
    command.add_option(
        "--webhook-secret-file", options.webhook_secret_file,
        "signs messages to webhooks (whsec_...); default: made in the data directory"
    );
    command.add_option(
        "--url-secret-file", options.url_secret_file,
        "its first line signs URLs of files; default: made in the data directory, or in the shared database"
    );
    command.add_flag(
        "--fetch-anywhere", options.fetch_anywhere,
        "inputs by URL and webhooks may have private addresses (for networks that you trust)"
    );
}

Result<std::unique_ptr<GatewayJobs>> GatewayJobs::open(
    Session& session, JobPeers peers, const JobOptions& options, std::string public_url
) {
    FG_TRY(opened, open_all(session, options));
    return std::make_unique<DurableJobs>(session, peers, options, std::move(public_url), std::move(opened));
}

}  // namespace framegrid::app
