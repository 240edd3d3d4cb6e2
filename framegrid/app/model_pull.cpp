// `framegrid model pull`: a model from a hub or a URL.
#include <cstdlib>

#include <fmt/format.h>

#include <framegrid/app/model_commands.hpp>
#include <framegrid/app/session.hpp>
#include <framegrid/host/terminal.hpp>
#include <framegrid/hub/download.hpp>
#include <framegrid/infer_onnx/model_directory.hpp>
#include <framegrid/runtime/task_group.hpp>

namespace framegrid::app {

namespace {

constexpr std::size_t kTokenBytesMax = 4096;

struct PullOptions {
    std::string source;  // a repository, or a URL of a file
    std::string id;
    std::string revision = "main";
    std::string endpoint = "https://huggingface.co";
    std::string token_file;
    std::string sha256;
    std::string directories;
    bool no_optimize = false;
    std::shared_ptr<std::string> installed = std::make_shared<std::string>();  // the id, once it is there
};

// One file that is to be there in the end.
struct Wanted {
    std::string path;
    hub::Source source;
};

struct Plan {
    std::string id;
    std::vector<Wanted> files;
    std::int64_t bytes = 0;
};

Result<std::string> read_token(const PullOptions& options) {
    if (options.token_file.empty()) {
        return std::string();
    }
    FG_TRY(bytes, host::read_file(host::expand_home(options.token_file), kTokenBytesMax));
    std::string token(as_text(bytes));
    token.erase(std::min(token.size(), token.find_first_of("\r\n \t")));
    if (token.empty()) {
        return fail(Errc::kInvalidArgument, options.token_file + " holds no token", "token-file");
    }
    return token;
}

// A path as part of a URL.
std::string escape_path(std::string_view path) {
    std::string out;
    for (const char c : path) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           std::string_view("-._~/").find(c) != std::string_view::npos;
        out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

Result<Plan> plan_url(const PullOptions& options, const std::string& token) {
    FG_TRY(url, http::parse_url(options.source));
    const std::string path = url.target.substr(0, url.target.find_first_of("?#"));
    const std::string name = path.substr(path.find_last_of('/') + 1);
    if (!name.ends_with(".onnx") || !engine::is_plain_path(name)) {
        return fail(
            Errc::kInvalidArgument, "the URL must name a .onnx file, or give a repository's id", "SOURCE"
        );
    }
    if (options.id.empty()) {
        return fail(Errc::kInvalidArgument, "a model from a URL needs a name: --id organisation/name", "id");
    }
    return Plan{options.id, {{name, {options.source, token, 0, options.sha256, {}}}}, 0};
}

Task<Result<Plan>> plan_repository(hub::DownloadPorts ports, PullOptions options, std::string token) {
    const std::string revision = escape_path(options.revision);
    const std::string api =
        fmt::format("{}/api/models/{}/revision/{}?blobs=true", options.endpoint, options.source, revision);
    auto text = co_await hub::get_text(ports, {api, token, 0, {}, {}}, hub::kListingBytesMax);
    if (!text) {
        co_return fail(std::move(text.error()));
    }
    auto listing = hub::parse_listing(*text);
    if (!listing) {
        co_return fail(std::move(listing.error()));
    }
    auto chosen = hub::choose_files(*listing);
    if (!chosen) {
        co_return fail(std::move(chosen.error()));
    }
    Plan plan;
    plan.id = options.id.empty() ? options.source : options.id;
    // The commit, not the branch: every file is of the same state.
    const std::string at = listing->revision.empty() ? revision : listing->revision;
    for (const auto& file : *chosen) {
        const std::string url =
            fmt::format("{}/{}/resolve/{}/{}", options.endpoint, options.source, at, escape_path(file.path));
        plan.files.push_back({file.path, {url, token, file.bytes, file.sha256, file.git_id}});
        plan.bytes += file.bytes;
    }
    co_return plan;
}

Result<void> check_room(const host::Path& root, std::int64_t bytes) {
    FG_CHECK(host::make_dirs(root));
    FG_TRY(free, host::free_bytes(root));
    if (bytes > 0 && free < static_cast<std::uint64_t>(bytes)) {
        return fail(
            Errc::kIo, fmt::format(
                           "{} has {} free, the model needs {}", root.string(), host::format_bytes(free),
                           host::format_bytes(static_cast<std::uint64_t>(bytes))
                       )
        );
    }
    return {};
}

Task<Result<bool>> fetch_all(Session& session, hub::DownloadPorts ports, Plan plan, host::Path directory) {
    host::ProgressBar bar("pull");
    const TimePoint began = session.clock.now();
    std::int64_t before = 0;
    for (const auto& wanted : plan.files) {
        const host::Path path = directory / wanted.path;
        auto made = host::make_dirs(path.parent_path());
        if (!made) {
            co_return fail(std::move(made.error()));
        }
        const auto progress = [&](std::int64_t bytes) {
            if (session.common.json) {
                return;
            }
            const double seconds = std::chrono::duration<double>(session.clock.now() - began).count();
            const double done = static_cast<double>(before + bytes);
            const double speed = done / std::max(seconds, 1e-3);
            const double total = static_cast<double>(std::max<std::int64_t>(plan.bytes, 1));
            bar.update(
                plan.bytes > 0 ? done / total : 0,
                fmt::format(
                    "{} {}/s{}", wanted.path, host::format_bytes(static_cast<std::uint64_t>(speed)),
                    plan.bytes > 0 ? ", ETA " + host::format_seconds((total - done) / std::max(speed, 1.0))
                                   : ""
                )
            );
        };
        auto digest = co_await hub::download(ports, wanted.source, path, {}, progress);
        if (!digest) {
            co_return fail(std::move(digest.error()).with_context(wanted.path));
        }
        before += wanted.source.bytes;
    }
    if (!session.common.json) {
        bar.finish(host::format_seconds(std::chrono::duration<double>(session.clock.now() - began).count()));
    }
    co_return true;
}

Task<Result<int>> pull_with(Session& session, http::Client& client, PullOptions options) {
    auto token = read_token(options);
    if (!token) {
        co_return fail(std::move(token.error()));
    }
    while (options.endpoint.ends_with('/')) {
        options.endpoint.pop_back();
    }
    const hub::DownloadPorts ports{client, session.pool, session.clock};
    const bool is_url = options.source.starts_with("https://") || options.source.starts_with("http://");
    if (!is_url && !engine::is_model_id(options.source)) {
        co_return fail(Errc::kInvalidArgument, "give a repository as organisation/name, or a URL", "SOURCE");
    }
    Result<Plan> plan;
    if (is_url) {
        plan = plan_url(options, *token);
    } else {
        plan = co_await plan_repository(ports, options, *token);
    }
    if (!plan) {
        co_return fail(std::move(plan.error()));
    }
    const host::Path root = install_root(options.directories);
    std::error_code error;
    if (!engine::is_model_id(plan->id) || std::filesystem::exists(root / plan->id, error)) {
        co_return fail(
            Errc::kInvalidArgument, plan->id + " is no model id, or exists: framegrid model rm " + plan->id,
            "id"
        );
    }
    auto room = check_room(root, plan->bytes);
    if (!room) {
        co_return fail(std::move(room.error()));
    }
    const host::Path growing = infer_onnx::incomplete_directory(root, plan->id);
    const std::string id = plan->id;
    auto fetched = co_await fetch_all(session, ports, *std::move(plan), growing);
    if (!fetched) {
        co_return fail(std::move(fetched.error()));
    }
    auto installed =
        co_await offload(session.pool, [&] { return infer_onnx::install_model(growing, root, id, false); });
    if (!installed) {
        co_return fail(std::move(installed.error()));
    }
    print_installed(session.common, *installed, root);
    *options.installed = id;
    co_return kExitOk;
}

Task<void> stop_client(http::Client& client) {
    co_await client.stop();
}

Task<Result<int>> pull(Session& session, PullOptions options) {
    http::ClientSettings settings;
    settings.verify_certificates = true;
    settings.connect_time_max = std::chrono::seconds(15);
    http::Client client(session.loop.executor(), session.clock, settings, session.log);
    co_return co_await with_cleanup<int>(pull_with(session, client, std::move(options)), stop_client(client));
}

}  // namespace

void add_pull_command(CLI::App& model, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<PullOptions>();
    auto* command =
        model.add_subcommand("pull", "get a model from a hub or a URL; an interrupted one goes on");
    command
        ->add_option("SOURCE", options->source, "organisation/name on the hub, or the URL of an .onnx file")
        ->required();
    command->add_option("--id", options->id, "the model's id here; else the repository's");
    command->add_option("--revision", options->revision, "branch, tag or commit")->capture_default_str();
    command->add_option("--endpoint", options->endpoint, "the hub, or a mirror with its API")
        ->envname("HF_ENDPOINT")
        ->capture_default_str();
    command->add_option("--token-file", options->token_file, "file with an access token")
        ->envname("HF_TOKEN_PATH");
    command->add_option("--sha256", options->sha256, "what the file of a URL must have");
    command
        ->add_option(
            "--models", options->directories, "model directories, separated by commas; it goes to the first"
        )
        ->envname("FRAMEGRID_MODELS");
    command->add_flag("--no-optimize", options->no_optimize, "leave it to framegrid model optimize");
    command->footer(
        "Examples:\n"
        "  framegrid model pull acme/painter-onnx --token-file ~/.cache/huggingface/token\n"
        "  framegrid model pull https://example.org/RealESRGAN_x4.onnx --id acme/esrgan-x4 --sha256 ..."
    );
    command->callback([options, &common, &run] {
        run = [options, &common] {
            Session session(common, "pull");
            const int code = session.run([&] { return pull(session, *options); });
            if (!options->installed->empty() && !options->no_optimize) {
                optimize_installed(install_root(options->directories), *options->installed);
            }
            return code;
        };
    });
}

}  // namespace framegrid::app
