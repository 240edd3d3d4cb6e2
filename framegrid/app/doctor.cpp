// `framegrid doctor`: what is wrong with a node, and what to do about it.
#include <framegrid/app/doctor.hpp>

#include <algorithm>
#include <cstdio>

#include <boost/json.hpp>

#include <framegrid/app/commands.hpp>
#include <framegrid/app/config.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/host/terminal.hpp>

namespace framegrid::app {

namespace {

namespace json = boost::json;

constexpr const char* kRoles[] = {"gateway", "orchestrator", "worker"};

struct DoctorOptions {
    std::string disk_min = "1G";
    bool json = false;
    std::vector<std::string> role_line;  // the role and its own command line
};

// The word after --config, or what the environment says.
std::string config_of(const std::vector<std::string>& arguments) {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (arguments[i] == "--config" && i + 1 < arguments.size()) {
            return arguments[i + 1];
        }
        if (arguments[i].starts_with("--config=")) {
            return arguments[i].substr(arguments[i].find('=') + 1);
        }
    }
    const char* named = std::getenv("FRAMEGRID_CONFIG");
    return named == nullptr ? "" : named;
}

void tell_of_options(const std::string& config, const Error& error, Findings& findings) {
    const auto before = findings.all().size();
    for (const auto& problem : config.empty() ? std::vector<workflow::Problem>{} : config_problems(config)) {
        findings.fault(
            "config", config + ":" + workflow::to_string(problem),
            problem.advice.empty() ? "correct the file; framegrid config check " + config + " says more"
                                   : problem.advice
        );
    }
    if (findings.all().size() == before) {
        findings.fault("options", error.message, "framegrid ROLE --help lists the options and their values");
    }
}

Task<Result<int>> look_around(Session& session, const RoleOptions& role, Findings& findings) {
    (void)co_await check_network(session, role, findings);
    co_return 0;
}

Result<Findings> examine(const CommonOptions& common, const DoctorOptions& options) {
    FG_TRY(disk_min, parse_bytes(options.disk_min, "disk-min"));
    // What stands before "doctor" counts for the role, too.
    const auto self = std::ranges::find(common.arguments, "doctor");
    std::vector<std::string> arguments;
    for (auto at = common.arguments.begin(); at != self; ++at) {
        if (*at != "--json") {
            arguments.push_back(*at);
        }
    }
    arguments.insert(arguments.end(), options.role_line.begin(), options.role_line.end());
    Findings findings;
    const auto config = config_of(arguments);
    ScratchCli cli;
    if (const auto parsed = parse_arguments(cli.app, arguments); !parsed) {
        tell_of_options(config, parsed.error(), findings);
        return findings;
    }
    const RoleOptions role(*cli.app.get_subcommand(options.role_line.front()));
    check_secrets(role, findings);
    check_storage(role, {.disk_bytes_min = static_cast<std::uint64_t>(disk_min)}, findings);
    CommonOptions quiet = common;
    quiet.log_level = "off";
    Session session(quiet, "doctor", 2);
    (void)session.run([&] { return look_around(session, role, findings); });
    return findings;
}

void print_findings(const CommonOptions& common, const std::string& role, const Findings& findings) {
    if (common.json) {
        json::array listed;
        for (const auto& one : findings.all()) {
            listed.push_back(json::object{
                {"check", one.check},
                {"severity", one.fault ? "fault" : "advice"},
                {"what", one.what},
                {"fix", one.fix}
            });
        }
        std::printf("%s\n", json::serialize(json::object{{"role", role}, {"findings", listed}}).c_str());
        return;
    }
    const host::Colours colours{host::has_colours(1)};
    for (const auto& one : findings.all()) {
        const auto mark = one.fault ? colours.red("fault ") : colours.yellow("advice");
        std::printf(
            "%s  %s: %s\n        -> %s\n", mark.c_str(), one.check.c_str(), one.what.c_str(), one.fix.c_str()
        );
    }
    if (findings.all().empty()) {
        std::printf("%s: nothing wrong was found\n", role.c_str());
    }
}

int doctor(const CommonOptions& common, const DoctorOptions& options) {
    const bool known = !options.role_line.empty() &&
                       std::ranges::find(kRoles, options.role_line.front()) != std::end(kRoles);
    if (!known) {
        print_error(
            common, make_error(
                        Errc::kInvalidArgument,
                        "which role? framegrid doctor gateway|orchestrator|worker [its options]", "ROLE"
                    )
        );
        return kExitUsage;
    }
    const auto findings = examine(common, options);
    if (!findings) {
        print_error(common, findings.error());
        return kExitUsage;
    }
    print_findings(common, options.role_line.front(), *findings);
    return std::ranges::any_of(findings->all(), &Finding::fault) ? kExitFailed : kExitOk;
}

}  // namespace

const CLI::Option* RoleOptions::find(const std::string& name) const {
    return command_.get_option_no_throw("--" + name);
}

bool RoleOptions::has(const std::string& name) const {
    return find(name) != nullptr;
}

std::string RoleOptions::text(const std::string& name) const {
    const auto* option = find(name);
    if (option == nullptr) {
        return {};
    }
    return option->count() > 0 ? option->results().back() : option->get_default_str();
}

std::vector<std::string> RoleOptions::list(const std::string& name) const {
    const auto* option = find(name);
    return option == nullptr || option->count() == 0 ? std::vector<std::string>{} : option->results();
}

bool RoleOptions::flag(const std::string& name, bool usually) const {
    const auto* option = find(name);
    return option == nullptr || option->count() == 0 ? usually : option->results().back() == "true";
}

void add_doctor_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<DoctorOptions>();
    auto* command = app.add_subcommand("doctor", "Find what is wrong with a node, and how to mend it");
    command->add_option("--disk-min", options->disk_min, "free bytes that the disk of the data must have")
        ->capture_default_str();
    command->add_flag("--json", options->json, "print the findings as JSON");
    command->fallthrough(false);
    command->prefix_command();
    command->footer(
        "What follows is the role with its own options, exactly as it is started:\n"
        "  framegrid doctor gateway --config /etc/framegrid.toml\n"
        "  framegrid doctor --json worker --orchestrators https://a.example:8935 --secret-file secret\n"
        "Nothing is changed, and the node may be running meanwhile. Exit status: 0 no fault, 1 faults, 2 "
        "wrong usage."
    );
    command->callback([command, options, &common, &run] {
        options->role_line = command->remaining();
        run = [options, &common] {
            auto chosen = common;
            chosen.json = chosen.json || options->json;
            return doctor(chosen, *options);
        };
    });
}

}  // namespace framegrid::app
