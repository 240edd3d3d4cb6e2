// `framegrid model optimize`: keeps networks beside their models as they are once they are optimised.
#include <cstdio>

#include <sys/prctl.h>

#include <boost/json.hpp>

#include <framegrid/app/model_commands.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/infer_onnx/model_store.hpp>
#include <framegrid/sandbox/hardening.hpp>

namespace framegrid::app {

namespace {

struct OptimizeOptions {
    std::string directories;
    std::vector<std::string> ids;
};

// The network is somebody else's. This process has to write files, so that only the rest is taken from it:
// the network, other programs and processes.
void lock_in() {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (const auto locked = sandbox::restrict_system_calls(false); !locked) {
        std::fprintf(stderr, "framegrid: %s\n", locked.error().message.c_str());
    }
}

Result<std::unique_ptr<infer_onnx::ModelStore>> open_stored(const std::vector<std::string>& folders) {
    infer_onnx::ModelStoreSettings settings;
    settings.directories.assign(folders.begin(), folders.end());
    settings.onnx.provider = "cpu";
    return infer_onnx::ModelStore::open(std::move(settings));
}

int optimize(const CommonOptions& common, const OptimizeOptions& options) {
    lock_in();
    auto store = open_stored(model_directories(options.directories));
    if (!store) {
        print_error(common, store.error());
        return kExitFailed;
    }
    std::vector<std::string> ids = options.ids;
    if (ids.empty()) {
        for (const auto& manifest : (*store)->manifests()) {
            ids.push_back(manifest.id);
        }
    }
    boost::json::array rows;
    bool all_good = true;
    for (const auto& id : ids) {
        auto stored = (*store)->store_graphs(id);
        all_good = all_good && stored;
        if (!stored) {
            print_error(common, Error(std::move(stored.error())).with_context(id));
        } else if (common.json) {
            rows.push_back(boost::json::object{{"id", id}, {"stored", *stored}});
        } else {
            std::printf("%-24s %d networks stored\n", id.c_str(), *stored);
        }
    }
    if (common.json) {
        std::printf("%s\n", boost::json::serialize(rows).c_str());
    }
    return all_good ? kExitOk : kExitFailed;
}

}  // namespace

void optimize_installed(const host::Path& root, const std::string& id) {
    lock_in();
    auto store = open_stored({root.string()});
    const auto stored = store ? (*store)->store_graphs(id) : fail(std::move(store.error()));
    if (!stored) {
        std::fprintf(
            stderr, "framegrid: the model will load more slowly: %s\n", stored.error().message.c_str()
        );
    }
}

void add_optimize_command(CLI::App& model, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<OptimizeOptions>();
    auto* command = model.add_subcommand(
        "optimize", "make models load faster on this machine, at the cost of as much disk space again"
    );
    command->add_option("ID", options->ids, "these models; none: all");
    command->add_option("--models", options->directories, "model directories, separated by commas")
        ->envname("FRAMEGRID_MODELS");
    command->footer(
        "add and pull do this for what they install. It is to be repeated after ONNX Runtime was updated.\n"
        "Example:\n  framegrid model optimize framegrid/scenes"
    );
    command->callback([options, &common, &run] {
        run = [options, &common] { return optimize(common, *options); };
    });
}

}  // namespace framegrid::app
