#include <framegrid/rest/artifacts_api.hpp>

#include <boost/json.hpp>

#include <framegrid/http/text.hpp>
#include <framegrid/job/record_json.hpp>
#include <framegrid/rest/byte_range.hpp>
#include <framegrid/rest/problem.hpp>
#include <framegrid/rest/request_text.hpp>
#include <framegrid/rest/signed_url.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

constexpr std::size_t kHeadBytes = 4'096;  // enough to recognise a file by
constexpr std::size_t kSweepMax = 100;
constexpr std::uint64_t kPieceBytes = 1 << 20;
constexpr std::uint64_t kFolderBytesMax = 4 << 20;

}  // namespace

ArtifactsApi::ArtifactsApi(
    api::Objects& objects, api::ArtifactIndex& index, Clock& clock, Random& random, Logger log,
    ArtifactsSettings settings, Bytes url_secret
)
    : objects_(objects),
      index_(index),
      clock_(clock),
      log_(std::move(log)),
      settings_(std::move(settings)),
      files_(objects_, index_, clock_, random, settings_.life, settings_.store_time_max),
      url_secret_(std::move(url_secret)) {
    if (settings_.upkeep != nullptr) {
        objects_sweep_.emplace(*settings_.upkeep, index_, clock_, log_, settings_.sweep);
    }
}

void ArtifactsApi::add_routes(Router& router) {
    router.add<ArtifactsApi>(
        *this,
        {
            {"POST", "/v1/artifacts", RouteKind::kIntake, &ArtifactsApi::upload, Access::kArtifacts},
            {"GET", "/v1/artifacts", RouteKind::kPage, &ArtifactsApi::list, Access::kArtifacts},
            {"GET", "/v1/artifacts/{}", RouteKind::kPage, &ArtifactsApi::show, Access::kArtifacts},
            {"DELETE", "/v1/artifacts/{}", RouteKind::kPage, &ArtifactsApi::erase, Access::kArtifacts},
            {"GET", "/v1/artifacts/{}/content", RouteKind::kPage, &ArtifactsApi::content,
             Access::kSignedOrArtifacts},
            {"POST", "/v1/artifacts/{}/signed-url", RouteKind::kPage, &ArtifactsApi::sign, Access::kArtifacts
            },
            {"GET", "/v1/artifacts/{}/files/{*}", RouteKind::kPage, &ArtifactsApi::inside, Access::kArtifacts
            },
        }
    );
}

std::string ArtifactsApi::described(const Call& call, const job::ArtifactRecord& record) const {
    json::object out{
        {"id", record.id},
        {"object", "artifact"},
        {"content_type", record.content_type},
        {"bytes", record.bytes},
        {"sha256", record.digest},
        {"created_at", job::utc_text(record.created_unix_ms)},
        {"expires_at", job::utc_text(record.expires_unix_ms)},
        {"url", origin_of(call.exchange.head, settings_.public_url) + job::artifact_path(record.id)}
    };
    if (!record.name.empty()) {
        out["name"] = record.name;
    }
    if (!record.job_id.empty()) {
        out["job"] = record.job_id;
    }
    return json::serialize(out);
}

Task<Result<void>> ArtifactsApi::check_quota(std::string owner, std::uint64_t more) {
    const auto usage = co_await index_.usage(std::move(owner));
    if (!usage) {
        co_return fail(usage.error());
    }
    if (usage->bytes >= settings_.owner_bytes_max || more > settings_.owner_bytes_max - usage->bytes) {
        co_return fail(
            Errc::kTooLarge, "you keep as many bytes as you may; delete some files first", "quota"
        );
    }
    co_return Result<void>{};
}

