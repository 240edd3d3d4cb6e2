#include <framegrid/rest/uploads_api.hpp>

#include <boost/json.hpp>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/crypto/sha1.hpp>
#include <framegrid/http/date.hpp>
#include <framegrid/job/record.hpp>
#include <framegrid/job/record_json.hpp>
#include <framegrid/rest/problem.hpp>
#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

constexpr std::size_t kRecognisedBytes = 4'096;  // enough to recognise a file by
constexpr std::size_t kSweptUploadsMax = 100;
constexpr int kConflict = 409;
constexpr int kWrongVersion = 412;
constexpr int kWrongType = 415;
constexpr int kLocked = 423;
constexpr int kChecksumMismatch = 460;  // tus: checksum
constexpr int kTooMany = 429;
constexpr const char* kTaken = "turn";
constexpr const char* kBegun = "uploads";
constexpr const char* kBadChecksum = "checksum";

bool is_tus(const Call& call) {
    return call.headers().get("tus-resumable") == kTusVersion;
}

bool has_tus_body(const Call& call) {
    return call.headers().get("content-type") == kTusBody;
}

std::string file_name_of(const std::string& metadata) {
    const auto all = parse_tus_metadata(metadata);  // checked when it came
    for (const auto* name : {"filename", "name"}) {
        for (const auto& one : all ? *all : std::vector<TusMetadata>{}) {
            if (one.name == name) {
                return safe_file_name(one.value);
            }
        }
    }
    return {};
}

bool is_digest_of(const TusChecksum& checksum, BytesView bytes) {
    if (checksum.hash == TusHash::kSha1) {
        return crypto::equal_constant_time(crypto::sha1(bytes), as_bytes(checksum.digest));
    }
    return crypto::equal_constant_time(crypto::sha256(bytes), as_bytes(checksum.digest));
}

int status_of_upload(const Error& error) {
    if (error.field == kTaken) {
        return kLocked;
    }
    if (error.field == kBegun) {
        return kTooMany;
    }
    return error.field == kBadChecksum ? kChecksumMismatch : 0;
}

}  // namespace

