#include <framegrid/gateway/verification.hpp>

#include <algorithm>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>
#include <framegrid/job/pipelines.hpp>

namespace framegrid::gateway {

namespace {

namespace json = boost::json;

// Devices round differently; another model, seed or picture is far below this.
constexpr double kAiPsnrMinDb = 50;
// Encoders, and their versions, choose differently under the same limits: two presets of one gave 25 to 42
// dB, the least with noise and too few bits.
constexpr double kTranscodePsnrMinDb = 24;

json::object run_json(const RunFacts& run) {
    json::object out{{"orchestrator", valid_utf8(run.orchestrator)}, {"wei", std::to_string(run.wei)}};
    if (!run.model_digest.empty()) {
        out["model_digest"] = valid_utf8(run.model_digest);
    }
    if (!run.digests.empty()) {
        out["sha256"] = json::value_from(run.digests);
    }
    return out;
}

}  // namespace

std::string_view to_string(Outcome outcome) {
    return outcome == Outcome::kAgreed      ? "agreed"
           : outcome == Outcome::kDisagreed ? "disagreed"
                                            : "unavailable";
}

std::string_view to_string(Compared compared) {
    return compared == Compared::kBytes ? "bytes" : compared == Compared::kPictures ? "pictures" : "nothing";
}

json::object verified_json(const Verified& verified) {
    json::object out{{"outcome", to_string(verified.outcome)}, {"compared", to_string(verified.compared)}};
    if (verified.psnr_db) {
        out["psnr_db"] = *verified.psnr_db;
    }
    if (!verified.reason.empty()) {
        out["reason"] = valid_utf8(verified.reason);
    }
    out["first"] = run_json(verified.first);
    if (!verified.second.orchestrator.empty()) {
        out["second"] = run_json(verified.second);
    }
    out["wei"] = (Wei(verified.first.wei) + Wei(verified.second.wei)).str();
    return out;
}

VerificationRules::VerificationRules(const api::Work& work)
    : psnr_min_db_(std::holds_alternative<api::AiWork>(work.kind) ? kAiPsnrMinDb : kTranscodePsnrMinDb) {
    const auto* ai = std::get_if<api::AiWork>(&work.kind);
    bytes_only_ = ai != nullptr && job::find_pipeline(ai->pipeline) == nullptr;  // echo
}

std::vector<std::size_t> VerificationRules::to_compare(const RunFacts& first, const RunFacts& second) const {
    std::vector<std::size_t> out;
    if (bytes_only_ || first.digests.size() != second.digests.size()) {
        return out;
    }
    for (std::size_t i = 0; i < first.digests.size(); ++i) {
        if (first.digests[i] != second.digests[i]) {
            out.push_back(i);
        }
    }
    return out;
}

Verified VerificationRules::judge(RunFacts first, RunFacts second, const std::vector<Likeness>& likenesses)
    const {
    Verified out;
    const bool equal = first.digests == second.digests;
    const auto files = std::pair(first.digests.size(), second.digests.size());
    out.first = std::move(first);
    out.second = std::move(second);
    if (equal) {
        out.outcome = Outcome::kAgreed;
        out.compared = Compared::kBytes;
        return out;
    }
    out.outcome = Outcome::kDisagreed;
    out.compared = likenesses.empty() ? Compared::kBytes : Compared::kPictures;
    if (files.first != files.second) {
        out.reason = fmt::format("{} and {} files", files.first, files.second);
        return out;
    }
    if (likenesses.empty()) {
        out.reason = "their bytes differ";
        return out;
    }
    for (const auto& one : likenesses) {
        if (!one.difference.empty()) {
            out.psnr_db.reset();
            out.reason = one.difference;
            return out;
        }
        out.psnr_db = std::min(out.psnr_db.value_or(one.psnr_db), one.psnr_db);
    }
    if (*out.psnr_db >= psnr_min_db_) {
        out.outcome = Outcome::kAgreed;
    } else {
        out.reason = fmt::format("PSNR {:.1f} dB, below {:.0f}", *out.psnr_db, psnr_min_db_);
    }
    return out;
}

Price half_of(Price both) {
    return {both.wei / 2, both.units};
}

JobRequest repeat_of(JobRequest request, const RunFacts& first, std::optional<Price> left) {
    request.constraints.avoid.push_back(first.orchestrator);
    request.early = nullptr;
    if (left) {
        request.price_max = *left;
        request.price_told = false;  // it says what the first one has asked
    }
    return request;
}

Price price_left(std::int64_t both_wei, std::int64_t wei, Pixels units) {
    return {std::max<std::int64_t>(both_wei - wei, 0), std::max<std::int64_t>(units.value, 1)};
}

Error mismatch_error(const Verified& verified) {
    auto error = make_error(
        Errc::kProtocol,
        "two orchestrators gave different results, " + verified.first.orchestrator + " and " +
            verified.second.orchestrator + ": " + verified.reason,
        "verification"
    );
    // To do it once more would buy both again, and could not say who was right.
    return std::move(error).with_disposition(Disposition::kReject);
}

void VerificationStats::count(Outcome outcome) {
    ++(outcome == Outcome::kAgreed ? agreed : outcome == Outcome::kDisagreed ? disagreed : unavailable);
}

VerificationStats& VerificationStats::operator+=(const VerificationStats& more) {
    agreed += more.agreed;
    disagreed += more.disagreed;
    unavailable += more.unavailable;
    return *this;
}

void dump(MetricsWriter& out, const VerificationStats& stats) {
    const auto counted = [&out](Outcome outcome, std::uint64_t count) {
        out.counter("framegrid_verifications_total", count, {{"outcome", to_string(outcome)}});
    };
    counted(Outcome::kAgreed, stats.agreed);
    counted(Outcome::kDisagreed, stats.disagreed);
    counted(Outcome::kUnavailable, stats.unavailable);
}

}  // namespace framegrid::gateway
