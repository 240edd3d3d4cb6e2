#include <framegrid/objects_s3/s3_objects.hpp>

#include <charconv>
#include <deque>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/objects_s3/s3_listing.hpp>
#include <framegrid/runtime/async.hpp>

namespace framegrid::objects_s3 {

namespace {

constexpr std::uint64_t kPieceMax = 1 << 20;
constexpr std::size_t kAnswerBytesMax = 1 << 20;  // of everything but pieces of objects
constexpr std::size_t kNameBytes = 16;
constexpr std::size_t kAbandonedMax = 1'000;
constexpr std::size_t kMessageBytesMax = 300;
constexpr std::size_t kUnfinishedAtOnce = 50;
constexpr Duration kUnfinishedLife = std::chrono::hours(24);

// Several blobs, one after the other.
class Pieces final : public http::BodyReader {
  public:
    explicit Pieces(const std::vector<Blob>& pieces) : pieces_(pieces) {}
    Task<Result<Blob>> read() override { co_return next_ < pieces_.size() ? pieces_[next_++] : Blob(); }
    const http::Headers& trailers() const override { return trailers_; }

  private:
    const std::vector<Blob> pieces_;  // shares the bytes
    std::size_t next_ = 0;
    http::Headers trailers_;
};

// Bytes to send, with their hash.
struct Payload {
    std::vector<Blob> pieces;
    std::uint64_t bytes = 0;
    std::string sha256;
};

Payload payload_of(std::string_view text) {
    auto hash = crypto::hex(crypto::sha256(as_bytes(text)));
    const auto size = text.size();
    return {{Blob::copy_of(text)}, size, std::move(hash)};
}

bool is_passing(int status) {
    return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

Error refusal(const http::Fetched& fetched, const std::string& what) {
    const auto code = element(fetched.body.text(), "Code");
    auto message = fmt::format("the S3 store cannot {}: ", what) + std::to_string(fetched.status);
    if (!code.empty()) {
        message += " " + printable(code, kMessageBytesMax) + ": " +
                   printable(element(fetched.body.text(), "Message"), kMessageBytesMax);
    }
    if (fetched.status == 404) {
        return make_error(Errc::kNotFound, message);
    }
    if (fetched.status == 401 || fetched.status == 403) {
        return make_error(
            Errc::kForbidden,
            message + "; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy"
        );
    }
    return make_error(Errc::kUnavailable, message);
}

}  // namespace

Result<void> set_place(S3Settings& settings, std::string_view url) {
    constexpr std::string_view kScheme = "s3://";
    const bool named = url.starts_with(kScheme) && url.size() > kScheme.size();
    const auto rest = named ? url.substr(kScheme.size()) : std::string_view();
    const auto slash = std::min(rest.find('/'), rest.size());
    settings.bucket = rest.substr(0, slash);
    settings.prefix = rest.substr(std::min(slash + 1, rest.size()));
    if (!settings.prefix.empty() && !settings.prefix.ends_with('/')) {
        settings.prefix += '/';
    }
    if (settings.bucket.empty()) {
        return fail(
            Errc::kInvalidArgument, "a place for objects is s3://BUCKET or s3://BUCKET/PREFIX", "objects"
        );
    }
    return {};
}

// Requests to the store. Shared with writers, which may end later.
class S3Objects::Store {
  public:
    // An upload in parts that is under way.
    struct Upload {
        std::string key;
        std::string id;
    };
    struct Call {
        std::string method;
        std::string key;
        std::string query{};
        http::Headers headers{};
        Payload payload = payload_of("");
        std::size_t answer_bytes_max = kAnswerBytesMax;
    };

    Store(S3Ports ports, S3Settings settings) : ports_(std::move(ports)), settings_(std::move(settings)) {}

