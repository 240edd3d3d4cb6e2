#include <framegrid/gateway/repeated_run.hpp>

#include <boost/json.hpp>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/gateway/work_units.hpp>

namespace framegrid::gateway {

namespace {

namespace json = boost::json;

constexpr Duration kMargin = std::chrono::seconds(1);  // of the deadline, for what comes after the second run

// The file is at fault, not we.
bool is_about_files(const Error& error) {
    return error.code == Errc::kUnprocessable || error.code == Errc::kUnsupported ||
           error.code == Errc::kTooLarge || error.code == Errc::kInvalidArgument;
}

Verified unavailable(std::string reason, RunFacts first) {
    Verified out;
    out.reason = std::move(reason);
    out.first = std::move(first);
    return out;
}

std::string digest_of(const api::Artifact& file) {
    return crypto::hex(file.file ? file.file->sha256 : crypto::sha256(file.bytes.view()));
}

}  // namespace

Task<FinishedRun> run_of(WorkPool& pool, const JobResult& result, std::int64_t wei) {
    FinishedRun out;
    out.facts.orchestrator = result.orchestrator;
    out.facts.model_digest = result.output.ai ? result.output.ai->model_digest : "";
    out.facts.wei = wei;
    auto hash = [&out, &files = result.output.artifacts] {
        for (const auto& file : files) {
            if (!file.bytes.empty() || file.file) {
                out.facts.digests.push_back(digest_of(file));
                out.files.push_back(file.bytes);
            }
        }
        return true;
    };
    (void)co_await offload(pool, std::move(hash));
    co_return out;
}

Task<Result<JobResult>> RepeatedRun::ask(JobRequest request, Deadline deadline) const {
    Duration wait = settings_.wait_first;
    for (;;) {
        auto result = co_await ports_.gateway.run(request, deadline);
        const bool later =
            !result && (result.error().code == Errc::kCapacity || result.error().code == Errc::kUnavailable);
        if (!later || !ports_.gateway.offer(request) || ports_.clock.now() + wait >= deadline.at) {
            co_return result;
        }
        co_await sleep_for(ports_.clock, wait);
        wait = std::min(wait * 2, settings_.wait_max);
    }
}

Task<Verified> RepeatedRun::run(
    std::string job_id, JobRequest request, std::optional<Pixels> units, FinishedRun first, Deadline deadline
) const {
    const VerificationRules rules(request.work);
    const std::string trace = request.work.trace.trace_id;
    Deadline soon = deadline;
    soon.at -= soon.at == TimePoint::max() ? Duration{} : kMargin;
    auto done = co_await ask(request, soon);
    Verified out;
    if (!done) {
        out =
            unavailable("no other orchestrator has done it: " + done.error().message, std::move(first.facts));
    } else {
        const Pixels counted = units.value_or(Pixels{units_of(request, done->output)});
        const auto wei = cost_of(*done, counted).value_or(0);
        auto second = co_await run_of(ports_.pool, *done, wei);
        auto compared = co_await compare(rules, first, second, deadline);
        if (compared) {
            out = std::move(*compared);
        } else {
            out = unavailable("cannot be compared: " + compared.error().message, std::move(first.facts));
            out.second = std::move(second.facts);
        }
    }
    ports_.verified.count(out.outcome);
    tell(job_id, trace, out);
    co_return out;
}

Task<Result<Verified>> RepeatedRun::compare(
    VerificationRules rules, FinishedRun first, FinishedRun second, Deadline deadline
) const {
    std::vector<Likeness> likenesses;
    for (const auto at : rules.to_compare(first.facts, second.facts)) {
        Blob one = at < first.files.size() ? first.files[at] : Blob();
        if (first.files.empty()) {
            auto loaded = co_await loader_.object(first.facts.digests[at], deadline);
            if (!loaded) {
                co_return fail(std::move(loaded.error()));
            }
            one = std::move(*loaded);
        }
        auto found = co_await likeness(std::move(one), second.files[at], deadline);
        if (!found) {
            co_return fail(std::move(found.error()));
        }
        likenesses.push_back(std::move(*found));
    }
    co_return rules.judge(std::move(first.facts), std::move(second.facts), likenesses);
}

Task<Result<Likeness>> RepeatedRun::likeness(Blob a, Blob b, Deadline deadline) const {
    api::MediaOperation operation{std::string(api::kCompareOperation), "{}", {}};
    operation.files.push_back({"a", std::move(a)});
    operation.files.push_back({"b", std::move(b)});
    const auto done = co_await ports_.operations.run(std::move(operation), deadline);
    if (!done) {
        if (is_about_files(done.error())) {
            co_return Likeness{done.error().message, 0};
        }
        co_return fail(done.error());
    }
    boost::system::error_code bad;
    const auto root = json::parse(done->front().bytes.text(), bad);
    const auto* object = bad ? nullptr : root.if_object();
    const auto* difference = object == nullptr ? nullptr : object->if_contains("difference");
    const auto* psnr = object == nullptr ? nullptr : object->if_contains("psnr_db");
    if (difference == nullptr || !difference->is_string() || psnr == nullptr || !psnr->is_number()) {
        co_return fail(Errc::kInternal, "the media process has answered nonsense");
    }
    co_return Likeness{json::value_to<std::string>(*difference), psnr->to_number<double>()};
}

void RepeatedRun::tell(const std::string& job_id, const std::string& trace, const Verified& verified) const {
    const std::initializer_list<LogField> fields{
        {"job", job_id},
        {"first", verified.first.orchestrator},
        {"second", verified.second.orchestrator},
        {"compared", to_string(verified.compared)},
        {"reason", verified.reason},
        {"trace", trace}
    };
    if (verified.outcome == Outcome::kDisagreed) {
        ports_.log.warn("gateway.verification_disagreed", fields);
    } else if (verified.outcome == Outcome::kUnavailable) {
        ports_.log.info("gateway.verification_unavailable", fields);
    }
}

}  // namespace framegrid::gateway
