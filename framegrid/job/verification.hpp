// How a client wants the result of its job checked.
#pragma once

#include <cstdint>
#include <string_view>

#include <boost/json/fwd.hpp>

#include <framegrid/base/result.hpp>
#include <framegrid/job/constraints.hpp>

namespace framegrid::job {

enum class VerificationMode : std::uint8_t {
    kNone,
    kRepeat,  // a second orchestrator does the same, and the results are compared
};

// What happens when the results differ.
enum class OnMismatch : std::uint8_t {
    kFail,    // the job fails
    kReport,  // the client gets the first result, and is told
};

struct Verification {
    VerificationMode mode = VerificationMode::kNone;
    OnMismatch on_mismatch = OnMismatch::kFail;

    bool repeats() const { return mode == VerificationMode::kRepeat; }
    friend bool operator==(const Verification&, const Verification&) = default;
};

// "none", "repeat"; "fail", "report": in documents and records.
std::string_view to_string(VerificationMode mode);
std::string_view to_string(OnMismatch on_mismatch);

// A job's `verification`. kInvalidArgument names the field ("verification.mode").
Result<Verification> read_verification(const boost::json::value& value);
boost::json::object verification_json(const Verification& verification);
// kInvalidArgument: there are not two orchestrators among those that may have the job.
Result<void> check_verification(const Verification& verification, const Constraints& constraints);

}  // namespace framegrid::job
