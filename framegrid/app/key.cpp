// `framegrid key`: makes and shows the key files that sign for a node.
#include <framegrid/app/commands.hpp>

#include <cstdio>
#include <cstdlib>

#include <boost/json.hpp>

#include <framegrid/app/keys.hpp>
#include <framegrid/app/session.hpp>

namespace framegrid::app {

namespace {

struct KeyOptions {
    std::string file;
    std::string password_file;
};

int show(const CommonOptions& common, const KeyOptions& options) {
    auto key = load_key(options.file, options.password_file);
    if (!key) {
        print_error(common, key.error());
        return kExitFailed;
    }
    const std::string address = crypto::checksum_address(key->address());
    if (common.json) {
        std::printf("%s\n", boost::json::serialize(boost::json::object{{"address", address}}).c_str());
    } else {
        std::printf("%s\n", address.c_str());
    }
    return kExitOk;
}

int create(const CommonOptions& common, const KeyOptions& options) {
    host::SystemRandom random;
    if (auto made = create_key(options.file, options.password_file, random); !made) {
        print_error(common, made.error());
        return kExitFailed;
    }
    return show(common, options);
}

}  // namespace

void add_key_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<KeyOptions>();
    auto* command = app.add_subcommand("key", "Make or show a key file (web3 secret storage v3)");
    command->require_subcommand(1);
    const auto add = [&](const char* name, const char* what,
                         int (*action)(const CommonOptions&, const KeyOptions&)) {
        auto* sub = command->add_subcommand(name, what);
        sub->add_option("FILE", options->file, "the key file")->required();
        sub->add_option(
            "--password-file", options->password_file,
            "file with the password; without it $FRAMEGRID_KEY_PASSWORD"
        );
        sub->callback([options, &common, &run, action] {
            run = [options, &common, action] { return action(common, *options); };
        });
    };
    add("new", "make a key file; refuses to replace one", &create);
    add("show", "print the key's address", &show);
    command->footer("Example:\n  FRAMEGRID_KEY_PASSWORD=... framegrid key new node.key");
}

}  // namespace framegrid::app
