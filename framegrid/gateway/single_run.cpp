#include <framegrid/gateway/single_run.hpp>

#include <algorithm>
#include <limits>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/gateway/candidates.hpp>
#include <framegrid/media/file_types.hpp>

namespace framegrid::gateway {

namespace {

namespace json = boost::json;

constexpr std::string_view kFirst = "first";
constexpr std::string_view kRepeat = "repeat";

std::int64_t capped_sum(std::int64_t a, const Wei& b) {
    const std::int64_t room = std::numeric_limits<std::int64_t>::max() - a;
    return a + (b < room ? static_cast<std::int64_t>(b) : room);
}

std::string text_of(const json::object& from, std::string_view name) {
    const auto* value = from.if_contains(name);
    return value != nullptr && value->is_string() ? json::value_to<std::string>(*value) : std::string();
}

// What was kept here; anything else is nothing.
std::optional<json::object> object_of(const std::optional<std::string>& text) {
    boost::system::error_code bad;
    auto value = text ? json::parse(*text, bad) : json::value();
    const bool good = !bad && value.is_object() && value.get_object().contains("run") &&
                      value.get_object().at("run").is_object();
    return good ? std::optional(std::move(value.get_object())) : std::nullopt;
}

RunFacts facts_of(const json::object& result) {
    const auto& run = result.at("run").as_object();
    RunFacts out;
    out.orchestrator = text_of(run, "orchestrator");
    out.model_digest = text_of(run, "model_digest");
    const Wei wei(
        text_of(run, "wei").find_first_not_of("0123456789") == std::string::npos ? text_of(run, "wei") : "0"
    );
    out.wei = capped_sum(0, wei);
    for (const auto& output : result.at("outputs").as_array()) {
        out.digests.push_back(text_of(output.as_object(), "sha256"));
    }
    return out;
}

}  // namespace

json::object price_json(const Price& price) {
    return {{"wei", std::to_string(price.wei)}, {"units", price.units}};
}

SingleRun::SingleRun(
    const WorkPorts& ports, const WorkSettings& settings, api::StoredFiles& files, const KeptResults& results,
    job::Record record, job::Document document, JobTeller tell
)
    : ports_(ports),
      settings_(settings),
      files_(files),
      results_(results),
      loader_(ports, settings),
      repeated_(ports, settings),
      record_(std::move(record)),
      document_(std::move(document)),
      tell_(std::move(tell)),
      owner_{record_.owner, record_.id, job::parse_trace_text(record_.trace), document_.constraints} {}

Task<Result<std::string>> SingleRun::to_end(PreparedJob prepared, Deadline deadline) {
    prepared.job.request.owner = record_.owner;
    prepared.job.request.work.trace = owner_.trace;
    if (document_.verification.repeats()) {
        co_return co_await run_twice(std::move(prepared), deadline);
    }
    auto request = std::move(prepared.job.request);
    auto result = co_await run_once(std::move(request), std::move(prepared), deadline);
    if (!result) {
        co_return fail(std::move(result.error()));
    }
    co_return json::serialize(*result);
}

void SingleRun::watch(JobRequest& request, Leg& leg) {
    if (document_.pipeline == job::kEcho) {
        return;
    }
    const bool again = leg.name == kRepeat;
    request.progress = [this, again](const api::Progress& progress) {
        json::object data{{"step", progress.done}, {"steps", progress.total}};
        if (again) {
            data["repeat"] = true;
        }
        tell_("progress", json::serialize(data), progress.preview);
    };
    request.attempt = [this, again](const std::string& orchestrator, int attempt) {
        json::object data{{"orchestrator", valid_utf8(orchestrator)}, {"attempt", attempt}};
        if (again) {
            data["repeat"] = true;
        }
        tell_("node", json::serialize(data), {});
    };
    request.refused = [this](const market::Explanation& why) {
        tell_("candidates", json::serialize(candidates_json(why)), {});
    };
    request.paying = [this, &leg](Wei fee) { return note_paid(leg, std::move(fee)); };
}

// Only who has had the job before can have paid for it.
Task<Result<void>> SingleRun::recall(Leg& leg) const {
    if (record_.attempt > 1) {
        FG_CO_TRY(found, co_await results_.find_paid(owner_, std::string(leg.name)));
        leg.before.lost_wei = capped_sum(found.lost_wei, found.wei);
    }
    leg.paid = leg.before;
    co_return Result<void>{};
}

// Before it leaves: a process that takes the job up again bills what this one has paid for nothing.
Task<Result<void>> SingleRun::note_paid(Leg& leg, Wei fee) {
    leg.paid.wei = capped_sum(leg.paid.wei, fee);
    FG_CO_CHECK(co_await results_.keep_paid(owner_, std::string(leg.name), leg.paid));
    // At most: an attempt that is not answered may cost nothing in the end.
    told_ += fee;
    tell_("price", json::serialize(json::object{{"wei", told_.str()}}), {});
    co_return Result<void>{};
}

Task<Result<void>> SingleRun::forget_paid(const Leg& leg) const {
    if (leg.paid == leg.before) {
        co_return Result<void>{};
    }
    co_return co_await results_.keep_paid(owner_, std::string(leg.name), leg.before);
}

Task<Result<json::object>> SingleRun::run_once(JobRequest request, PreparedJob prepared, Deadline deadline) {
    Leg leg{kFirst};
    FG_CO_CHECK(co_await recall(leg));
    told_ += leg.before.lost_wei;
    watch(request, leg);
    auto result = co_await ports_.gateway.run(std::move(request), deadline);
    if (!result) {
        FG_CO_CHECK(co_await forget_paid(leg));
        co_return fail(std::move(result.error()));
    }
    co_return co_await keep(std::move(*result), leg, prepared.job.units, std::move(prepared.transfer));
}

// The same job may find other bytes behind an URL when it is taken up again: that is other work.
Task<std::string> SingleRun::work_key(const api::Work& work) const {
    auto hash = [&work] {
        const auto* ai = std::get_if<api::AiWork>(&work.kind);
        const auto text =
            (ai == nullptr ? "" : ai->parameters) + "/" + crypto::hex(crypto::sha256(work.input.view()));
        return crypto::hex(crypto::sha256(as_bytes(text)));
    };
    co_return co_await offload(ports_.pool, std::move(hash));
}

// Kept before the second run begins: who takes the job up again does that one alone.
Task<Result<json::object>> SingleRun::first_result(
    JobRequest request, PreparedJob prepared, Deadline deadline
) {
    const auto key = co_await work_key(request.work);
    auto kept = co_await results_.find_first(owner_, key);
    if (!kept) {
        co_return fail(std::move(kept.error()));
    }
    if (auto known = object_of(*kept)) {
        told_ += facts_of(*known).wei;
        co_return *std::move(known);
    }
    auto result = co_await run_once(std::move(request), std::move(prepared), deadline);
    if (result) {
        FG_CO_CHECK(co_await results_.keep_first(owner_, key, json::serialize(*result)));
    }
    co_return result;
}

Task<Result<std::string>> SingleRun::run_twice(PreparedJob prepared, Deadline deadline) {
    auto request = prepared.job.request;
    if (request.price_max) {
        request.price_max = half_of(*request.price_max);
    }
    auto result = co_await first_result(std::move(request), prepared, deadline);
    if (!result) {
        co_return fail(std::move(result.error()));
    }
    auto verified = co_await repeat(std::move(prepared), facts_of(*result), deadline);
    if (!verified) {
        co_return fail(std::move(verified.error()));
    }
    auto told = job::verification_json(document_.verification);
    for (auto& [name, value] : verified_json(*verified)) {
        told[name] = std::move(value);
    }
    tell_("verification", json::serialize(told), {});
    if (verified->outcome == Outcome::kDisagreed &&
        document_.verification.on_mismatch == job::OnMismatch::kFail) {
        co_return fail(mismatch_error(*verified));
    }
    result->at("run").as_object()["wei"] = bill(Wei(verified->first.wei) + verified->second.wei);
    co_return json::serialize(*result);
}

Task<Result<Verified>> SingleRun::repeat(PreparedJob prepared, RunFacts first, Deadline deadline) {
    std::optional<Price> left;
    if (prepared.job.request.price_max) {
        left = price_left(*document_.max_price_wei, first.wei, prepared.job.units);
    }
    auto request = repeat_of(std::move(prepared.job.request), first, left);
    if (prepared.transfer != nullptr) {
        const auto input = *document_.inputs.begin();
        auto transfer =
            co_await loader_.transfer(record_.owner, input.first, input.second, settings_.transfer_bytes_max);
        if (!transfer) {
            co_return fail(std::move(transfer.error()));
        }
        request.work.transfer = std::move(*transfer);
    }
    Leg leg{kRepeat};
    FG_CO_CHECK(co_await recall(leg));
    told_ += leg.before.lost_wei;
    watch(request, leg);
    auto verified = co_await repeated_.run(
        record_.id, std::move(request), prepared.job.units, FinishedRun{std::move(first), {}}, deadline
    );
    if (verified.second.orchestrator.empty()) {
        FG_CO_CHECK(co_await forget_paid(leg));
    }
    verified.second.wei = capped_sum(verified.second.wei, leg.before.lost_wei);
    co_return verified;
}

Task<Result<json::object>> SingleRun::keep_one(
    api::Artifact artifact, std::shared_ptr<ObjectTransfer> transfer
) {
    const bool transferred = artifact.file.has_value() && transfer != nullptr;
    const Blob head = transferred ? transfer->result_head() : artifact.bytes;
    job::ArtifactRecord about;
    about.owner = record_.owner;
    about.job_id = record_.id;
    about.content_type = std::string(media::recognise(head.view()).value_or("application/octet-stream"));
    about.name = record_.kind + std::string(media::extension_of(about.content_type));
    auto keeping = transferred ? files_.add_record(std::move(about), transfer->result().value(), head)
                               : files_.keep(std::move(about), std::move(artifact.bytes));
    const auto kept = co_await std::move(keeping);
    if (!kept) {
        co_return fail(kept.error());
    }
    json::object out{
        {"artifact", kept->id},
        {"content_type", kept->content_type},
        {"bytes", kept->bytes},
        {"sha256", kept->digest}
    };
    if (artifact.seed) {
        out["seed"] = *artifact.seed;
    }
    if (artifact.nsfw) {
        out["nsfw"] = *artifact.nsfw;
    }
    co_return out;
}

Task<Result<json::object>> SingleRun::keep(
    JobResult result, const Leg& leg, Pixels units, std::shared_ptr<ObjectTransfer> transfer
) {
    json::array outputs;
    for (auto& artifact : result.output.artifacts) {
        if (artifact.bytes.empty() && !(artifact.file && transfer)) {
            continue;
        }
        auto kept = co_await keep_one(std::move(artifact), transfer);
        if (!kept) {
            co_return fail(std::move(kept.error()).with_context("the result could not be stored"));
        }
        outputs.push_back(std::move(*kept));
    }
    // Rounded up, as orchestrators bill.
    const auto wei = cost_of(result, units);
    json::object run{
        {"orchestrator", valid_utf8(result.orchestrator)},
        {"attempts", result.attempts},
        {"units", units.value},
        {"price", price_json(result.price)},
        {"wei", wei ? bill(Wei(*wei) + leg.before.lost_wei) : std::string(kUncountable)}
    };
    if (leg.before.lost_wei > 0) {
        run["lost_wei"] = std::to_string(leg.before.lost_wei);
    }
    if (const auto& ai = result.output.ai) {
        run["model"] = valid_utf8(ai->model_id);
        run["model_digest"] = valid_utf8(ai->model_digest);
        run["steps"] = ai->steps;
        run["runtime_ms"] = ai->runtime_ms;
    }
    co_return json::object{{"outputs", std::move(outputs)}, {"run", std::move(run)}};
}

std::string SingleRun::bill(const Wei& wei) const {
    const auto& most = document_.max_price_wei;
    return most && wei > *most ? std::to_string(*most) : wei.str();
}

}  // namespace framegrid::gateway
