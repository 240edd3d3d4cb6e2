#include <sim/liar.hpp>

#include <framegrid/runtime/async.hpp>

namespace framegrid::sim {

Task<Result<api::OrchestratorInfo>> Liar::get_info(api::InfoRequest request, Deadline deadline) {
    auto info = co_await honest_.get_info(std::move(request), deadline);
    if (info && lie_ == Lie::kBadTokens) {
        random_.fill(info->auth_token.token);
    }
    co_return info;
}

Task<Result<api::JobOutput>> Liar::run(api::Job job, Deadline deadline) {
    switch (lie_) {
        case Lie::kGarbage: {
            api::JobOutput out;
            if (job.early) {
                const api::Artifact rubbish{"P240", "video/mp2t", Blob::copy_of("rubbish"), {}, {}};
                job.early(0, rubbish);
                job.early(random_.below(1000), rubbish);
            }
            if (random_.chance(0.5) && std::holds_alternative<api::TranscodeWork>(job.work.kind)) {
                out.output.artifacts.push_back({"P240", "video/mp2t", Blob::copy_of("rubbish"), {}, {}});
            }
            co_return out;
        }
        case Lie::kHang:
            co_await sleep_until(clock_, deadline.at + std::chrono::hours(1));
            co_return fail(Errc::kInternal, "nobody waits that long");
        case Lie::kBusy:
            co_return fail(Errc::kCapacity, "OrchestratorBusy");
        case Lie::kIncompatible:
            co_return fail(Errc::kForbidden, "incompatible capabilities");
        case Lie::kCallsInputBad:
            co_return fail(Errc::kUnprocessable, "this is not media (a lie)");
        case Lie::kBadTokens:
            break;
    }
    co_return co_await honest_.run(std::move(job), deadline);
}

Task<Result<void>> Liar::end_session(api::AuthToken token, Deadline deadline) {
    return honest_.end_session(std::move(token), deadline);
}

}  // namespace framegrid::sim
