#include <framegrid/hub/download.hpp>

#include <cerrno>
#include <memory>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <framegrid/base/log.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/host/files.hpp>
#include <framegrid/runtime/async.hpp>

namespace framegrid::hub {

namespace {

constexpr int kRedirectsMax = 8;
constexpr std::size_t kHashBytes = 1 << 20;

// A file that grows, and the digests of what it holds.
class PartialFile {
  public:
    // Opens or makes it and hashes what is there. Blocking.
    static Result<std::unique_ptr<PartialFile>> open(
        const std::filesystem::path& path, std::int64_t whole_bytes
    ) {
        std::unique_ptr<PartialFile> out(new PartialFile(path, whole_bytes));
        out->fd_ = host::UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
        if (!out->fd_) {
            return fail(host::system_error("cannot write " + path.string(), errno));
        }
        Bytes buffer(kHashBytes);
        while (true) {
            const ::ssize_t got = ::read(out->fd_.get(), buffer.data(), buffer.size());
            if (got < 0) {
                return fail(host::system_error("cannot read " + path.string(), errno));
            }
            if (got == 0) {
                return out;
            }
            out->hash({buffer.data(), static_cast<std::size_t>(got)});
        }
    }

    Result<void> append(BytesView bytes) {
        for (BytesView rest = bytes; !rest.empty();) {
            const ::ssize_t wrote = ::write(fd_.get(), rest.data(), rest.size());
            if (wrote < 0) {
                return fail(host::system_error("cannot write " + path_.string(), errno));
            }
            rest = rest.subspan(static_cast<std::size_t>(wrote));
        }
        hash(bytes);
        return {};
    }

    Result<void> start_over() {
        if (::ftruncate(fd_.get(), 0) != 0 || ::lseek(fd_.get(), 0, SEEK_SET) != 0) {
            return fail(host::system_error("cannot write " + path_.string(), errno));
        }
        bytes_ = 0;
        sha256_ = crypto::Digest::sha256();
        git_ = crypto::Digest::git_blob(whole_bytes_);
        return {};
    }

    // The digest, checked. A file that is wrong is removed: it cannot be continued.
    Result<std::string> finish(const Source& source) {
        const std::string digest = crypto::hex(sha256_.finish());
        const std::string git = crypto::hex(git_.finish());
        const bool size_fits = source.bytes == 0 || bytes_ == source.bytes;
        const bool digest_fits = source.sha256.empty() || digest == source.sha256;
        const bool git_fits = !source.sha256.empty() || source.git_id.empty() || git == source.git_id;
        if (size_fits && digest_fits && git_fits) {
            return digest;
        }
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
        return fail(
            Errc::kUnprocessable, path_.filename().string() + " is not what was promised: " +
                                      std::to_string(bytes_) + " bytes with SHA-256 " + digest
        );
    }

    std::int64_t bytes() const { return bytes_; }

  private:
    PartialFile(std::filesystem::path path, std::int64_t whole_bytes)
        : path_(std::move(path)),
          whole_bytes_(whole_bytes),
          sha256_(crypto::Digest::sha256()),
          git_(crypto::Digest::git_blob(whole_bytes)) {}

    void hash(BytesView bytes) {
        sha256_.update(bytes);
        git_.update(bytes);
        bytes_ += static_cast<std::int64_t>(bytes.size());
    }

