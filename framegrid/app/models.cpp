// `framegrid model`: which models this machine has, getting more, checking them, and how good they are.
#include <framegrid/app/commands.hpp>

#include <cstdio>

#include <boost/json.hpp>

#include <framegrid/app/model_commands.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/engine/sr_eval.hpp>
#include <framegrid/host/terminal.hpp>
#include <framegrid/infer_onnx/model_directory.hpp>
#include <framegrid/infer_onnx/model_store.hpp>

namespace framegrid::app {

namespace {

struct ModelsOptions {
    std::string directories;
    engine::SrEvalSettings eval;
    std::string source;  // add: a directory
    std::string id;
    std::vector<std::string> ids;  // verify: these; none: all
    bool no_optimize = false;      // add
};

Result<std::unique_ptr<infer_onnx::ModelStore>> open_store(const ModelsOptions& options) {
    const auto folders = model_directories(options.directories);
    if (folders.empty()) {
        return fail(
            Errc::kNotFound, "no model directory found; name one with --models or FRAMEGRID_MODELS", "models"
        );
    }
    infer_onnx::ModelStoreSettings settings;
    settings.directories.assign(folders.begin(), folders.end());
    FG_TRY(store, infer_onnx::ModelStore::open(settings));
    for (const auto& problem : store->problems()) {
        std::fprintf(stderr, "framegrid: %s: %s\n", problem.directory.c_str(), problem.error.message.c_str());
    }
    return store;
}

std::string join(const std::vector<std::string>& words) {
    std::string out;
    for (const auto& word : words) {
        out += (out.empty() ? "" : ",") + word;
    }
    return out;
}

int list(const CommonOptions& common, const ModelsOptions& options) {
    auto store = open_store(options);
    if (!store) {
        print_error(common, store.error());
        return kExitFailed;
    }
    boost::json::array rows;
    for (const auto& model : (*store)->manifests()) {
        if (common.json) {
            rows.push_back(boost::json::object{
                {"id", model.id},
                {"pipelines", boost::json::value_from(model.pipelines)},
                {"scale", model.image.scale},
                {"memory_bytes", model.memory_bytes},
                {"licence", model.licence},
                {"description", model.description}
            });
        } else {
            std::printf(
                "%-24s %-40s %5lld MB  %-12s %s\n", model.id.c_str(), join(model.pipelines).c_str(),
                static_cast<long long>(model.memory_bytes >> 20), model.licence.c_str(),
                model.description.c_str()
            );
        }
    }
    if (common.json) {
        std::printf("%s\n", boost::json::serialize(rows).c_str());
    }
    return kExitOk;
}

int eval(const CommonOptions& common, const ModelsOptions& options) {
    auto store = open_store(options);
    if (!store) {
        print_error(common, store.error());
        return kExitFailed;
    }
    const api::StopFlag stop{false};
    auto report = engine::evaluate_sr(**store, options.eval, stop);
    if (!report) {
        print_error(common, report.error());
        return kExitFailed;
    }
    boost::json::array rows;
    if (!common.json) {
        std::printf(
            "%-20s %-14s %10s %10s %8s   (RGB PSNR, dB, pictures unseen in training)\n", "model", "pictures",
            "bicubic", "model", "gain"
        );
    }
    auto all = report->pictures;
    all.insert(all.end(), report->rows.begin(), report->rows.end());
    for (const auto& row : all) {
        if (common.json) {
            rows.push_back(boost::json::object{
                {"model", row.model},
                {"picture", row.picture},
                {"scale", row.scale},
                {"psnr_bicubic", row.psnr_bicubic},
                {"psnr_model", row.psnr_model},
                {"delta", row.delta()}
            });
        } else {
            std::printf(
                "%-20s %-14s %10.3f %10.3f %+8.3f\n", row.model.c_str(), row.picture.c_str(),
                row.psnr_bicubic, row.psnr_model, row.delta()
            );
        }
    }
    if (common.json) {
        std::printf("%s\n", boost::json::serialize(rows).c_str());
    }
    return kExitOk;
}

// "organisation/name" from the last two parts of a path, without the ending of a file.
std::string id_of_path(const host::Path& path) {
    const host::Path clean = path.has_filename() ? path : path.parent_path();
    const host::Path name = clean.extension() == ".onnx" ? clean.stem() : clean.filename();
    return clean.parent_path().filename().string() + "/" + name.string();
}

int add(const CommonOptions& common, const ModelsOptions& options) {
    std::error_code error;
    auto from = std::filesystem::canonical(options.source, error);
    if (error) {
        print_error(common, make_error(Errc::kNotFound, options.source + ": " + error.message(), "DIR"));
        return kExitFailed;
    }
    if (std::filesystem::is_regular_file(from, error)) {
        // A hub's cache has links whose names say more than those of what they point to.
        from = std::filesystem::absolute(options.source, error).lexically_normal();
    }
    const std::string id = options.id.empty() ? id_of_path(from) : options.id;
    auto installed = infer_onnx::install_model(from, install_root(options.directories), id, true);
    if (!installed) {
        print_error(common, installed.error());
        return kExitFailed;
    }
    print_installed(common, *installed, install_root(options.directories));
    if (!options.no_optimize) {
        optimize_installed(install_root(options.directories), installed->id);
    }
    return kExitOk;
}

// The directories that hold a model of this id, first the one that is used.
std::vector<host::Path> places_of(const ModelsOptions& options, const std::string& id) {
    std::vector<host::Path> places;
    for (const auto& root : model_directories(options.directories)) {
        if (engine::is_model_id(id) && std::filesystem::is_directory(host::Path(root) / id)) {
            places.push_back(host::Path(root) / id);
        }
    }
    return places;
}

int verify(const CommonOptions& common, const ModelsOptions& options) {
    auto store = open_store(options);
    if (!store) {
        print_error(common, store.error());
        return kExitFailed;
    }
    boost::json::array rows;
    bool all_good = (*store)->problems().empty();
    std::size_t checked = 0;
    for (const auto& manifest : (*store)->manifests()) {
        const bool wanted =
            options.ids.empty() || std::ranges::find(options.ids, manifest.id) != options.ids.end();
        if (!wanted) {
            continue;
        }
        ++checked;
        auto good = infer_onnx::verify_files((*store)->directory_of(manifest.id), manifest);
        const std::string said = good ? "ok" : good.error().message;
        all_good = all_good && good.has_value();
        if (common.json) {
            rows.push_back(
                boost::json::object{{"id", manifest.id}, {"ok", good.has_value()}, {"message", said}}
            );
        } else {
            std::printf("%-24s %s\n", manifest.id.c_str(), said.c_str());
        }
    }
    if (common.json) {
        std::printf("%s\n", boost::json::serialize(rows).c_str());
    }
    if (!options.ids.empty() && checked < options.ids.size()) {
        print_error(common, make_error(Errc::kNotFound, "no such model; framegrid model ls lists all", "ID"));
        return kExitFailed;
    }
    return all_good ? kExitOk : kExitFailed;
}

int remove(const CommonOptions& common, const ModelsOptions& options) {
    const auto places = places_of(options, options.id);
    if (places.empty()) {
        print_error(
            common,
            make_error(Errc::kNotFound, "no model " + options.id + "; framegrid model ls lists all", "ID")
        );
        return kExitFailed;
    }
    std::error_code error;
    const auto removed = std::filesystem::remove_all(places.front(), error);
    if (error) {
        print_error(common, make_error(Errc::kIo, places.front().string() + ": " + error.message()));
        return kExitFailed;
    }
    if (common.json) {
        std::printf(
            "%s\n",
            boost::json::serialize(boost::json::object{{"id", options.id}, {"files", removed}}).c_str()
        );
    } else {
        std::printf("removed %s\n", places.front().c_str());
    }
    return kExitOk;
}

}  // namespace

host::Path install_root(const std::string& option) {
    const auto wanted = split_list(option);
    return wanted.empty() ? own_model_directory() : host::Path(wanted.front());
}

void print_installed(
    const CommonOptions& common, const engine::ModelManifest& manifest, const host::Path& root
) {
    std::uint64_t bytes = 0;
    for (const auto& file : manifest.files) {
        bytes += static_cast<std::uint64_t>(file.bytes);
    }
    const std::string path = (root / manifest.id).string();
    if (common.json) {
        const boost::json::object body{
            {"id", manifest.id},
            {"pipelines", boost::json::value_from(manifest.pipelines)},
            {"digest", engine::model_digest(manifest)},
            {"path", path},
            {"files", manifest.files.size()},
            {"bytes", bytes}
        };
        std::printf("%s\n", boost::json::serialize(body).c_str());
        return;
    }
    std::printf(
        "%s (%s) in %s: %zu files, %s\n", manifest.id.c_str(), join(manifest.pipelines).c_str(), path.c_str(),
        manifest.files.size(), host::format_bytes(bytes).c_str()
    );
}

void add_models_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<ModelsOptions>();
    auto* command = app.add_subcommand("model", "List, get, check and measure the models on this machine");
    command->alias("models");
    command->require_subcommand(1);
    const auto add_action = [&](const char* name, const char* what,
                                int (*action)(const CommonOptions&, const ModelsOptions&)) {
        auto* sub = command->add_subcommand(name, what);
        sub->add_option(
               "--models", options->directories,
               "model directories, separated by commas; new ones go to the first"
        )
            ->envname("FRAMEGRID_MODELS");
        sub->callback([options, &common, &run, action] {
            run = [options, &common, action] { return action(common, *options); };
        });
        return sub;
    };
    add_action("ls", "every usable model", &list)->alias("list");
    auto* adding = add_action(
        "add", "take over a directory: a diffusers export, a single ONNX file, or one of ours", &add
    );
    adding
        ->add_option(
            "DIR", options->source, "a directory or an .onnx file; what is needed is copied, or hard-linked"
        )
        ->required();
    adding->add_option("--id", options->id, "organisation/name; else the last two parts of the path");
    adding->add_flag("--no-optimize", options->no_optimize, "leave it to framegrid model optimize");
    add_pull_command(*command, common, run);
    add_optimize_command(*command, common, run);
    add_action("verify", "compare every file with its digest", &verify)
        ->add_option("ID", options->ids, "these models; none: all");
    add_action("rm", "remove a model's directory", &remove)->add_option("ID", options->id)->required();
    add_bench_command(*command, common, run);
    auto* evaluation = add_action("eval", "PSNR of the super-resolution models against bicubic", &eval);
    evaluation->add_option("--model", options->eval.model_id, "only this model");
    evaluation->add_option("--side", options->eval.side, "pixels per side of a test picture; a multiple of 8")
        ->capture_default_str();
    evaluation->add_option("--seeds", options->eval.seeds, "pictures of each kind")->capture_default_str();
    command->footer(
        "Examples:\n"
        "  framegrid model ls\n"
        "  framegrid model pull stabilityai/sd-turbo --revision onnx\n"
        "  framegrid model add ~/exports/acme/painter\n"
        "  framegrid model verify"
    );
}

}  // namespace framegrid::app
