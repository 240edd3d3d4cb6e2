// framegrid doctor: ports, peers, and other services that a role talks to.
#include <framegrid/app/doctor.hpp>

#include <sys/socket.h>

#include <netdb.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/account/jwk.hpp>
#include <framegrid/app/file_store.hpp>
#include <framegrid/app/gateway_jobs.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/app/stores.hpp>
#include <framegrid/app/wallet.hpp>
#include <framegrid/http/date.hpp>
#include <framegrid/rest/sources.hpp>
#include <framegrid/store_postgres/connection.hpp>
#include <framegrid/wire/orchestrator_client.hpp>

namespace framegrid::app {

namespace {

constexpr Duration kAskTimeMax = std::chrono::seconds(3);
constexpr std::int64_t kSkewMaxSeconds = 30;
constexpr std::size_t kSeenBytesMax = 1 << 20;
constexpr std::size_t kPeersMax = 50;

using Settings = http::ServerSettings;

// 0, or why nobody can listen there.
int try_listen(const Settings& settings, std::string& message) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const auto port = std::to_string(settings.port);
    if (const int code = ::getaddrinfo(settings.address.c_str(), port.c_str(), &hints, &found); code != 0) {
        message = ::gai_strerror(code);
        return EADDRNOTAVAIL;
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> held(found, &::freeaddrinfo);
    const host::UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const bool good = ::bind(fd.get(), found->ai_addr, found->ai_addrlen) == 0 && ::listen(fd.get(), 1) == 0;
    const int code = good ? 0 : errno;
    message = good ? "" : std::strerror(code);
    return code;
}

class NetworkCheck {
  public:
    NetworkCheck(Session& session, const RoleOptions& options, Findings& findings)
        : session_(session),
          options_(options),
          findings_(findings),
          peers_(session.loop.executor(), session.clock, peer_settings(), session.log) {}

    Task<Result<bool>> run() {
        std::vector<Task<Result<bool>>> checks;
        checks.push_back(check_port("listen", options_.role()));
        if (options_.is_gateway()) {
            checks.push_back(check_admin());
            checks.push_back(check_webhook_list());
            checks.push_back(check_auth());
            checks.push_back(check_files());
            checks.push_back(check_database());
            checks.push_back(check_signer());
        }
        if (options_.has("orchestrators")) {
            checks.push_back(check_peers(split_list(options_.text("orchestrators"))));
        }
        auto results = co_await all_of(std::move(checks));
        co_await peers_.stop();
        co_await session_.client.stop();
        co_return std::move(results.front());
    }

  private:
    static http::ClientSettings peer_settings() {
        http::ClientSettings out;
        out.cleartext_http2 = true;
        out.connect_time_max = std::chrono::seconds(10);  // the deadline of each question is sooner
        return out;
    }
    Deadline soon() const { return Deadline::after(session_.clock, kAskTimeMax); }

    Task<Result<http::Fetched>> get(std::string url) {
        auto target = http::parse_url(url);
        if (!target) {
            co_return fail(std::move(target.error()));
        }
        http::Request request;
        request.url = *std::move(target);
        request.headers = http::Headers{{"accept", "*/*"}, {"user-agent", "framegrid-doctor"}};
        co_return co_await session_.client.fetch(std::move(request), kSeenBytesMax, soon());
    }

    void compare_clocks(const http::Headers& answer, const std::string& whose) {
        const auto there = http::parse_date(answer.get("date").value_or(""));
        if (!there) {
            return;
        }
        const auto ahead = session_.clock.unix_ms() / 1000 - *there;
        if (std::abs(ahead) > kSkewMaxSeconds) {
            findings_.fault(
                "clock",
                fmt::format(
                    "this machine's clock is {} s {} that of {}", std::abs(ahead),
                    ahead > 0 ? "ahead of" : "behind", whose
                ),
                "set both by NTP: timedatectl set-ntp true"
            );
        }
    }