    // Its answer has the length of an object, and no body.
    static Call head_of(std::string key) {
        Call call{"HEAD", std::move(key)};
        call.answer_bytes_max = std::numeric_limits<std::size_t>::max();
        return call;
    }
    const S3Ports& ports() const { return ports_; }
    const S3Settings& settings() const { return settings_; }
    std::string key_of(const std::string& digest) const { return settings_.prefix + digest; }
    std::string aside_key_of(const std::string& digest) const { return settings_.prefix + "aside/" + digest; }
    std::string new_key() const { return settings_.prefix + "new/" + ports_.random.hex(kNameBytes); }

    Task<Result<http::Fetched>> send(Call call, Deadline deadline);
    // As send(); every status of 400 and above is an error.
    Task<Result<http::Fetched>> done(Call call, std::string what, Deadline deadline);
    Task<Result<bool>> has(std::string key, Deadline deadline);
    Task<Result<std::string>> begin_upload(std::string key, Deadline deadline);
    Task<Result<std::string>> put_part(Upload upload, std::size_t number, Payload payload, Deadline deadline);
    Task<Result<void>> complete(Upload upload, std::vector<std::string> tags, Deadline deadline);
    Task<Result<void>> copy(std::string from, std::string to, std::uint64_t bytes, Deadline deadline);
    Task<Result<void>> erase(std::string key, Deadline deadline);
    // What is right below a folder: empty, or ends with a slash.
    Task<Result<Listing>> list(std::string folder, std::string from, std::size_t limit, Deadline deadline);

    void abandon(Upload upload) {
        if (abandoned_.size() < kAbandonedMax) {
            abandoned_.push_back(std::move(upload));
        }
    }
    // Ends one upload that nobody goes on with: its parts cost money.
    Task<void> tidy(Deadline deadline);

  private:
    http::Request request_of(const Call& call) const;
    Task<Result<void>> copy_in_parts(
        std::string from, std::string to, std::uint64_t bytes, Deadline deadline
    );
    std::string source_of(const std::string& key) const {
        return "/" + uri_encode(settings_.bucket, false) + "/" + uri_encode(key, true);
    }

