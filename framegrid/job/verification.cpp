#include <framegrid/job/verification.hpp>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>

namespace framegrid::job {

namespace {

namespace json = boost::json;

std::string_view text_of(const json::value& value) {
    return value.is_string() ? std::string_view(value.get_string()) : std::string_view();
}

}  // namespace

std::string_view to_string(VerificationMode mode) {
    return mode == VerificationMode::kRepeat ? "repeat" : "none";
}

std::string_view to_string(OnMismatch on_mismatch) {
    return on_mismatch == OnMismatch::kReport ? "report" : "fail";
}

Result<Verification> read_verification(const json::value& value) {
    if (!value.is_object()) {
        return fail(
            Errc::kInvalidArgument, R"(verification is an object, for example {"mode": "repeat"})",
            "verification"
        );
    }
    Verification out;
    for (const auto& [key, given] : value.get_object()) {
        const std::string field = "verification." + printable(std::string(key), 64);
        const auto text = text_of(given);
        if (key == "mode") {
            if (text != "none" && text != "repeat") {
                return fail(Errc::kInvalidArgument, "mode is none or repeat", field);
            }
            out.mode = text == "repeat" ? VerificationMode::kRepeat : VerificationMode::kNone;
        } else if (key == "on_mismatch") {
            if (text != "fail" && text != "report") {
                return fail(Errc::kInvalidArgument, "on_mismatch is fail or report", field);
            }
            out.on_mismatch = text == "report" ? OnMismatch::kReport : OnMismatch::kFail;
        } else {
            return fail(
                Errc::kInvalidArgument, "verification has no such field; it has: mode, on_mismatch", field
            );
        }
    }
    if (!value.get_object().contains("mode")) {
        return fail(Errc::kInvalidArgument, "mode is missing: none or repeat", "verification.mode");
    }
    return out;
}

json::object verification_json(const Verification& verification) {
    return {{"mode", to_string(verification.mode)}, {"on_mismatch", to_string(verification.on_mismatch)}};
}

Result<void> check_verification(const Verification& verification, const Constraints& constraints) {
    if (verification.repeats() && !constraints.orchestrators.empty()) {
        const auto& first = constraints.orchestrators.front();
        const Constraints without{constraints.orchestrators, {first}};
        if (std::ranges::none_of(constraints.orchestrators, [&without](const std::string& uri) {
                return without.allow(uri);
            })) {
            return fail(
                Errc::kInvalidArgument,
                "repeat needs two orchestrators, and constraints.orchestrators names only one",
                "verification.mode"
            );
        }
    }
    return {};
}

}  // namespace framegrid::job
