#include <framegrid/http/client.hpp>

#include <charconv>

#include <framegrid/http/client_core.hpp>
#include <framegrid/http/text.hpp>

namespace framegrid::http {

namespace {

Result<void> check_request(const Request& request) {
    FG_CHECK(check_headers(request.headers));
    if (!is_token(request.method) || !request.url.target.starts_with('/') ||
        !is_field_value(request.url.target) || request.url.target.find(' ') != std::string::npos) {
        return fail(Errc::kInvalidArgument, "the request line has a forbidden character", "url");
    }
    return {};
}

Task<Result<Response>> open_now(std::shared_ptr<ClientCore> core, Request request) {
    FG_CO_CHECK(check_request(request));
    set_content_length(request);
    for (bool again = false;; again = true) {
        auto connection = co_await core->acquire(request.url);
        if (!connection) {
            co_return std::unexpected(std::move(connection).error());
        }
        Attempt attempt = co_await (*connection)->exchange(request);
        if (attempt.response || again || !attempt.unprocessed) {
            co_return std::move(attempt.response);
        }
        core->log.debug("http.request_repeated", {{"origin", request.url.origin()}});
        core->drop_idle(request.url);
    }
}

Task<Result<Fetched>> fetch_now(std::shared_ptr<ClientCore> core, Request request, std::size_t body_limit) {
    Task<Result<Response>> opening = open_now(core, std::move(request));
    FG_CO_TRY(response, co_await std::move(opening));
    if (const auto length = response.head.headers.get("content-length")) {
        std::uint64_t size = 0;
        const auto [end, code] = std::from_chars(length->data(), length->data() + length->size(), size);
        if (code == std::errc{} && size > body_limit && response.body) {
            co_return fail(Errc::kTooLarge, "the answer is over " + std::to_string(body_limit) + " bytes");
        }
    }
    FG_CO_TRY(body, co_await read_all(*response.body, body_limit));
    Fetched out;
    out.status = response.head.status;
    out.headers = std::move(response.head.headers);
    out.trailers = response.body->trailers();
    out.body = std::move(body);
    co_return out;
}

}  // namespace

class Client::Impl {
  public:
    Impl(Executor executor, Clock& clock, ClientSettings settings, Logger log)
        : core(std::make_shared<ClientCore>(std::move(executor), clock, std::move(settings), std::move(log))
          ) {}
    ~Impl() { core->close_all(make_error(Errc::kCancelled, "the client is gone")); }
    std::shared_ptr<ClientCore> core;
};

Client::Client(Executor executor, Clock& clock, ClientSettings settings, Logger log)
    : impl_(std::make_unique<Impl>(std::move(executor), clock, std::move(settings), std::move(log))) {}
Client::~Client() = default;

Task<Result<Response>> Client::open(Request request, Deadline deadline) {
    const auto core = impl_->core;
    Task<Result<Response>> work = open_now(core, std::move(request));
    co_return co_await with_deadline<Response>(core->clock, deadline, std::move(work));
}

Task<Result<Fetched>> Client::fetch(Request request, std::size_t body_limit, Deadline deadline) {
    const auto core = impl_->core;
    Task<Result<Fetched>> work = fetch_now(core, std::move(request), body_limit);
    co_return co_await with_deadline<Fetched>(core->clock, deadline, std::move(work));
}

Task<void> Client::stop() {
    const auto core = impl_->core;
    core->close_all(make_error(Errc::kCancelled, "the client is stopping"));
    co_await core->setups.join();
    co_await core->pumps.join();
}

}  // namespace framegrid::http