    // Whether our own program answers in that role.
    Task<bool> is_ours(std::string uri, std::string role) {
        if (role == "orchestrator") {
            wire::WireOrchestrator peer(
                {peers_, session_.clock, session_.pool, session_.random, nullptr}, uri
            );
            const auto pong = co_await peer.ping(Bytes{1}, soon());
            co_return pong.has_value();
        }
        const auto page = co_await get(uri + (role == "admin" ? "/readyz" : "/openapi.json"));
        const bool admin = role == "admin" && page && page->headers.get("x-request-id").has_value();
        co_return admin ||
            (page && page->body.text().find("\"Framegrid gateway\"") != std::string_view::npos);
    }

    Task<Result<bool>> check_port(std::string option, std::string role) {
        const auto text = options_.text(option);
        if (text.empty() || text == "none") {
            co_return true;
        }
        auto settings =
            server_settings({text, options_.flag("tls", !options_.is_gateway()) && role != "admin", "", ""});
        if (!settings) {
            findings_.fault(option, settings.error().message, "write --" + option + " as 0.0.0.0:8935");
            co_return true;
        }
        std::string message;
        const int code = settings->port == 0 ? 0 : try_listen(*settings, message);
        if (code == EADDRINUSE) {
            co_await explain_taken_port(option, *settings, role);
        } else if (code == EACCES) {
            findings_.fault(
                option, "this user may not listen on port " + std::to_string(settings->port),
                "use a port over 1023, or setcap cap_net_bind_service=+ep on the program"
            );
        } else if (code != 0) {
            findings_.fault(
                option, fmt::format("cannot listen on {}: {}", text, message),
                "use an address of this machine (ip address), or 0.0.0.0"
            );
        }
        co_return true;
    }

    Task<void> explain_taken_port(std::string option, Settings settings, std::string role) {
        const auto uri = local_uri(settings, settings.port);
        const bool ours = co_await is_ours(uri, role);
        const bool running = options_.is_gateway() ? data_is_in_use(options_) : ours;
        if (ours && running) {
            co_return;  // the node is running
        }
        const auto port = settings.port;
        findings_.fault(
            option,
            ours ? fmt::format("port {} is that of another framegrid node, with other data", port)
                 : fmt::format("another program listens on port {}", port),
            fmt::format("ss -ltnp 'sport = :{}' shows which; stop it, or choose another --{}", port, option)
        );
    }

    Task<Result<bool>> check_admin() {
        const auto wanted = options_.text("admin-listen");
        if (!wanted.empty() && wanted != "none" && wanted == options_.text("listen")) {
            findings_.fault(
                "admin-listen", "--admin-listen is the same as --listen", "give it a port of its own"
            );
            co_return true;
        }
        co_return co_await check_port("admin-listen", "admin");
    }

    // The fix for a peer that cannot be asked.
    void tell_unreachable(const std::string& check, const std::string& who, const Error& error) {
        if (error.code == Errc::kInvalidArgument) {
            findings_.fault(
                check, fmt::format("'{}' is no address: {}", who, error.message),
                "write it as https://node.example:8935"
            );
        } else if (error.code == Errc::kDeadline) {
            findings_.fault(
                check + "-silent", who + " does not answer in 3 s",
                "look at that node's log, and whether a firewall drops what is sent to it"
            );
        } else if (error.code == Errc::kUnavailable) {
            findings_.fault(
                check + "-unreachable", fmt::format("{}: {}", who, error.message),
                "start it, correct its name and port, or let its port through the firewall"
            );
        } else {
            findings_.fault(
                check + "-wrong", fmt::format("{} answers, but not as it should: {}", who, error.message),
                "check its port, and https:// or http://: another program listens there"
            );
        }
    }