    S3Ports ports_;
    S3Settings settings_;
    std::deque<Upload> abandoned_;
};

http::Request S3Objects::Store::request_of(const Call& call) const {
    http::Request request;
    request.method = call.method;
    request.url = settings_.endpoint;
    request.url.target = "/" + uri_encode(settings_.bucket, false) + (call.key.empty() ? "" : "/") +
                         uri_encode(call.key, true) + (call.query.empty() ? "" : "?" + call.query);
    request.headers = call.headers;
    sign(request, settings_.credentials, settings_.scope, call.payload.sha256, ports_.clock.unix_ms());
    request.headers.set("content-length", std::to_string(call.payload.bytes));
    return request;
}

Task<Result<http::Fetched>> S3Objects::Store::send(Call call, Deadline deadline) {
    Duration pause = settings_.pause;
    for (int tried = 1;; ++tried) {
        auto request = request_of(call);
        if (call.payload.bytes > 0) {
            request.body_source = std::make_shared<Pieces>(call.payload.pieces);
        }
        auto fetched = co_await ports_.client.fetch(std::move(request), call.answer_bytes_max, deadline);
        const bool again =
            fetched ? is_passing(fetched->status) : fetched.error().disposition == Disposition::kRetry;
        if (!again || tried >= settings_.tries_max || deadline.left(ports_.clock) <= pause) {
            if (!fetched) {
                co_return fail(std::move(fetched.error()).with_context("the S3 store"));
            }
            co_return fetched;
        }
        ports_.log.debug(
            "s3.request_repeated",
            {{"method", call.method}, {"tried", tried}, {"status", fetched ? fetched->status : 0}}
        );
        co_await sleep_for(ports_.clock, pause);
        pause *= 2;
    }
}

Task<Result<http::Fetched>> S3Objects::Store::done(Call call, std::string what, Deadline deadline) {
    auto fetched = co_await send(std::move(call), deadline);
    if (!fetched) {
        co_return fail(std::move(fetched.error()).with_context("cannot " + what));
    }
    // CopyObject and CompleteMultipartUpload may begin with 200 and fail later.
    const bool failed =
        fetched->status >= 400 || fetched->body.text().find("<Error>") != std::string_view::npos;
    if (failed) {
        co_return fail(refusal(*fetched, what));
    }
    co_return fetched;
}

Task<Result<bool>> S3Objects::Store::has(std::string key, Deadline deadline) {
    const auto fetched = co_await send(head_of(std::move(key)), deadline);
    if (!fetched) {
        co_return fail(fetched.error());
    }
    if (fetched->status >= 400 && fetched->status != 404) {
        co_return fail(refusal(*fetched, "say what it has"));
    }
    co_return fetched->status < 400;
}

Task<Result<std::string>> S3Objects::Store::begin_upload(std::string key, Deadline deadline) {
    const auto begun = co_await done({"POST", std::move(key), "uploads="}, "begin an upload", deadline);
    if (!begun) {
        co_return fail(begun.error());
    }
    auto id = element(begun->body.text(), "UploadId");
    if (id.empty()) {
        co_return fail(Errc::kProtocol, "the S3 store gave an upload no id");
    }
    co_return id;
}

Task<Result<std::string>> S3Objects::Store::put_part(
    Upload upload, std::size_t number, Payload payload, Deadline deadline
) {
    Call call{
        "PUT", upload.key, fmt::format("partNumber={}&uploadId={}", number, uri_encode(upload.id, false))
    };
    call.payload = std::move(payload);
    const auto put = co_await done(std::move(call), "take a part", deadline);
    if (!put) {
        co_return fail(put.error());
    }
    co_return std::string(put->headers.get("etag").value_or(""));
}

Task<Result<void>> S3Objects::Store::complete(
    Upload upload, std::vector<std::string> tags, Deadline deadline
) {
    std::string body = "<CompleteMultipartUpload>";
    for (std::size_t i = 0; i < tags.size(); ++i) {
        body += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, tags[i]);
    }
    body += "</CompleteMultipartUpload>";
    Call call{"POST", upload.key, "uploadId=" + uri_encode(upload.id, false)};
    call.headers.add("content-type", "application/xml");
    call.payload = payload_of(body);
    const auto ended = co_await done(std::move(call), "finish an upload", deadline);
    co_return ended ? Result<void>{} : fail(ended.error());
}

Task<Result<void>> S3Objects::Store::copy(
    std::string from, std::string to, std::uint64_t bytes, Deadline deadline
) {
    if (bytes > settings_.copy_bytes_max) {
        co_return co_await copy_in_parts(std::move(from), std::move(to), bytes, deadline);
    }
    Call call{"PUT", std::move(to)};
    call.headers.add("x-amz-copy-source", source_of(from));
    const auto copied = co_await done(std::move(call), "copy an object", deadline);
    co_return copied ? Result<void>{} : fail(copied.error());
}

Task<Result<void>> S3Objects::Store::copy_in_parts(
    std::string from, std::string to, std::uint64_t bytes, Deadline deadline
) {
    auto id = co_await begin_upload(to, deadline);
    if (!id) {
        co_return fail(std::move(id.error()));
    }
    const Upload upload{std::move(to), std::move(*id)};
    std::vector<std::string> tags;
    for (std::uint64_t at = 0; at < bytes; at += settings_.copy_bytes_max) {
        const auto last = std::min(at + settings_.copy_bytes_max, bytes) - 1;
        const auto query =
            fmt::format("partNumber={}&uploadId={}", tags.size() + 1, uri_encode(upload.id, false));
        Call call{"PUT", upload.key, query};
        call.headers.add("x-amz-copy-source", source_of(from));
        call.headers.add("x-amz-copy-source-range", fmt::format("bytes={}-{}", at, last));
        const auto copied = co_await done(std::move(call), "copy a part", deadline);
        if (!copied) {
            abandon(upload);
            co_return fail(copied.error());
        }
        tags.push_back(element(copied->body.text(), "ETag"));
    }
    co_return co_await complete(upload, std::move(tags), deadline);
}

Task<Result<void>> S3Objects::Store::erase(std::string key, Deadline deadline) {
    const auto fetched = co_await send({"DELETE", std::move(key)}, deadline);
    if (!fetched) {
        co_return fail(fetched.error());
    }
    if (fetched->status >= 400 && fetched->status != 404) {
        co_return fail(refusal(*fetched, "delete an object"));
    }
    co_return Result<void>{};
}

Task<Result<Listing>> S3Objects::Store::list(
    std::string folder, std::string from, std::size_t limit, Deadline deadline
) {
    std::string query = fmt::format(
        "list-type=2&delimiter=%2F&max-keys={}&prefix={}", limit, uri_encode(settings_.prefix + folder, false)
    );
    if (!from.empty()) {
        query += "&continuation-token=" + uri_encode(from, false);
    }
    const auto listed = co_await done({"GET", "", std::move(query)}, "list its objects", deadline);
    if (!listed) {
        co_return fail(listed.error());
    }
    co_return parse_listing(listed->body.text());
}

Task<void> S3Objects::Store::tidy(Deadline deadline) {
    if (abandoned_.empty()) {
        co_return;
    }
    const auto upload = std::move(abandoned_.front());
    abandoned_.pop_front();
    const Call call{"DELETE", upload.key, "uploadId=" + uri_encode(upload.id, false)};
    const auto ended = co_await send(call, deadline);
    if (!ended || is_passing(ended->status)) {
        abandon(upload);
    }
}

class S3Objects::Writer final : public api::ObjectWriter {
  public:
    explicit Writer(std::shared_ptr<Store> store) : store_(std::move(store)) {}
    ~Writer() override {
        if (!upload_.id.empty()) {
            store_->abandon(std::move(upload_));
        }
    }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    Task<Result<void>> append(Blob piece, Deadline deadline) override {
        if (piece.empty()) {
            co_return Result<void>{};
        }
        FG_CO_CHECK(co_await offload(store_->ports().pool, [this, piece]() -> Result<bool> {
            whole_.update(piece.view());
            part_digest_.update(piece.view());
            return true;
        }));
        part_.bytes += piece.size();
        bytes_ += piece.size();
        part_.pieces.push_back(std::move(piece));
        if (part_.bytes >= store_->settings().part_bytes) {
            co_return co_await put_part(deadline);
        }
        co_return Result<void>{};
    }