Task<Result<job::ArtifactRecord>> ArtifactsApi::receive(Call& call) {
    FG_CO_CHECK(co_await check_quota(call.owner));
    const auto deadline = Deadline::after(clock_, settings_.upload_time_max);
    auto writer = co_await objects_.create(files_.soon());
    if (!writer) {
        co_return fail(std::move(writer.error()));
    }
    Bytes head;
    std::uint64_t bytes = 0;
    for (;;) {
        auto piece = co_await call.exchange.body.read();
        if (!piece) {
            co_return fail(std::move(piece.error()));
        }
        if (piece->empty()) {
            break;
        }
        bytes += piece->size();
        if (bytes > settings_.file_bytes_max) {
            co_return fail(
                Errc::kTooLarge, "a file has at most " + std::to_string(settings_.file_bytes_max) + " bytes"
            );
        }
        if (deadline.passed(clock_)) {
            co_return fail(
                Errc::kDeadline, "the upload took too long; one through /v1/uploads can be resumed", "body"
            );
        }
        const auto view = piece->view().first(std::min(piece->size(), kHeadBytes - head.size()));
        head.insert(head.end(), view.begin(), view.end());
        FG_CO_CHECK(co_await (*writer)->append(std::move(*piece), files_.soon()));
    }
    call.bytes_in = bytes;
    const auto object = co_await (*writer)->finish(files_.soon());
    if (!object) {
        co_return fail(object.error());
    }
    job::ArtifactRecord about;
    about.owner = call.owner;
    for (const auto& [name, value] : query_of(call.exchange.head.query())) {
        if (name == "name") {
            about.name = safe_file_name(value);
        }
    }
    co_return co_await files_.add_record(std::move(about), *object, Blob(std::move(head)));
}

Task<Answer> ArtifactsApi::upload(Call& call) {
    if (call.headers().get("content-type").value_or("").starts_with("multipart/")) {
        co_return problem_answer(
            make_error(
                Errc::kInvalidArgument, "send the file itself as the body (curl --data-binary @FILE)",
                "content-type"
            ),
            call.trace_id
        );
    }
    const auto record = co_await receive(call);
    if (!record) {
        co_return problem_answer(record.error(), call.trace_id);
    }
    Answer answer = json_answer(described(call, *record));
    answer.status = 201;
    answer.headers.add("location", "/v1/artifacts/" + record->id);
    co_return answer;
}

Task<Result<job::ArtifactRecord>> ArtifactsApi::find(Call& call, std::string id) {
    auto record = co_await index_.find(std::move(id));
    if (record && !call.sees(record->owner)) {
        co_return fail(Errc::kNotFound, "there is no such file", "id");
    }
    co_return record;
}

Task<Answer> ArtifactsApi::show(Call& call) {
    const auto record = co_await find(call, call.parameters.front());
    if (!record) {
        co_return problem_answer(record.error(), call.trace_id);
    }
    co_return json_answer(described(call, *record));
}

Task<Answer> ArtifactsApi::list(Call& call) {
    std::string before;
    for (const auto& [name, value] : query_of(call.exchange.head.query())) {
        if (name == "before" && !job::is_id("art", value)) {
            co_return problem_answer(
                make_error(Errc::kInvalidArgument, "before is the id of a file", "before"), call.trace_id
            );
        }
        before = name == "before" ? value : before;
    }
    const auto records = co_await index_.list(call.owner, before, kPageMax);
    if (!records) {
        co_return problem_answer(records.error(), call.trace_id);
    }
    std::vector<std::string> items;
    for (const auto& record : *records) {
        items.push_back(described(call, record));
    }
    const bool full = records->size() == kPageMax;
    co_return list_answer(items, full ? records->back().id : "");
}

Task<Result<void>> ArtifactsApi::send(
    Call& call, job::ArtifactRecord record, std::uint64_t offset, std::uint64_t bytes
) {
    while (bytes > 0) {
        auto piece =
            co_await objects_.read(record.digest, offset, std::min(bytes, kPieceBytes), files_.soon());
        if (!piece) {
            co_return fail(std::move(piece.error()));
        }
        if (piece->empty()) {
            co_return fail(Errc::kIo, "a stored file is shorter than it was");
        }
        offset += piece->size();
        bytes -= piece->size();
        call.bytes_out += piece->size();
        FG_CO_CHECK(co_await call.exchange.response.write(std::move(*piece)));
    }
    co_return Result<void>{};
}