    Task<Result<bool>> check_peer(std::string address) {
        const auto uri = rest::normal_service_uri(address);
        if (!uri) {
            tell_unreachable("peer", address, uri.error());
            co_return true;
        }
        wire::WireOrchestrator peer({peers_, session_.clock, session_.pool, session_.random, nullptr}, *uri);
        const auto pong = co_await peer.ping(Bytes{1}, soon());
        if (!pong && pong.error().code == Errc::kUnavailable) {
            const auto page = co_await get(*uri + "/healthz");
            if (page) {
                auto error = make_error(Errc::kProtocol, "it speaks HTTP and is no orchestrator");
                tell_unreachable("peer", *uri, error);
                co_return true;
            }
        }
        if (!pong) {
            tell_unreachable("peer", *uri, pong.error());
            co_return true;
        }
        auto url = http::parse_url(*uri + "/healthz");
        http::Request request;
        request.url = *std::move(url);
        const auto health = co_await peers_.fetch(std::move(request), kSeenBytesMax, soon());
        if (health) {
            compare_clocks(health->headers, *uri);
        }
        co_return true;
    }

    Task<Result<bool>> check_peers(std::vector<std::string> addresses) {
        if (addresses.empty()) {
            if (options_.text("orchestrator-webhook").empty()) {
                findings_.fault(
                    "peers", "no orchestrators are named", "set --orchestrators or --orchestrator-webhook"
                );
            }
            co_return true;
        }
        addresses.resize(std::min(addresses.size(), kPeersMax));
        std::vector<Task<Result<bool>>> checks;
        for (auto& address : addresses) {
            checks.push_back(check_peer(std::move(address)));
        }
        (void)co_await all_of(std::move(checks));
        co_return true;
    }

    Task<Result<bool>> check_webhook_list() {
        const auto url = options_.text("orchestrator-webhook");
        if (url.empty()) {
            co_return true;
        }
        const auto answer = co_await get(url);
        if (!answer) {
            tell_unreachable("orchestrator-webhook", url, answer.error());
            co_return true;
        }
        compare_clocks(answer->headers, url);
        const auto list = rest::parse_orchestrator_list(answer->body.text());
        if (answer->status != 200 || !list || list->uris.empty()) {
            findings_.fault(
                "orchestrator-webhook",
                fmt::format(
                    "{} answers {}{}", url, answer->status,
                    answer->status != 200 ? ""
                    : !list               ? ", but no JSON list"
                                          : ", but a list of none"
                ),
                "it must answer [{\"address\": \"https://node.example:8935\"}]"
            );
            co_return true;
        }
        co_return co_await check_peers(list->uris);
    }

    Task<Result<bool>> check_signer() {
        const auto url = options_.text("signer");
        const auto target = http::parse_url(url);
        if (url.empty() || !target) {
            if (!url.empty()) {
                tell_unreachable("signer", url, target.error());
            }
            co_return true;
        }
        const auto key = signer_key(options_.text("signer-key-file"));
        if (!key) {
            findings_.fault("signer-key-file", key.error().message, "write the key into its first line");
            co_return true;
        }
        http::Client client(
            session_.loop.executor(), session_.clock, signer_client_settings(*target), session_.log
        );
        const auto signer =
            co_await wire::RemoteSigner::connect({client, session_.clock, session_.pool}, url, *key, soon());
        co_await client.stop();
        if (signer) {
            co_return true;
        }
        if (signer.error().code == Errc::kUnauthorized) {
            findings_.fault(
                "signer-key", "the signer at " + url + " does not know this gateway's key",
                "put its sha256 into the signer's --callers, or the right key into --signer-key-file"
            );
        } else if (signer.error().code == Errc::kUnsupported) {
            findings_.fault("signer", signer.error().message, "start 'framegrid signer' there");
        } else {
            tell_unreachable("signer", url, signer.error());
        }
        co_return true;
    }

    Task<Result<bool>> check_auth() {
        const auto mode = options_.text("auth");
        if (mode == "webhook") {
            co_await check_auth_webhook(options_.text("auth-webhook"));
        } else if (mode == "jwt") {
            co_await check_tokens();
        }
        co_return true;
    }

