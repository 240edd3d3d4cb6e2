#include <framegrid/gateway/kept_results.hpp>

#include <algorithm>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>
#include <framegrid/crypto/hash.hpp>

namespace framegrid::gateway {

namespace {

namespace json = boost::json;

json::object file_json(const StepFile& file) {
    return {
        {"id", file.id},
        {"name", file.name},
        {"kind", workflow::to_string(workflow::Type{file.about.kind, false})},
        {"digest", file.about.digest},
        {"bytes", file.about.bytes},
        {"content_type", file.about.content_type},
        {"width", file.about.width},
        {"height", file.about.height},
        {"duration_ms", file.about.duration_ms},
        {"frames", file.about.frames}
    };
}

std::string result_json(const StepResult& result) {
    json::array files;
    for (const auto& file : result.files) {
        files.push_back(file_json(file));
    }
    return json::serialize(json::object{
        {"files", std::move(files)},
        {"wei", result.wei},
        {"lost_wei", result.lost_wei},
        {"model_digest", result.model_digest},
        {"orchestrator", valid_utf8(result.orchestrator)},
        {"agreed", result.checked.agreed},
        {"disagreed", result.checked.disagreed},
        {"unavailable", result.checked.unavailable}
    });
}

StepFile read_file(const json::object& from) {
    StepFile out;
    out.id = json::value_to<std::string>(from.at("id"));
    out.name = json::value_to<std::string>(from.at("name"));
    out.about.kind = workflow::parse_type(from.at("kind").as_string()).value_or(workflow::Type{}).kind;
    out.about.digest = json::value_to<std::string>(from.at("digest"));
    out.about.bytes = from.at("bytes").to_number<std::uint64_t>();
    out.about.content_type = json::value_to<std::string>(from.at("content_type"));
    out.about.width = from.at("width").to_number<int>();
    out.about.height = from.at("height").to_number<int>();
    out.about.duration_ms = from.at("duration_ms").to_number<std::int64_t>();
    out.about.frames = from.at("frames").to_number<std::int64_t>();
    return out;
}

// What was written here; anything else is no result.
std::optional<StepResult> read_result(std::string_view text) {
    try {
        const auto root = json::parse(text).as_object();
        StepResult out;
        for (const auto& file : root.at("files").as_array()) {
            out.files.push_back(read_file(file.as_object()));
        }
        out.wei = root.at("wei").to_number<std::int64_t>();
        if (const auto* lost = root.if_contains("lost_wei")) {
            out.lost_wei = lost->to_number<std::int64_t>();
        }
        if (root.contains("agreed")) {
            out.checked.agreed = root.at("agreed").to_number<std::uint64_t>();
            out.checked.disagreed = root.at("disagreed").to_number<std::uint64_t>();
            out.checked.unavailable = root.at("unavailable").to_number<std::uint64_t>();
        }
        out.model_digest = json::value_to<std::string>(root.at("model_digest"));
        out.orchestrator = json::value_to<std::string>(root.at("orchestrator"));
        return out;
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

std::string start_key(const std::string& job_id) {
    return crypto::hex(crypto::sha256(as_bytes("framegrid start/" + job_id)));
}

std::string paid_key(const std::string& job_id, const std::string& key) {
    return crypto::hex(crypto::sha256(as_bytes("framegrid paid/" + job_id + "/" + key)));
}

std::string first_run_key(const std::string& job_id, const std::string& key) {
    return crypto::hex(crypto::sha256(as_bytes("framegrid first/" + job_id + "/" + key)));
}

}  // namespace

Task<Result<void>> KeptResults::put(StepOwner owner, std::string key, std::string data) const {
    api::KeptResult kept;
    kept.owner = std::move(owner.owner);
    kept.key = std::move(key);
    kept.job_id = std::move(owner.job_id);
    kept.data = std::move(data);
    kept.created_unix_ms = ports_.clock.unix_ms();
    kept.expires_unix_ms = kept.created_unix_ms + milliseconds(settings_.artifact_life);
    co_return co_await ports_.results.keep(std::move(kept));
}

Task<Result<void>> KeptResults::keep(StepOwner owner, std::string key, StepResult result) const {
    co_return co_await put(std::move(owner), std::move(key), result_json(result));
}

Task<Result<void>> KeptResults::keep_paid(StepOwner owner, std::string key, PaidWork paid) const {
    const std::string name = paid_key(owner.job_id, key);
    auto data = json::serialize(json::object{{"lost_wei", paid.lost_wei}, {"wei", paid.wei}});
    co_return co_await put(std::move(owner), name, std::move(data));
}

Task<Result<PaidWork>> KeptResults::find_paid(StepOwner owner, std::string key) const {
    const auto found =
        co_await ports_.results.find(owner.owner, paid_key(owner.job_id, key), ports_.clock.unix_ms());
    if (!found) {
        co_return fail(found.error());
    }
    PaidWork out;
    if (*found) {
        boost::system::error_code bad;
        const auto root = json::parse((*found)->data, bad);
        if (!bad && root.is_object()) {
            const auto number = [&root](std::string_view name) {
                const auto* value = root.get_object().if_contains(name);
                return value != nullptr && value->is_int64() ? value->get_int64() : 0;
            };
            out = {number("lost_wei"), number("wei")};
        }
    }
    co_return out;
}

Task<Result<void>> KeptResults::keep_start(StepOwner owner, std::string state) const {
    const std::string key = start_key(owner.job_id);
    co_return co_await put(std::move(owner), key, std::move(state));
}

Task<Result<std::optional<std::string>>> KeptResults::find_start(StepOwner owner) const {
    const std::string key = start_key(owner.job_id);
    co_return co_await text_of(std::move(owner), key);
}

Task<Result<void>> KeptResults::keep_first(StepOwner owner, std::string key, std::string result) const {
    const std::string name = first_run_key(owner.job_id, key);
    co_return co_await put(std::move(owner), name, std::move(result));
}

Task<Result<std::optional<std::string>>> KeptResults::find_first(StepOwner owner, std::string key) const {
    const std::string name = first_run_key(owner.job_id, key);
    co_return co_await text_of(std::move(owner), name);
}

Task<Result<std::optional<std::string>>> KeptResults::text_of(StepOwner owner, std::string key) const {
    auto found = co_await ports_.results.find(std::move(owner.owner), std::move(key), ports_.clock.unix_ms());
    if (!found) {
        co_return fail(std::move(found.error()));
    }
    co_return *found ? std::optional(std::move((*found)->data)) : std::nullopt;
}

// A record of this job's own, so that the file lives as long as what else the job made. False: it is gone.
Task<Result<bool>> KeptResults::renew(StepOwner owner, StepFile& file) const {
    auto record = co_await ports_.artifacts.find(file.id);
    if (!record) {
        if (record.error().code == Errc::kNotFound) {
            co_return false;
        }
        co_return fail(std::move(record.error()));
    }
    record->job_id = std::move(owner.job_id);
    api::ObjectInfo object{record->digest, record->bytes};
    auto added = co_await files_.add_record(std::move(*record), std::move(object), {});
    if (!added) {
        co_return fail(std::move(added.error()));
    }
    file.id = std::move(added->id);
    co_return true;
}

Task<Result<std::optional<FoundResult>>> KeptResults::find(
    StepOwner owner, std::string key, std::string model_digest
) const {
    auto kept = co_await ports_.results.find(owner.owner, std::move(key), ports_.clock.unix_ms());
    if (!kept) {
        co_return fail(std::move(kept.error()));
    }
    auto result = *kept ? read_result((*kept)->data) : std::nullopt;
    if (!result) {
        co_return std::optional<FoundResult>();
    }
    FoundResult out{std::move(*result), (*kept)->job_id == owner.job_id};
    const bool other_model =
        !model_digest.empty() && !out.result.model_digest.empty() && out.result.model_digest != model_digest;
    // A folder's files are records of the job that made it, and go with them.
    const auto folder = [](const StepFile& file) { return file.about.kind == workflow::Kind::kPlaylist; };
    if (!out.own && (other_model || std::ranges::any_of(out.result.files, folder))) {
        co_return std::optional<FoundResult>();
    }
    for (auto& file : out.result.files) {
        if (out.own) {
            const auto record = co_await ports_.artifacts.find(file.id);
            if (!record) {
                co_return std::optional<FoundResult>();
            }
            continue;
        }
        const auto there = co_await renew(owner, file);
        if (!there) {
            co_return fail(there.error());
        }
        if (!*there) {
            co_return std::optional<FoundResult>();
        }
    }
    co_return std::optional(std::move(out));
}

}  // namespace framegrid::gateway
