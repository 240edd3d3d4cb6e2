// framegrid doctor: keys, secrets, certificates, limits of the machine.
#include <framegrid/app/doctor.hpp>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include <fmt/format.h>

#include <framegrid/app/keys.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/http/certificate_file.hpp>
#include <framegrid/http/date.hpp>
#include <framegrid/rest/cors.hpp>

namespace framegrid::app {

namespace {

constexpr unsigned kOthersMayRead = S_IRWXG | S_IRWXO;
constexpr std::int64_t kSecondsOfDay = 86'400;
constexpr std::int64_t kSoonDays = 14;
constexpr std::int64_t kTooEarly = 1'735'689'600;  // 2025-01-01: no clock that is set says less
constexpr rlim_t kOpenFilesMin = 1'024;

// Whether the file is there; a fault when it is not, or when others may read it.
bool check_private_file(const std::string& file, const std::string& option, Findings& findings) {
    struct stat found{};
    if (::stat(file.c_str(), &found) != 0 || !S_ISREG(found.st_mode)) {
        findings.fault(option, "there is no file " + file, "correct --" + option + ", or make the file");
        return false;
    }
    if (::access(file.c_str(), R_OK) != 0) {
        findings.fault(option, file + " cannot be read by this user", "chown it to the user of the node");
        return false;
    }
    if ((found.st_mode & kOthersMayRead) != 0) {
        findings.fault(option + "-mode", "others may read " + file, "chmod 600 " + file);
    }
    return true;
}

bool check_secret_file(const RoleOptions& options, const std::string& option, Findings& findings) {
    const auto file = options.text(option);
    if (file.empty() || !check_private_file(file, option, findings)) {
        return false;
    }
    if (const auto secret = read_secret_file(file); !secret) {
        findings.fault(option, secret.error().message, "write the secret into its first line");
        return false;
    }
    return true;
}

void check_key(const RoleOptions& options, Findings& findings) {
    const auto file = options.text("key");
    const auto password_file = options.text("key-password-file");
    if (file.empty()) {
        if (!password_file.empty()) {
            findings.fault("key", "--key-password-file is set, but no --key", "name the key file with --key");
        }
        return;
    }
    if (!check_private_file(file, "key", findings)) {
        return;
    }
    if (!password_file.empty() && !check_secret_file(options, "key-password-file", findings)) {
        return;
    }
    const auto key = load_key(file, password_file);
    if (key) {
        return;
    }
    if (key.error().code == Errc::kForbidden) {
        findings.fault(
            "key-password", "the password does not open " + file,
            "put the right one into --key-password-file or $FRAMEGRID_KEY_PASSWORD"
        );
    } else if (key.error().field == "password-file") {
        findings.fault(
            "key-password", "nothing says the password of " + file,
            "name a file with --key-password-file, or set FRAMEGRID_KEY_PASSWORD"
        );
    } else {
        findings.fault(
            "key", key.error().message,
            "use a key file of 'framegrid key new' or another web3 wallet (version 3)"
        );
    }
}

void check_shared_secret(const RoleOptions& options, Findings& findings) {
    if (!options.has("secret")) {
        return;
    }
    if (!options.text("secret-file").empty()) {
        (void)check_secret_file(options, "secret-file", findings);
    } else if (options.text("secret").empty()) {
        findings.fault(
            "secret", "orchestrators and workers share a secret, and there is none",
            "set FRAMEGRID_SECRET or --secret-file, the same on both sides"
        );
    }
}

void check_gateway_secrets(const RoleOptions& options, Findings& findings) {
    if (check_secret_file(options, "webhook-secret-file", findings)) {
        const auto text = read_secret_file(options.text("webhook-secret-file")).value_or("");
        if (!text.starts_with("whsec_") || !crypto::parse_base64(text.substr(6))) {
            findings.fault(
                "webhook-secret-file", "it does not hold a secret of Standard Webhooks",
                "write whsec_ and base64 into its first line"
            );
        }
    }
    (void)check_secret_file(options, "url-secret-file", findings);
    (void)check_secret_file(options, "signer-key-file", findings);
}

void check_dates(const http::CertificateFacts& facts, const std::string& file, Findings& findings) {
    const auto now = std::int64_t{std::time(nullptr)};
    const auto date = [](std::int64_t unix_s) { return http::date_text(unix_s * 1000); };
    if (facts.ends_unix_s <= now) {
        findings.fault(
            "tls-expired", file + " expired on " + date(facts.ends_unix_s), "get a new one, then send SIGHUP"
        );
    } else if (facts.begins_unix_s > now) {
        findings.fault(
            "tls-not-yet-valid", file + " is valid from " + date(facts.begins_unix_s),
            "check this machine's clock, or use another certificate"
        );
    } else if (facts.ends_unix_s < now + kSoonDays * kSecondsOfDay) {
        findings.advise("tls-expires-soon", file + " expires on " + date(facts.ends_unix_s), "renew it now");
    }
}

void check_certificate(const RoleOptions& options, Findings& findings) {
    const http::TlsFiles files{options.text("tls-certificate"), options.text("tls-key")};
    if (files.certificate_pem.empty() && files.key_pem.empty()) {
        return;
    }
    if (files.certificate_pem.empty() || files.key_pem.empty()) {
        findings.fault(
            "tls", "a certificate and its key belong together, and one is missing",
            "set both --tls-certificate and --tls-key"
        );
        return;
    }
    const auto facts = http::inspect_certificate(files);
    if (!facts) {
        findings.fault(
            facts.error().field, facts.error().message, "correct --" + facts.error().field + ", or the file"
        );
        return;
    }
    (void)check_private_file(files.key_pem, "tls-key", findings);
    if (!facts->key_matches) {
        findings.fault(
            "tls-key", files.key_pem + " is not the key of " + files.certificate_pem,
            "use the two that were made together"
        );
    }
    check_dates(*facts, files.certificate_pem, findings);
    for (const auto* option : {"public-url", "service-uri"}) {
        const auto url = http::parse_url(options.text(option));
        if (!options.text(option).empty() && url && url->scheme == "https" &&
            !http::certificate_is_for(files, url->host)) {
            findings.fault(
                "tls-name", files.certificate_pem + " is not for " + url->host,
                fmt::format("get a certificate for {}, or correct --{}", url->host, option)
            );
        }
    }
}

void check_option_values(const RoleOptions& options, Findings& findings) {
    for (const auto* option : {"public-url", "service-uri"}) {
        const auto text = options.text(option);
        if (!text.empty() && (!http::parse_url(text) || !text.starts_with("http"))) {
            findings.fault(option, "'" + text + "' is no URL", "write it as https://node.example:8935");
        }
    }
    for (const auto& origin : options.list("cors-origin")) {
        if (const auto good = rest::Cors::check_origin(origin); !good) {
            findings.fault(
                "cors-origin", "'" + origin + "': " + good.error().message, "correct --cors-origin"
            );
        }
    }
    const auto machine =
        static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
    for (const std::string option : {"memory", "executor-memory", options.is_gateway() ? "" : "store"}) {
        if (options.text(option).empty()) {
            continue;
        }
        const auto bytes = parse_bytes(options.text(option), option);
        if (!bytes) {
            findings.fault(option, bytes.error().message, "correct --" + option);
        } else if (static_cast<double>(*bytes) > machine) {
            findings.fault(
                option,
                fmt::format("--{} is more than this machine's {:.1f} GiB", option, machine / (1 << 30)),
                "lower it, or the node is killed when it uses it"
            );
        }
    }
}

void check_machine(const RoleOptions& options, Findings& findings) {
    if (std::time(nullptr) < kTooEarly) {
        findings.fault("clock", "this machine's clock is not set", "timedatectl set-ntp true");
    }
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < kOpenFilesMin) {
        findings.fault(
            "open-files", fmt::format("the node may open only {} files", files.rlim_cur),
            "ulimit -n 65536, or LimitNOFILE=65536 in its systemd unit"
        );
    }
    const auto hardware = options.text("hw");
    const auto provider = options.text("provider");
    const bool nvidia = hardware == "nvidia" || provider == "cuda" || provider == "tensorrt";
    if (nvidia && ::access("/dev/nvidiactl", F_OK) != 0) {
        findings.fault(
            "gpu", "an NVIDIA GPU is asked for, and there is none here (/dev/nvidiactl)",
            "install its driver, or use --hw none and --provider auto"
        );
    }
    if (hardware == "vaapi" && ::access("/dev/dri", F_OK) != 0) {
        findings.fault(
            "gpu", "--hw vaapi needs /dev/dri, which is not here", "install the driver, or use --hw none"
        );
    }
}

}  // namespace

void check_secrets(const RoleOptions& options, Findings& findings) {
    check_machine(options, findings);
    check_option_values(options, findings);
    check_key(options, findings);
    check_shared_secret(options, findings);
    check_gateway_secrets(options, findings);
    check_certificate(options, findings);
}

}  // namespace framegrid::app