class UploadsApi::Turn {
  public:
    Turn(UploadsApi& api, std::string id) : api_(api), id_(std::move(id)), number_(++api.turn_count_) {
        api_.turns_[id_] = number_;
    }
    ~Turn() {
        if (is_mine()) {
            api_.turns_.erase(id_);
        }
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    bool is_mine() const {
        const auto found = api_.turns_.find(id_);
        return found != api_.turns_.end() && found->second == number_;
    }

  private:
    UploadsApi& api_;
    std::string id_;
    std::uint64_t number_;
};

void UploadsApi::add_routes(Router& router) {
    using enum Access;
    router.add<UploadsApi>(
        *this,
        {
            {"OPTIONS", "/v1/uploads", RouteKind::kPage, &UploadsApi::options, kOpen},
            {"POST", "/v1/uploads", RouteKind::kIntake, &UploadsApi::create, kArtifacts},
            {"GET", "/v1/uploads/{}", RouteKind::kPage, &UploadsApi::show, kArtifacts},
            {"PATCH", "/v1/uploads/{}", RouteKind::kIntake, &UploadsApi::resume, kArtifacts},
            {"DELETE", "/v1/uploads/{}", RouteKind::kPage, &UploadsApi::erase, kArtifacts},
        }
    );
}

Answer UploadsApi::refusal(const Call& call, const Error& error, int status) const {
    auto answer = problem_answer(error, call.trace_id, status == 0 ? status_of_upload(error) : status);
    answer.headers.set("tus-resumable", std::string(kTusVersion));
    if (answer.status == kWrongVersion) {
        answer.headers.set("tus-version", std::string(kTusVersion));
    }
    return answer;
}

void UploadsApi::describe(http::Headers& headers, const api::UploadRecord& record) const {
    headers.set("tus-resumable", std::string(kTusVersion));
    headers.set("upload-offset", std::to_string(record.received));
    headers.set("upload-length", std::to_string(record.bytes));
    headers.set("upload-expires", http::date_text(record.touched_unix_ms + milliseconds(settings_.idle_max)));
    headers.set("cache-control", "no-store");
    if (!record.metadata.empty()) {
        headers.set("upload-metadata", record.metadata);
    }
    if (!record.artifact.empty()) {
        headers.set("framegrid-artifact", record.artifact);
    }
}

std::string UploadsApi::described(const api::UploadRecord& record) const {
    json::object out{
        {"id", record.id},
        {"object", "upload"},
        {"bytes", record.bytes},
        {"received", record.received},
        {"created_at", job::utc_text(record.created_unix_ms)},
        {"expires_at", job::utc_text(record.touched_unix_ms + milliseconds(settings_.idle_max))}
    };
    if (!record.artifact.empty()) {
        out["artifact"] = record.artifact;
    }
    return json::serialize(out);
}

Result<api::UploadRecord> UploadsApi::find(const Call& call) const {
    auto record = ports_.uploads.find(call.parameters.front());
    if (record && !call.sees(record->owner)) {
        return fail(Errc::kNotFound, "there is no such upload", "id");
    }
    return record;
}

Task<Answer> UploadsApi::options(Call& /*call*/) {
    Answer answer;
    answer.status = 204;
    answer.headers.add("allow", "OPTIONS, POST");
    answer.headers.add("tus-resumable", std::string(kTusVersion));
    answer.headers.add("tus-version", std::string(kTusVersion));
    answer.headers.add("tus-extension", std::string(kTusExtensions));
    answer.headers.add("tus-checksum-algorithm", std::string(kTusChecksums));
    answer.headers.add("tus-max-size", std::to_string(settings_.file_bytes_max));
    co_return answer;
}

// What is answered last: the file becomes an artifact when all of it is there.
Task<Answer> UploadsApi::answer(Call& call, Result<api::UploadRecord> record, int status) {
    const bool whole = record && record->received == record->bytes && record->artifact.empty();
    if (whole && !completing_.contains(record->id)) {
        record = co_await complete(record->id);
    }
    if (!record) {
        co_return refusal(call, record.error());
    }
    Answer out;
    out.status = status;
    describe(out.headers, *record);
    if (status == 201) {
        const auto path = "/v1/uploads/" + record->id;
        out.headers.add("location", origin_of(call.exchange.head, settings_.public_url) + path);
    }
    co_return out;
}

Task<Result<api::UploadRecord>> UploadsApi::begin(Call& call) {
    const auto& headers = call.headers();
    if (headers.get("upload-defer-length") || headers.get("upload-concat")) {
        co_return fail(Errc::kInvalidArgument, "announce the whole file with Upload-Length", "upload-length");
    }
    const auto bytes = parse_tus_number(headers.get("upload-length").value_or(""), "upload-length");
    if (!bytes) {
        co_return fail(bytes.error());
    }
    api::UploadRecord record;
    record.metadata = headers.get("upload-metadata").value_or("");
    if (const auto metadata = parse_tus_metadata(record.metadata); !metadata) {
        co_return fail(metadata.error());
    }
    if (*bytes > settings_.file_bytes_max) {
        const auto message = "a file has at most " + std::to_string(settings_.file_bytes_max) + " bytes";
        co_return fail(Errc::kTooLarge, message, "upload-length");
    }
    const auto pending = ports_.uploads.usage(call.owner);
    if (pending.uploads >= settings_.uploads_of_owner_max) {
        co_return fail(
            Errc::kCapacity, "you have begun as many uploads as you may; end or delete some", kBegun
        );
    }
    FG_CO_CHECK(co_await ports_.artifacts.check_quota(call.owner, pending.bytes + *bytes));
    record.created_unix_ms = ports_.clock.unix_ms();
    record.id = job::make_id("upl", record.created_unix_ms, ports_.random);
    record.owner = call.owner;
    record.bytes = *bytes;
    const auto id = record.id;
    FG_CO_CHECK(co_await ports_.uploads.create(std::move(record)));
    co_return ports_.uploads.find(id);
}

Task<Answer> UploadsApi::create(Call& call) {
    if (!is_tus(call)) {
        auto error = make_error(
            Errc::kInvalidArgument,
            "this speaks tus 1.0.0: send Tus-Resumable: 1.0.0, or use POST /v1/artifacts", "tus-resumable"
        );
        co_return refusal(call, error, kWrongVersion);
    }
    auto record = co_await begin(call);
    if (record && has_tus_body(call)) {
        record = co_await receive(call, record->id);
    }
    co_return co_await answer(call, std::move(record), 201);
}

Task<Answer> UploadsApi::show(Call& call) {
    auto record = find(call);
    const bool is_page = call.exchange.head.method == "GET";
    auto out = co_await answer(call, std::move(record), 200);
    // It may have been completed just now.
    if (const auto now = find(call); is_page && now && out.status == 200) {
        auto page = json_answer(described(*now));
        describe(page.headers, *now);
        co_return page;
    }
    co_return out;
}

Task<Answer> UploadsApi::resume(Call& call) {
    if (!is_tus(call)) {
        auto error = make_error(Errc::kInvalidArgument, "send Tus-Resumable: 1.0.0", "tus-resumable");
        co_return refusal(call, error, kWrongVersion);
    }
    if (!has_tus_body(call)) {
        const auto message = "the body's type is " + std::string(kTusBody);
        co_return refusal(call, make_error(Errc::kUnsupported, message, "content-type"), kWrongType);
    }
    const auto record = find(call);
    if (!record) {
        co_return refusal(call, record.error());
    }
    const auto offset = parse_tus_number(call.headers().get("upload-offset").value_or(""), "upload-offset");
    if (!offset) {
        co_return refusal(call, offset.error());
    }
    if (*offset != record->received) {
        auto error = make_error(
            Errc::kInvalidArgument, "go on at " + std::to_string(record->received) + ": so much has arrived",
            "upload-offset"
        );
        co_return refusal(call, error, kConflict);
    }
    auto received = co_await receive(call, record->id);
    co_return co_await answer(call, std::move(received), 204);
}

Task<Result<api::UploadRecord>> UploadsApi::receive(Call& call, std::string id) {
    const auto header = call.headers().get("upload-checksum");
    Result<void> received;
    if (header) {
        auto checksum = parse_tus_checksum(*header);
        if (!checksum) {
            co_return fail(std::move(checksum.error()));
        }
        received = co_await receive_checked(call, id, *std::move(checksum));
    } else {
        received = co_await receive_pieces(call, id);
    }
    if (!received) {
        co_return fail(std::move(received.error()));
    }
    co_return ports_.uploads.find(id);
}

Task<Result<void>> UploadsApi::receive_pieces(Call& call, std::string id) {
    const Turn turn(*this, id);
    const auto deadline = Deadline::after(ports_.clock, settings_.request_time_max);
    for (;;) {
        auto piece = co_await call.exchange.body.read();
        if (!piece) {
            co_return fail(std::move(piece.error()));  // what has arrived stays
        }
        if (piece->empty()) {
            break;
        }
        if (!turn.is_mine()) {
            co_return fail(Errc::kCapacity, "another request continues this upload", kTaken);
        }
        if (deadline.passed(ports_.clock)) {
            co_return fail(Errc::kDeadline, "the request took too long; resume the upload", "body");
        }
        call.bytes_in += piece->size();
        FG_CO_CHECK(co_await ports_.uploads.append(id, *std::move(piece)));
    }
    const auto record = ports_.uploads.find(id);
    if (record && record->received < record->bytes) {
        co_return co_await ports_.uploads.settle(id);  // else store() will
    }
    co_return Result<void>{};
}

// All of it or nothing: a part that nobody could check would be in the way of sending it again.
Task<Result<void>> UploadsApi::receive_checked(Call& call, std::string id, TusChecksum checksum) {
    const Turn turn(*this, id);
    const auto deadline = Deadline::after(ports_.clock, settings_.request_time_max);
    auto body =
        co_await read_body(call.exchange, call.memory, settings_.checked_bytes_max, ports_.clock, deadline);
    if (!body) {
        co_return fail(std::move(body.error()));
    }
    call.bytes_in = body->size();
    auto compare = [&checksum, &body] { return is_digest_of(checksum, body->view()); };
    const bool right = co_await offload(ports_.pool, std::move(compare));
    if (!right) {
        co_return fail(Errc::kInvalidArgument, "the bytes are not those of Upload-Checksum", kBadChecksum);
    }
    if (!turn.is_mine()) {
        co_return fail(Errc::kCapacity, "another request continues this upload", kTaken);
    }
    FG_CO_CHECK(co_await ports_.uploads.append(id, *std::move(body)));
    co_return co_await ports_.uploads.settle(id);
}

// Holds an upload's id among those that become artifacts.
class UploadsApi::Completing {
  public:
    Completing(std::set<std::string>& all, const std::string& id) : all_(all), at_(all.insert(id).first) {}
    ~Completing() { all_.erase(at_); }
    Completing(const Completing&) = delete;
    Completing& operator=(const Completing&) = delete;