// A folder's file by its path: what is written in its playlists is found where a player looks for it.
Task<Result<job::ArtifactRecord>> ArtifactsApi::find_inside(Call& call) {
    const auto folder = co_await find(call, call.parameters.front());
    if (!folder) {
        co_return fail(folder.error());
    }
    if (folder->content_type != job::kFolderType) {
        co_return fail(Errc::kNotFound, "this file is not a folder", "id");
    }
    const auto text = co_await api::get_object(objects_, folder->digest, kFolderBytesMax, files_.soon());
    if (!text) {
        co_return fail(text.error());
    }
    boost::system::error_code error;
    const auto root = json::parse(text->text(), error);
    const auto* files = error || !root.is_object() ? nullptr : root.get_object().if_contains("files");
    if (files != nullptr && files->is_array()) {
        for (const auto& file : files->get_array()) {
            const auto* path = file.is_object() ? file.get_object().if_contains("path") : nullptr;
            const auto* id = file.is_object() ? file.get_object().if_contains("artifact") : nullptr;
            const bool wanted =
                path != nullptr && path->is_string() && path->get_string() == call.parameters.back();
            if (wanted && id != nullptr && id->is_string()) {
                auto record = co_await index_.find(std::string(id->get_string()));
                if (record && record->owner != folder->owner) {
                    break;  // a list that somebody uploaded names what is not theirs
                }
                co_return record;
            }
        }
    }
    co_return fail(Errc::kNotFound, "the folder has no such file", "path");
}

Task<Answer> ArtifactsApi::content(Call& call) {
    const auto& id = call.parameters.front();
    if (is_signed(call.exchange.head.query())) {
        // Nothing is said of files to who shows a wrong signature, whatever else they have.
        const auto good = check_signed_url(url_secret_, id, call.exchange.head.query(), clock_.unix_ms());
        if (!good) {
            co_return problem_answer(good.error(), call.trace_id);
        }
        auto shared = co_await index_.find(id);
        co_return co_await send_content(call, std::move(shared));
    }
    auto record = co_await find(call, id);
    co_return co_await send_content(call, std::move(record));
}

// {"expires_in": seconds}, or nothing.
Result<Duration> ArtifactsApi::read_url_life(std::string_view body) const {
    constexpr std::int64_t kDefaultSeconds = 3'600;
    const auto longest = std::chrono::floor<std::chrono::seconds>(settings_.signed_url_life_max);
    boost::system::error_code bad;
    const auto root = body.empty() ? json::value(json::object{}) : json::parse(body, bad);
    if (bad || !root.is_object()) {
        return fail(Errc::kInvalidArgument, "the body is a JSON object", "body");
    }
    const auto* wanted = root.get_object().if_contains("expires_in");
    const auto seconds = wanted == nullptr                               ? kDefaultSeconds
                         : wanted->is_int64() && wanted->get_int64() > 0 ? wanted->get_int64()
                                                                         : 0;
    if (seconds == 0 || seconds > longest.count()) {
        return fail(
            Errc::kInvalidArgument,
            "expires_in is a number of seconds from 1 to " + std::to_string(longest.count()), "expires_in"
        );
    }
    return std::chrono::seconds(seconds);
}

Task<Answer> ArtifactsApi::sign(Call& call) {
    constexpr std::size_t kBodyBytesMax = 4'096;
    const auto record = co_await find(call, call.parameters.front());
    if (!record) {
        co_return problem_answer(record.error(), call.trace_id);
    }
    const auto body = co_await read_body(call.exchange, call.memory, kBodyBytesMax, clock_, files_.soon());
    const auto life = body ? read_url_life(body->text()) : Result<Duration>(fail(body.error()));
    if (!life) {
        co_return problem_answer(life.error(), call.trace_id);
    }
    // It is no use after the file is gone.
    const auto expires = std::min(clock_.unix_ms() + milliseconds(*life), record->expires_unix_ms) / 1000;
    const auto url = origin_of(call.exchange.head, settings_.public_url) + job::artifact_path(record->id) +
                     "?" + sign_url(url_secret_, record->id, expires);
    Answer answer = json_answer(json::serialize(
        json::object{{"object", "signed_url"}, {"url", url}, {"expires_at", job::utc_text(expires * 1000)}}
    ));
    answer.headers.add("cache-control", "no-store");
    co_return answer;
}