    Task<Result<api::ObjectInfo>> finish(Deadline deadline) override {
        const api::ObjectInfo info{crypto::hex(whole_.finish()), bytes_};
        const auto key = store_->key_of(info.digest);
        if (!upload_.id.empty() && part_.bytes > 0) {
            FG_CO_CHECK(co_await put_part(deadline));
        }
        const auto known = co_await store_->has(key, deadline);
        if (!known) {
            co_return fail(known.error());
        }
        if (upload_.id.empty()) {
            if (!*known) {
                part_.sha256 = info.digest;
                Store::Call call{"PUT", key};
                call.payload = std::move(part_);
                FG_CO_CHECK(co_await store_->done(std::move(call), "take an object", deadline));
            }
            co_return info;
        }
        if (!*known) {
            FG_CO_CHECK(co_await store_->complete(upload_, tags_, deadline));
            const auto from = std::exchange(upload_, {}).key;
            const auto copied = co_await store_->copy(from, key, bytes_, deadline);
            (void)co_await store_->erase(from, deadline);
            if (!copied) {
                co_return fail(copied.error());
            }
        }
        co_return info;
    }

  private:
    Task<Result<void>> put_part(Deadline deadline) {
        if (upload_.id.empty()) {
            const auto key = store_->new_key();
            auto id = co_await store_->begin_upload(key, deadline);
            if (!id) {
                co_return fail(std::move(id.error()));
            }
            upload_ = {key, std::move(*id)};
        }
        part_.sha256 = crypto::hex(part_digest_.finish());
        part_digest_ = crypto::Digest::sha256();
        auto tag =
            co_await store_->put_part(upload_, tags_.size() + 1, std::exchange(part_, Payload{}), deadline);
        if (!tag) {
            co_return fail(std::move(tag.error()));
        }
        tags_.push_back(std::move(*tag));
        co_return Result<void>{};
    }

