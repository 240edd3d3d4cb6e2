// `framegrid models`: which models this machine has, and how good they are.
#include <framegrid/app/commands.hpp>

#include <cstdio>

#include <boost/json.hpp>

#include <framegrid/app/node.hpp>
#include <framegrid/engine/sr_eval.hpp>
#include <framegrid/infer_onnx/model_store.hpp>

namespace framegrid::app {

namespace {

struct ModelsOptions {
    std::string directories;
    engine::SrEvalSettings eval;
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

}  // namespace

void add_models_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<ModelsOptions>();
    auto* command = app.add_subcommand("models", "List or evaluate the models on this machine");
    command->require_subcommand(1);
    const auto add = [&](const char* name, const char* what,
                         int (*action)(const CommonOptions&, const ModelsOptions&)) {
        auto* sub = command->add_subcommand(name, what);
        sub->add_option("--models", options->directories, "model directories, separated by commas")
            ->envname("FRAMEGRID_MODELS");
        sub->callback([options, &common, &run, action] {
            run = [options, &common, action] { return action(common, *options); };
        });
        return sub;
    };
    add("list", "every usable model", &list);
    auto* evaluation = add("eval", "PSNR of the super-resolution models against bicubic", &eval);
    evaluation->add_option("--model", options->eval.model_id, "only this model");
    evaluation->add_option("--side", options->eval.side, "pixels per side of a test picture; a multiple of 8")
        ->capture_default_str();
    evaluation->add_option("--seeds", options->eval.seeds, "pictures of each kind")->capture_default_str();
    command->footer("Examples:\n  framegrid models list\n  framegrid models eval --json");
}

}  // namespace framegrid::app
