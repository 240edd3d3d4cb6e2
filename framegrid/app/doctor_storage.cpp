// framegrid doctor: the data directory and its disk, databases on it, models.
#include <framegrid/app/doctor.hpp>

#include <sys/file.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include <fmt/format.h>

#include <framegrid/app/gateway_jobs.hpp>
#include <framegrid/app/keys.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/app/stores.hpp>
#include <framegrid/infer_onnx/model_directory.hpp>
#include <framegrid/infer_onnx/model_store.hpp>
#include <framegrid/store_sqlite/check.hpp>

namespace framegrid::app {

namespace {

constexpr std::uintmax_t kReadWholeMax = 256u << 20;  // of a database, so that the look takes seconds

// The directory, or the nearest one above it that exists.
host::Path nearest(host::Path path) {
    std::error_code ignored;
    path = std::filesystem::absolute(path, ignored);
    while (!std::filesystem::exists(path, ignored) && path.has_relative_path()) {
        path = path.parent_path();
    }
    return path;
}

// Whether files can be made below it.
bool check_directory(const host::Path& wanted, const std::string& option, Findings& findings) {
    const auto there = nearest(wanted);
    std::error_code ignored;
    if (!std::filesystem::is_directory(there, ignored)) {
        findings.fault(option, there.string() + " is not a directory", "name another one with --" + option);
        return false;
    }
    if (::access(there.c_str(), W_OK | X_OK) != 0) {
        findings.fault(
            option, "this user may not write to " + there.string(), "chown it to the user of the node"
        );
        return false;
    }
    return true;
}

void check_disk(const host::Path& place, std::uint64_t bytes_min, Findings& findings) {
    const auto there = nearest(place);
    const auto free = host::free_bytes(there);
    if (!free) {
        findings.fault("disk", free.error().message, "check that the disk is mounted");
    } else if (*free < bytes_min) {
        findings.fault(
            "disk", fmt::format("only {} MB are free on the disk of {}", *free / 1'000'000, there.string()),
            "delete files, lower --retention-hours, or move --data to a larger disk"
        );
    }
}

void check_database(const host::Path& file, Findings& findings) {
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) {
        return;  // made at the first start
    }
    const auto restore = "move " + file.string() + " away, or restore it from a backup";
    const auto bytes = std::filesystem::file_size(file, ignored);
    if (bytes == 0) {
        return;
    }
    const auto head = host::read_head(file, 15);
    if (!head || as_text(*head) != "SQLite format 3") {
        findings.fault("database", file.string() + " is no database of jobs", restore);
    } else if (bytes <= kReadWholeMax) {
        if (const auto whole = store_sqlite::check_file(file); !whole) {
            findings.fault("database", file.string() + ": " + whole.error().message, restore);
        }
    }
}

void check_own_secret(const host::Path& file, Findings& findings) {
    struct stat found{};
    if (::stat(file.c_str(), &found) != 0) {
        return;  // made at the first start
    }
    if ((found.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        findings.fault("data-mode", "others may read " + file.string(), "chmod 600 " + file.string());
    }
    if (!read_secret_file(file.string())) {
        findings.fault("data-secret", file.string() + " is empty", "delete it: a new one is made");
    }
}

void check_data(const RoleOptions& options, const DoctorSettings& settings, Findings& findings) {
    const auto data = data_directory(options.text("data"));
    if (!check_directory(data, "data", findings)) {
        return;
    }
    check_disk(data, settings.disk_bytes_min, findings);
    if (!is_shared(options.text("store"))) {
        check_database(job_database(data), findings);
    }
    for (const auto* secret : {"webhook.secret", "url.secret", "gateway.id"}) {
        check_own_secret(data / secret, findings);
    }
    const auto files = options.text("files");
    if (files.starts_with("s3://")) {
        return;  // looked at over the network
    }
    const auto place = files.empty() ? data / "objects" : host::expand_home(files);
    if (check_directory(place, "files", findings) && !files.empty()) {
        check_disk(place, settings.disk_bytes_min, findings);
    }
    (void)check_directory(data / "uploads", "data", findings);
}

void check_model(
    const infer_onnx::ModelStore& store, const engine::ModelManifest& model, Findings& findings
) {
    const auto& directory = store.directory_of(model.id);
    if (const auto whole = infer_onnx::verify_files(directory, model); !whole) {
        const bool missing = whole.error().code == Errc::kNotFound;
        findings.fault(
            missing ? "model-missing" : "model-damaged", model.id + ": " + whole.error().message,
            fmt::format("framegrid model rm {0}, then framegrid model pull {0}", model.id)
        );
    }
}

void check_models(const RoleOptions& options, Findings& findings) {
    if (options.text("ai-capacity") == "0") {
        return;
    }
    std::error_code ignored;
    for (const auto& folder : split_list(options.text("models"))) {
        if (!std::filesystem::is_directory(folder, ignored)) {
            findings.fault(
                "models", "there is no directory " + folder, "correct --models or $FRAMEGRID_MODELS"
            );
        }
    }
    const auto folders = model_directories(options.text("models"));
    infer_onnx::ModelStoreSettings settings;
    settings.directories.assign(folders.begin(), folders.end());
    auto store = infer_onnx::ModelStore::open(settings);
    if (!store) {
        findings.fault("models", store.error().message, "correct --models or $FRAMEGRID_MODELS");
        return;
    }
    for (const auto& problem : (*store)->problems()) {
        findings.fault(
            "model-unusable", problem.directory.string() + ": " + problem.error.message,
            "pull or add it again (framegrid model pull), or remove the directory"
        );
    }
    const auto memory = parse_bytes(options.text("memory"), "memory").value_or(0);
    const auto models = (*store)->manifests();
    for (const auto& model : models) {
        check_model(**store, model, findings);
        if (model.memory_bytes > memory) {
            findings.advise(
                "model-too-large", model.id + " does not fit into --memory", "raise --memory to offer it"
            );
        }
    }
    if (models.empty()) {
        findings.fault(
            "models", "there is no model, and --ai-capacity is not 0",
            "framegrid model pull ORGANISATION/NAME, or --ai-capacity 0 for transcoding alone"
        );
    }
}

}  // namespace

bool data_is_in_use(const RoleOptions& options) {
    const auto file = data_directory(options.text("data")) / "lock";
    const host::UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    return fd && ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0;
}

void check_storage(const RoleOptions& options, const DoctorSettings& settings, Findings& findings) {
    if (options.is_gateway()) {
        check_data(options, settings, findings);
    } else if (options.has("models")) {
        check_models(options, findings);
    }
}

}  // namespace framegrid::app
