#include <framegrid/app/verification_options.hpp>

#include <framegrid/app/json_lookup.hpp>

namespace framegrid::app {

namespace json = boost::json;

void add_verification_options(CLI::App& command, VerificationOptions& options) {
    command
        .add_option(
            "--verification", options.mode,
            "repeat: a second orchestrator does the same, and the results are compared"
        )
        ->check(CLI::IsMember({"none", "repeat"}));
    command.add_option("--on-mismatch", options.on_mismatch, "when the results differ")
        ->check(CLI::IsMember({"fail", "report"}));
}

void put_verification(const VerificationOptions& options, json::object& document) {
    if (options.mode.empty() && options.on_mismatch.empty()) {
        return;
    }
    auto& verification = document["verification"];
    if (!verification.is_object()) {
        verification = json::object{};
    }
    if (!options.mode.empty()) {
        verification.get_object()["mode"] = options.mode;
    }
    if (!options.on_mismatch.empty()) {
        verification.get_object()["on_mismatch"] = options.on_mismatch;
    }
}

std::string verification_line(const json::object& verification) {
    auto out = text_of(verification, "outcome");
    if (const auto compared = text_of(verification, "compared"); !compared.empty()) {
        out += " (" + compared + ")";
    }
    if (const auto reason = text_of(verification, "reason"); !reason.empty()) {
        out += ": " + reason;
    }
    return out;
}

}  // namespace framegrid::app