  private:
    std::set<std::string>& all_;
    std::set<std::string>::iterator at_;
};

// Ends between any two steps leave what is needed to do them again; at worst there are two records of the
// same bytes.
Task<Result<api::UploadRecord>> UploadsApi::complete(std::string id) {
    const Completing completing(completing_, id);
    auto record = ports_.uploads.find(id);
    if (!record) {
        co_return record;
    }
    auto object = co_await ports_.uploads.store(id);
    if (!object) {
        co_return fail(std::move(object.error()));
    }
    auto head = Result<Blob>(Blob{});
    if (object->bytes > 0) {
        head = co_await ports_.objects.read(object->digest, 0, kRecognisedBytes, ports_.files.soon());
    }
    if (!head) {
        co_return fail(std::move(head.error()));
    }
    job::ArtifactRecord about;
    about.owner = record->owner;
    about.name = file_name_of(record->metadata);
    const auto kept =
        co_await ports_.files.add_record(std::move(about), *std::move(object), *std::move(head));
    if (!kept) {
        co_return fail(kept.error());
    }
    FG_CO_CHECK(co_await ports_.uploads.finish(id, kept->id));
    co_return ports_.uploads.find(id);
}

Task<Answer> UploadsApi::erase(Call& call) {
    const auto record = find(call);
    if (!record) {
        co_return refusal(call, record.error());
    }
    turns_.erase(record->id);  // whoever was sending stops
    const auto removed = co_await ports_.uploads.remove(record->id);
    if (!removed) {
        const bool busy = removed.error().code == Errc::kCapacity;
        co_return refusal(call, removed.error(), busy ? kLocked : 0);
    }
    Answer answer;
    answer.status = 204;
    answer.headers.add("tus-resumable", std::string(kTusVersion));
    co_return answer;
}

Task<void> UploadsApi::sweep() {
    const auto before = ports_.clock.unix_ms() - milliseconds(settings_.idle_max);
    const auto idle = ports_.uploads.idle_since(before, kSweptUploadsMax);
    for (const auto& id : idle) {
        const auto removed = co_await ports_.uploads.remove(id);
        if (!removed && removed.error().code == Errc::kIo) {
            ports_.log.warn("rest.upload_not_removed", {{"upload", id}, {"error", removed.error().message}});
            co_return;
        }
    }
}

}  // namespace framegrid::rest