Task<Answer> ArtifactsApi::inside(Call& call) {
    auto record = co_await find_inside(call);
    co_return co_await send_content(call, std::move(record));
}

Task<Answer> ArtifactsApi::send_content(Call& call, Result<job::ArtifactRecord> record) {
    if (!record) {
        co_return problem_answer(record.error(), call.trace_id);
    }
    const std::string tag = "\"" + record->digest + "\"";
    if (call.headers().get("if-none-match") == tag) {
        Answer unchanged;
        unchanged.status = 304;
        unchanged.headers.add("etag", tag);
        co_return unchanged;
    }
    const bool whole = call.headers().get("if-range").value_or(tag) != tag;
    const auto range = parse_range(whole ? "" : call.headers().get("range").value_or(""), record->bytes);
    if (!range) {
        auto none = problem_answer(range.error(), call.trace_id, 416);
        none.headers.add("content-range", "bytes */" + std::to_string(record->bytes));
        co_return none;
    }
    http::ResponseHead head;
    head.status = range->is_part ? 206 : 200;
    head.headers.add("content-type", record->content_type);
    head.headers.add("content-length", std::to_string(range->bytes));
    head.headers.add("accept-ranges", "bytes");
    head.headers.add("etag", tag);
    head.headers.add("x-content-type-options", "nosniff");
    head.headers.add("cache-control", "private, max-age=86400, immutable");
    if (!record->name.empty()) {
        head.headers.add(
            "content-disposition", "inline; filename=\"" + http::escape_quoted(record->name) + "\""
        );
    }
    if (range->is_part) {
        head.headers.add(
            "content-range", "bytes " + std::to_string(range->offset) + "-" +
                                 std::to_string(range->offset + range->bytes - 1) + "/" +
                                 std::to_string(record->bytes)
        );
    }
    Answer rest;
    if (call.exchange.head.method == "HEAD") {
        rest.status = head.status;
        rest.headers = std::move(head.headers);
        co_return rest;
    }
    const auto begun = co_await call.start(std::move(head));
    if (!begun || !co_await send(call, *record, range->offset, range->bytes)) {
        rest.status = 499;
    }
    co_return rest;
}

Task<Result<void>> ArtifactsApi::remove(job::ArtifactRecord record) {
    const auto last = co_await index_.remove(record.id);
    if (!last) {
        co_return fail(last.error());
    }
    if (*last && objects_sweep_) {
        objects_sweep_->unused(record.digest);
    }
    co_return Result<void>{};
}

Task<Answer> ArtifactsApi::erase(Call& call) {
    auto record = co_await find(call, call.parameters.front());
    if (!record) {
        co_return problem_answer(record.error(), call.trace_id);
    }
    const auto removed = co_await remove(*std::move(record));
    if (!removed) {
        co_return problem_answer(removed.error(), call.trace_id);
    }
    Answer answer;
    answer.status = 204;
    co_return answer;
}

Task<void> ArtifactsApi::sweep() {
    if (objects_sweep_) {
        co_await objects_sweep_->work();
    }
    const auto expired = co_await index_.expired(clock_.unix_ms(), kSweepMax);
    for (const auto& record : expired ? *expired : std::vector<job::ArtifactRecord>{}) {
        const auto removed = co_await remove(record);
        // Another gateway with the same store may have been quicker.
        if (!removed && removed.error().code != Errc::kNotFound) {
            log_.warn(
                "rest.artifact_not_removed", {{"artifact", record.id}, {"error", removed.error().message}}
            );
            co_return;
        }
    }
}

}  // namespace framegrid::rest