    std::filesystem::path path_;
    std::int64_t whole_bytes_;
    host::UniqueFd fd_;
    std::int64_t bytes_ = 0;
    crypto::Digest sha256_;
    crypto::Digest git_;
};

Error error_of(int status, const std::string& url) {
    const std::string what = url + " answers " + std::to_string(status);
    switch (status) {
        case 401:
            return make_error(
                Errc::kUnauthorized, what + ": a token with access is needed (--token-file)", "token-file"
            );
        case 403:
            return make_error(
                Errc::kForbidden, what + ": accept the model's terms on the hub, and use a token",
                "token-file"
            );
        case 404:
            return make_error(Errc::kNotFound, what);
        default:
            return make_error(status >= 500 || status == 429 ? Errc::kUnavailable : Errc::kProtocol, what);
    }
}

// Where a redirect leads. Relative ones keep scheme and host.
Result<http::Url> redirected(const http::Url& from, std::string_view location) {
    if (location.starts_with('/')) {
        http::Url url = from;
        url.target = std::string(location);
        return url;
    }
    return http::parse_url(location);
}

// The response after redirects. `range_from` over 0 asks for the rest.
Task<Result<http::Response>> open_url(
    DownloadPorts ports, Source source, std::int64_t range_from, Deadline deadline
) {
    auto first = http::parse_url(source.url);
    if (!first) {
        co_return fail(std::move(first.error()));
    }
    http::Url url = *first;
    for (int hop = 0; hop < kRedirectsMax; ++hop) {
        http::Request request;
        request.url = url;
        request.headers = http::Headers{{"accept", "*/*"}, {"user-agent", "framegrid"}};
        if (range_from > 0) {
            request.headers.add("range", "bytes=" + std::to_string(range_from) + "-");
        }
        if (!source.token.empty() && url.origin() == first->origin()) {
            request.headers.add("authorization", "Bearer " + source.token);
        }
        auto response = co_await ports.client.open(std::move(request), deadline);
        if (!response) {
            co_return fail(std::move(response.error()));
        }
        const int status = response->head.status;
        if (status < 300 || status >= 400) {
            co_return response;
        }
        auto next = redirected(url, response->head.headers.get("location").value_or(""));
        if (!next) {
            co_return fail(Errc::kProtocol, source.url + " redirects to nowhere");
        }
        if (first->scheme == "https" && next->scheme != "https") {
            co_return fail(Errc::kForbidden, source.url + " redirects to an address without TLS");
        }
        url = std::move(*next);
    }
    co_return fail(Errc::kProtocol, source.url + " redirects without end");
}

// One attempt: from what the file holds to the end of the body.
Task<Result<bool>> take_rest(
    DownloadPorts ports, Source source, std::shared_ptr<PartialFile> file, DownloadSettings settings,
    DownloadProgress progress
) {
    auto response =
        co_await open_url(ports, source, file->bytes(), Deadline::after(ports.clock, settings.stall_max));
    if (!response) {
        co_return fail(std::move(response.error()));
    }
    const int status = response->head.status;
    if (status == 416 && file->bytes() > 0) {
        co_return true;  // there is no more
    }
    if (status != 200 && status != 206) {
        co_return fail(error_of(status, source.url));
    }
    if (status == 200 && file->bytes() > 0) {
        auto emptied = file->start_over();
        if (!emptied) {
            co_return fail(std::move(emptied.error()));
        }
    }
    while (true) {
        const Deadline deadline = Deadline::after(ports.clock, settings.stall_max);
        auto piece = co_await with_deadline<Blob>(ports.clock, deadline, response->body->read());
        if (!piece) {
            co_return fail(std::move(piece.error()));
        }
        const Blob bytes = std::move(*piece);
        if (bytes.empty()) {
            co_return true;
        }
        if (file->bytes() + static_cast<std::int64_t>(bytes.size()) > settings.bytes_max) {
            co_return fail(
                Errc::kTooLarge, source.url + " has over " + std::to_string(settings.bytes_max) + " bytes"
            );
        }
        auto wrote = co_await offload(ports.pool, [file, bytes] { return file->append(bytes.view()); });
        if (!wrote) {
            co_return fail(std::move(wrote.error()));
        }
        if (progress) {
            progress(file->bytes());
        }
    }
}

bool may_retry(const Error& error) {
    return error.code == Errc::kUnavailable || error.code == Errc::kDeadline || error.code == Errc::kProtocol;
}

}  // namespace

Task<Result<std::string>> download(
    DownloadPorts ports, Source source, std::filesystem::path path, DownloadSettings settings,
    DownloadProgress progress
) {
    auto opened = co_await offload(ports.pool, [&] { return PartialFile::open(path, source.bytes); });
    if (!opened) {
        co_return fail(std::move(opened.error()));
    }
    const std::shared_ptr<PartialFile> file = std::move(*opened);
    Duration pause = settings.pause;
    for (int attempt = 1;; ++attempt) {
        if (source.bytes > 0 && file->bytes() == source.bytes) {
            break;
        }
        auto taken = co_await take_rest(ports, source, file, settings, progress);
        const bool cut = taken && source.bytes > 0 && file->bytes() < source.bytes;
        if (taken && !cut) {
            break;
        }
        Error error =
            cut ? make_error(Errc::kUnavailable, source.url + " ended early") : std::move(taken.error());
        if (attempt >= settings.attempts || !may_retry(error)) {
            co_return fail(std::move(error));
        }
        co_await sleep_for(ports.clock, pause);
        pause *= 2;
    }
    co_return co_await offload(ports.pool, [file, source] { return file->finish(source); });
}

Task<Result<std::string>> get_text(DownloadPorts ports, Source source, std::size_t bytes_max) {
    const Deadline deadline = Deadline::after(ports.clock, std::chrono::seconds(60));
    auto response = co_await open_url(ports, source, 0, deadline);
    if (!response) {
        co_return fail(std::move(response.error()));
    }
    if (response->head.status != 200) {
        co_return fail(error_of(response->head.status, source.url));
    }
    auto body =
        co_await with_deadline<Blob>(ports.clock, deadline, http::read_all(*response->body, bytes_max));
    if (!body) {
        co_return fail(std::move(body.error()));
    }
    co_return std::string(body->text());
}

}  // namespace framegrid::hub
