// `framegrid config`: whether a configuration file is right, and what a role would run with.
#include <framegrid/app/config.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <boost/json.hpp>
#include <toml++/toml.hpp>

#include <framegrid/app/commands.hpp>
#include <framegrid/app/node.hpp>
#include <framegrid/app/session.hpp>
#include <framegrid/host/terminal.hpp>
#include <framegrid/workflow/problem.hpp>

namespace framegrid::app {

namespace {

namespace json = boost::json;
using workflow::Place;
using workflow::Problem;

struct ConfigOptions {
    std::string file;
    std::string role = "gateway";
};

Place place_of(const toml::source_position& at) {
    return {static_cast<int>(at.line), static_cast<int>(at.column)};
}
Place place_of(const toml::node& node) {
    return place_of(node.source().begin);
}

CLI::App* find_command(CLI::App& app, const std::string& name) {
    const auto all = app.get_subcommands(nullptr);
    const auto found = std::ranges::find(all, name, [](const CLI::App* sub) { return sub->get_name(); });
    return found == all.end() ? nullptr : *found;
}

std::vector<std::string> names_in(const CLI::App& app) {
    std::vector<std::string> out;
    for (const auto* option : app.get_options()) {
        if (option->get_configurable() && !option->get_lnames().empty()) {
            out.push_back(option->get_lnames().front());
        }
    }
    for (const auto* sub : app.get_subcommands(nullptr)) {
        out.push_back(sub->get_name());
    }
    return out;
}

// Every key must be an option of its section's subcommand.
void check_table(
    const toml::table& table, CLI::App& app, const std::string& path, workflow::Problems& problems
) {
    for (const auto& [key, node] : table) {
        const std::string name(key.str());
        auto where = path;
        where.append(path.empty() ? "" : ".").append(name);
        if (const auto* inner = node.as_table()) {
            if (auto* sub = find_command(app, name); sub != nullptr) {
                check_table(*inner, *sub, where, problems);
            } else {
                problems.add(
                    place_of(node), where, "there is no such command",
                    workflow::advice_for(name, names_in(app))
                );
            }
        } else if (app.get_option_no_throw("--" + name) == nullptr) {
            problems.add(
                place_of(node), where, "there is no such option", workflow::advice_for(name, names_in(app))
            );
        }
    }
}

// As it would stand on the command line; nullopt: it cannot.
std::optional<std::string> argument_of(const toml::node& node) {
    if (const auto* text = node.as_string()) {
        return text->get();
    }
    if (const auto* number = node.as_integer()) {
        return std::to_string(number->get());
    }
    if (const auto* flag = node.as_boolean()) {
        return std::string(flag->get() ? "true" : "false");
    }
    return std::nullopt;
}

// What commands take as text and look at when they start.
Result<void> check_text(std::string_view option, const std::string& text) {
    const bool address = option == "listen" || (option == "admin-listen" && !text.empty() && text != "none");
    if (address) {
        FG_CHECK(server_settings({.listen = text, .tls = false, .certificate = "", .key = ""}));
    }
    if (option == "memory") {
        FG_CHECK(parse_bytes(text, "memory"));
    }
    return {};
}

// Each value by itself, so that all wrong ones are named.
void check_section(const std::string& command, const toml::table& section, workflow::Problems& problems) {
    for (const auto& [key, node] : section) {
        const auto text = argument_of(node);
        if (!text) {
            continue;
        }
        ScratchCli scratch;
        const std::string option(key.str());
        const auto parsed = parse_arguments(scratch.app, {command, "--" + option + "=" + *text});
        const auto good = !parsed && parsed.error().field != kRequired ? parsed : check_text(option, *text);
        if (!good) {
            problems.add(place_of(node), fmt::format("{}.{}", command, option), good.error().message);
        }
    }
}

// The values, as the command itself would take them.
void check_values(const std::string& file, const toml::table& table, workflow::Problems& problems) {
    for (const auto& [key, node] : table) {
        if (!node.is_table()) {
            continue;
        }
        const std::string name(key.str());
        const auto before = problems.errors();
        check_section(name, *node.as_table(), problems);
        if (problems.errors() > before) {
            continue;
        }
        ScratchCli scratch;
        const auto parsed = parse_arguments(scratch.app, {"--config", file, name});
        // What must come with the command itself is not the file's fault.
        if (!parsed && parsed.error().field != kRequired) {
            problems.add(place_of(node), name, parsed.error().message);
        }
    }
}

int check(const CommonOptions& common, const ConfigOptions& options) {
    if (!std::filesystem::exists(options.file)) {
        print_error(common, make_error(Errc::kNotFound, "there is no file " + options.file, "FILE"));
        return kExitFailed;
    }
    const auto problems = config_problems(options.file);
    if (common.json) {
        json::array listed;
        for (const auto& problem : problems) {
            listed.push_back(json::object{
                {"line", problem.place.line},
                {"column", problem.place.column},
                {"option", problem.path},
                {"cause", problem.cause},
                {"advice", problem.advice}
            });
        }
        std::printf(
            "%s\n", json::serialize(json::object{{"file", options.file}, {"problems", listed}}).c_str()
        );
    } else {
        for (const auto& problem : problems) {
            std::fprintf(stderr, "%s:%s\n", options.file.c_str(), workflow::to_string(problem).c_str());
        }
        if (problems.empty()) {
            std::printf("%s: ok\n", options.file.c_str());
        }
    }
    return problems.empty() ? kExitOk : kExitFailed;
}

// One option as a role would run with it.
struct Effective {
    std::string name;
    std::string value;  // as TOML
    std::string from;
};

bool is_secret(const std::string& name) {
    return (name.find("secret") != std::string::npos || name.find("password") != std::string::npos) &&
           !name.ends_with("-file");
}

std::string toml_text(const CLI::Option& option, const std::vector<std::string>& values) {
    const bool flag = option.get_items_expected_max() == 0;
    const auto one = [&](const std::string& value) {
        double number = 0;
        const bool bare = flag || CLI::detail::lexical_cast(value, number);
        return bare ? value : "\"" + value + "\"";
    };
    if (flag) {
        return values.empty() ? "false" : values.back();
    }
    if (option.get_items_expected_max() <= 1) {
        return values.empty() ? "\"\"" : one(values.back());
    }
    std::string list;
    for (const auto& value : values) {
        list += (list.empty() ? "" : ", ") + one(value);
    }
    return "[" + list + "]";
}

Effective effective(const CLI::Option& option, const toml::table* section) {
    Effective out{option.get_lnames().front(), "", "default"};
    const auto& environment = option.get_envname();
    const bool in_file = section != nullptr && section->contains(out.name);
    if (option.count() > 0) {
        out.from = in_file ? "file" : environment.empty() ? "command line" : environment;
        out.value = toml_text(option, option.results());
    } else {
        const auto text = option.get_default_str();
        out.value = toml_text(option, text.empty() ? std::vector<std::string>{} : std::vector{text});
    }
    if (is_secret(out.name) && out.from != "default") {
        out.value = "\"(hidden)\"";
    }
    return out;
}

Result<std::vector<Effective>> effective_options(const CommonOptions& common, const std::string& role) {
    ScratchCli scratch;
    auto* command = find_command(scratch.app, role);
    if (command == nullptr) {
        return fail(
            Errc::kInvalidArgument,
            "there is no command " + role + "; " + workflow::advice_for(role, names_in(scratch.app)),
            "COMMAND"
        );
    }
    // --config and other common options stand before the subcommand.
    std::vector<std::string> arguments;
    for (const auto& argument : common.arguments) {
        if (argument == "config") {
            break;
        }
        arguments.push_back(argument);
    }
    arguments.push_back(role);
    if (auto parsed = parse_arguments(scratch.app, arguments); !parsed && parsed.error().field != kRequired) {
        return fail(std::move(parsed.error()));
    }
    toml::table file;
    if (const auto* config = scratch.app.get_config_ptr(); config != nullptr && config->count() > 0) {
        file = toml::parse_file(config->results().front());  // the parser has read it already
    }
    const auto* section = file[role].as_table();
    std::vector<Effective> out;
    for (const auto* option : command->get_options()) {
        if (option->get_configurable() && !option->get_lnames().empty() &&
            option->get_lnames().front() != "help") {
            out.push_back(effective(*option, section));
        }
    }
    return out;
}

int show(const CommonOptions& common, const ConfigOptions& options) {
    const auto found = effective_options(common, options.role);
    if (!found) {
        print_error(common, found.error());
        return kExitUsage;
    }
    if (common.json) {
        json::array listed;
        for (const auto& one : *found) {
            listed.push_back(json::object{{"option", one.name}, {"value", one.value}, {"from", one.from}});
        }
        std::printf(
            "%s\n", json::serialize(json::object{{"command", options.role}, {"options", listed}}).c_str()
        );
        return kExitOk;
    }
    const host::Colours colours{host::has_colours(1)};
    std::printf("[%s]\n", options.role.c_str());
    for (const auto& one : *found) {
        const auto line = fmt::format("{} = {}", one.name, one.value);
        std::printf("%-50s %s\n", line.c_str(), colours.dim("# " + one.from).c_str());
    }
    return kExitOk;
}

}  // namespace

std::vector<Problem> config_problems(const std::string& file) {
    workflow::Problems problems;
    try {
        const auto table = toml::parse_file(file);
        ScratchCli scratch;
        check_table(table, scratch.app, "", problems);
        if (!problems.has_errors()) {
            check_values(file, table, problems);
        }
    } catch (const toml::parse_error& error) {
        problems.add(place_of(error.source().begin), "", std::string(error.description()));
    }
    return problems.sorted();
}

void add_config_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<ConfigOptions>();
    auto* command =
        app.add_subcommand("config", "Check a configuration file; show what a role would run with");
    command->require_subcommand(1);
    command->footer(
        "An option comes from the command line, else the file (--config), else the environment, else its "
        "default.\n"
        "Examples:\n"
        "  framegrid config check /etc/framegrid.toml\n"
        "  framegrid --config /etc/framegrid.toml config show gateway > effective.toml"
    );
    auto* checking =
        command->add_subcommand("check", "name every unknown option and wrong value, with its line");
    checking->add_option("FILE", options->file, "a TOML file with a section for each subcommand")->required();
    checking->callback([options, &common, &run] {
        run = [options, &common] { return check(common, *options); };
    });
    auto* showing =
        command->add_subcommand("show", "every option of a command with its value and where that is from");
    showing->add_option("COMMAND", options->role, "gateway, orchestrator, worker ...")->capture_default_str();
    showing->callback([options, &common, &run] {
        run = [options, &common] { return show(common, *options); };
    });
}

}  // namespace framegrid::app