    std::shared_ptr<Store> store_;
    Store::Upload upload_;
    std::vector<std::string> tags_;  // of the parts that are there
    Payload part_{};                 // what is not
    crypto::Digest whole_ = crypto::Digest::sha256();
    crypto::Digest part_digest_ = crypto::Digest::sha256();
    std::uint64_t bytes_ = 0;
};

S3Objects::S3Objects(S3Ports ports, S3Settings settings)
    : store_(std::make_shared<Store>(std::move(ports), std::move(settings))) {}
S3Objects::~S3Objects() = default;

Task<Result<void>> S3Objects::check(Deadline deadline) {
    const auto fetched = co_await store_->send({"HEAD", ""}, deadline);
    if (!fetched) {
        co_return fail(fetched.error());
    }
    if (fetched->status >= 400) {
        co_return fail(refusal(*fetched, "open the bucket " + store_->settings().bucket));
    }
    co_return Result<void>{};
}

Task<Result<std::unique_ptr<api::ObjectWriter>>> S3Objects::create(Deadline deadline) {
    co_await store_->tidy(deadline);
    co_return std::make_unique<Writer>(store_);
}

Task<Result<api::ObjectInfo>> S3Objects::stat(std::string digest, Deadline deadline) {
    if (!is_digest(digest)) {
        co_return fail(Errc::kNotFound, "there is no such stored file");
    }
    auto fetched = co_await store_->send(Store::head_of(store_->key_of(digest)), deadline);
    if (fetched && fetched->status == 404) {
        fetched = co_await store_->send(Store::head_of(store_->aside_key_of(digest)), deadline);
    }
    if (!fetched) {
        co_return fail(fetched.error());
    }
    if (fetched->status >= 400) {
        co_return fail(refusal(*fetched, "find a stored file"));
    }
    const auto length = fetched->headers.get("content-length").value_or("");
    api::ObjectInfo out{std::move(digest), 0};
    const auto read = std::from_chars(length.data(), length.data() + length.size(), out.bytes);
    if (read.ec != std::errc{}) {
        co_return fail(Errc::kProtocol, "the S3 store does not say how large a file is");
    }
    co_return out;
}

Task<Result<Blob>> S3Objects::read(
    std::string digest, std::uint64_t offset, std::uint64_t bytes, Deadline deadline
) {
    if (!is_digest(digest)) {
        co_return fail(Errc::kNotFound, "there is no such stored file");
    }
    const auto wanted = std::min(bytes, kPieceMax);
    if (wanted == 0) {
        co_return Blob();
    }
    Store::Call call{"GET", store_->key_of(digest)};
    call.headers.add("range", fmt::format("bytes={}-{}", offset, offset + wanted - 1));
    call.answer_bytes_max = kPieceMax + kAnswerBytesMax;
    auto fetched = co_await store_->send(call, deadline);
    if (fetched && fetched->status == 404) {
        call.key = store_->aside_key_of(digest);
        fetched = co_await store_->send(std::move(call), deadline);
    }
    if (!fetched) {
        co_return fail(std::move(fetched.error()));
    }
    if (fetched->status == 416) {
        co_return Blob();
    }
    if (fetched->status >= 400) {
        co_return fail(refusal(*fetched, "read a stored file"));
    }
    if (fetched->status != 206 || fetched->body.size() > wanted) {
        co_return fail(Errc::kProtocol, "the S3 store answered with other bytes than it was asked for");
    }
    co_return std::move(fetched->body);
}

Task<Result<bool>> S3Objects::claim(std::string owner, Deadline deadline) {
    const auto key = store_->settings().prefix + "owners/" + owner;
    const auto known = co_await store_->has(key, deadline);
    if (!known) {
        co_return fail(known.error());
    }
    if (!*known) {
        FG_CO_CHECK(co_await store_->done({"PUT", key}, "take an object", deadline));
    }
    const auto owners = co_await store_->list("owners/", "", 2, deadline);
    if (!owners) {
        co_return fail(owners.error());
    }
    co_return owners->objects.size() == 1 && owners->objects.front().name == owner;
}

Task<Result<api::ObjectPage>> S3Objects::stored_before(
    std::int64_t unix_ms, std::string from, std::size_t limit, Deadline deadline
) {
    if (from.empty()) {
        co_await remove_unfinished(deadline);
    }
    auto listing = co_await store_->list("", std::move(from), limit, deadline);
    if (!listing) {
        co_return fail(std::move(listing.error()));
    }
    api::ObjectPage out;
    for (auto& object : listing->objects) {
        if (is_digest(object.name) && object.changed_unix_ms < unix_ms) {
            out.digests.push_back(std::move(object.name));
        }
    }
    out.next = std::move(listing->next);
    co_return out;
}

// An upload in parts gets the time at which it began: it may have taken hours.
Task<void> S3Objects::remove_unfinished(Deadline deadline) {
    const auto left = co_await store_->list("new/", "", kUnfinishedAtOnce, deadline);
    const auto old = store_->ports().clock.unix_ms() - milliseconds(kUnfinishedLife);
    for (const auto& object : left ? left->objects : std::vector<ListedObject>{}) {
        if (object.changed_unix_ms < old) {
            (void)co_await store_->erase(store_->settings().prefix + "new/" + object.name, deadline);
        }
    }
}

// The second name is there before the first one goes.
Task<Result<void>> S3Objects::move(std::string from, std::string to, Deadline deadline) {
    const auto found = co_await store_->send(Store::head_of(from), deadline);
    if (!found) {
        co_return fail(found.error());
    }
    if (found->status == 404) {
        co_return Result<void>{};
    }
    if (found->status >= 400) {
        co_return fail(refusal(*found, "find a stored file"));
    }
    std::uint64_t bytes = 0;
    const auto length = found->headers.get("content-length").value_or("");
    (void)std::from_chars(length.data(), length.data() + length.size(), bytes);
    FG_CO_CHECK(co_await store_->copy(from, std::move(to), bytes, deadline));
    co_return co_await store_->erase(std::move(from), deadline);
}

Task<Result<void>> S3Objects::set_aside(std::string digest, Deadline deadline) {
    if (!is_digest(digest)) {
        co_return Result<void>{};
    }
    co_return co_await move(store_->key_of(digest), store_->aside_key_of(digest), deadline);
}

Task<Result<std::vector<std::string>>> S3Objects::aside_before(
    std::int64_t unix_ms, std::size_t limit, Deadline deadline
) {
    auto listing = co_await store_->list("aside/", "", limit, deadline);
    if (!listing) {
        co_return fail(std::move(listing.error()));
    }
    std::vector<std::string> out;
    for (auto& object : listing->objects) {
        if (is_digest(object.name) && object.changed_unix_ms < unix_ms) {
            out.push_back(std::move(object.name));
        }
    }
    co_return out;
}

Task<Result<void>> S3Objects::put_back(std::string digest, Deadline deadline) {
    if (!is_digest(digest)) {
        co_return Result<void>{};
    }
    co_return co_await move(store_->aside_key_of(digest), store_->key_of(digest), deadline);
}

Task<Result<void>> S3Objects::drop(std::string digest, Deadline deadline) {
    if (!is_digest(digest)) {
        co_return Result<void>{};
    }
    co_return co_await store_->erase(store_->aside_key_of(digest), deadline);
}

}  // namespace framegrid::objects_s3