    Task<void> check_auth_webhook(std::string url) {
        if (url.empty()) {
            findings_.fault("auth-webhook", "--auth webhook needs --auth-webhook", "name the service's URL");
            co_return;
        }
        const auto answer = co_await get(url);
        if (!answer) {
            tell_unreachable("auth-webhook", url, answer.error());
            co_return;
        }
        compare_clocks(answer->headers, url);
        if (answer->status >= 500 || answer->status == 404) {
            findings_.fault(
                "auth-webhook", fmt::format("{} answers {}", url, answer->status),
                "look at that service's log"
            );
        }
    }

    Task<void> check_tokens() {
        for (const auto* option : {"jwt-issuer", "jwt-audience"}) {
            if (options_.text(option).empty()) {
                findings_.fault(
                    option, fmt::format("--auth jwt needs --{}", option), "ask the identity provider for it"
                );
            }
        }
        const auto place = options_.text("jwt-jwks");
        if (!place.empty() && !place.starts_with("http")) {
            const auto text = host::read_file(place, kSeenBytesMax);
            if (!text) {
                findings_.fault("jwt-jwks", text.error().message, "correct --jwt-jwks");
            } else if (const auto keys = account::TokenKeys::parse(as_text(*text)); !keys) {
                findings_.fault(
                    "jwt-jwks", place + ": " + keys.error().message, "store the provider's JWKS there"
                );
            }
            co_return;
        }
        const auto issuer = options_.text("jwt-issuer");
        if (place.empty() && issuer.empty()) {
            co_return;
        }
        const auto url =
            place.empty() ? issuer + (issuer.ends_with('/') ? "" : "/") + ".well-known/openid-configuration"
                          : place;
        const auto answer = co_await get(url);
        if (!answer) {
            tell_unreachable("jwt-keys", url, answer.error());
            co_return;
        }
        compare_clocks(answer->headers, url);
        const bool good =
            answer->status == 200 && (place.empty() || account::TokenKeys::parse(answer->body.text()));
        if (!good) {
            findings_.fault(
                "jwt-keys", url + " does not give the provider's keys", "correct --jwt-issuer or --jwt-jwks"
            );
        }
    }

    Task<Result<bool>> check_files() {
        const auto place = options_.text("files");
        if (!place.starts_with("s3://")) {
            co_return true;
        }
        const auto data = data_directory(options_.text("data"));
        auto files = FileStore::open(
            session_, {place, options_.text("s3-endpoint"), options_.text("s3-region")}, data, "doctor"
        );
        if (!files) {
            findings_.fault(
                "files", files.error().message,
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; --files s3://BUCKET/PREFIX"
            );
            co_return true;
        }
        const auto usable = co_await (*files)->check(soon());
        if (!usable) {
            findings_.fault(
                "files", usable.error().message, "check --files, --s3-endpoint and the credentials"
            );
        }
        co_await (*files)->stop();
        co_return true;
    }

    Task<Result<bool>> check_database() {
        const auto url = options_.text("store");
        if (!is_shared(url)) {
            co_return true;
        }
        auto look = [&url]() -> Result<bool> {
            FG_TRY(connection, store_postgres::Connection::open(url));
            FG_CHECK(connection->script("SELECT 1"));
            return true;
        };
        const auto looked = co_await offload(session_.pool, std::move(look));
        if (!looked) {
            findings_.fault(
                "database", looked.error().message,
                "check --store, ~/.pgpass and pg_hba.conf; is PostgreSQL running?"
            );
        }
        co_return true;
    }

    Session& session_;
    const RoleOptions& options_;
    Findings& findings_;
    http::Client peers_;
};

}  // namespace

Task<Result<bool>> check_network(Session& session, const RoleOptions& options, Findings& findings) {
    NetworkCheck check(session, options, findings);
    co_return co_await check.run();
}

}  // namespace framegrid::app
