#include <framegrid/rest/webhook_auth.hpp>

#include <algorithm>

#include <fmt/format.h>
#include <boost/json.hpp>

#include <framegrid/base/counted.hpp>
#include <framegrid/base/utf8.hpp>
#include <framegrid/crypto/hash.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

constexpr std::size_t kAnswerBytesMax = 64 * 1024;

std::unexpected<Error> nonsense(const std::string& what) {
    return fail(Errc::kUnavailable, "the authorisation webhook answered nonsense: " + what);
}

// The owner of a stream whose webhook names none, so that two streams are two owners'.
std::string stream_owner(const json::object& answer, const std::string& path) {
    const auto* id = answer.if_contains("manifestID");
    if (id != nullptr && id->is_string()) {
        return "stream:" + std::string(id->get_string());
    }
    const auto name = path.substr(std::min<std::size_t>(path.size(), std::string_view("/live/").size()));
    return "stream:" + name.substr(0, name.find('/'));
}

Result<account::Scopes> read_scopes(const json::object& answer, bool is_live) {
    const auto* value = answer.if_contains("scopes");
    if (value == nullptr) {
        return is_live ? account::Scopes{account::Scope::kLiveWrite} : account::kUserScopes;
    }
    std::string text;
    if (const auto* list = value->if_array()) {
        for (const auto& one : *list) {
            text += one.is_string() ? std::string(one.get_string()) + " " : "";
        }
    } else if (value->is_string()) {
        text = std::string(value->get_string());
    } else {
        return nonsense("scopes");
    }
    auto scopes = account::parse_scopes(text);
    return scopes ? scopes : nonsense(scopes.error().message);
}

Result<account::Permit> read_permit(const json::object& answer, const AccessRequest& request) {
    account::Permit out;
    const auto* owner = answer.if_contains("owner");
    if (owner != nullptr && owner->is_string()) {
        out.owner = std::string(owner->get_string());
    } else if (request.is_live) {
        out.owner = stream_owner(answer, request.path);
    }
    if (!account::check_owner(out.owner)) {
        return nonsense("it names no owner");
    }
    out.subject = out.owner;
    FG_TRY(scopes, read_scopes(answer, request.is_live && owner == nullptr));
    out.scopes = scopes;
    if (const auto* limits = answer.if_contains("limits")) {
        auto read = account::parse_limits(json::serialize(*limits));
        if (!read) {
            return nonsense(read.error().message);
        }
        out.limits = *std::move(read);
    }
    return out;
}

}  // namespace

Task<WebhookAuthenticator::Decision> WebhookAuthenticator::ask(AccessRequest request) {
    Decision out;
    http::Request call;
    call.method = "POST";
    call.url = settings_.url;
    call.headers = http::Headers{{"content-type", "application/json"}, {"accept", "application/json"}};
    call.body = Blob(to_bytes(json::serialize(json::object{
        {"method", request.method},
        {"path", valid_utf8(request.path)},
        {"url", valid_utf8(request.url)},
        {"key", valid_utf8(request.token)},
        {"peer", request.peer}
    })));
    const auto deadline = Deadline::after(clock_, settings_.time_max);
    auto fetched = co_await client_.fetch(std::move(call), kAnswerBytesMax, deadline);
    if (!fetched) {
        out.permit = fail(Errc::kUnavailable, "the authorisation webhook cannot be reached");
        co_return out;
    }
    if (fetched->status == 401 || fetched->status == 403) {
        const bool known = fetched->status == 403;
        out.permit = fail(
            known ? Errc::kForbidden : Errc::kUnauthorized,
            known ? "the operator's service does not allow this"
                  : "the operator's service does not know that key"
        );
        out.keep = std::min(settings_.cache_time, settings_.refusal_cache_time);
        co_return out;
    }
    const auto text = fetched->body.text();
    boost::system::error_code error;
    const auto answer = text.empty() ? json::value(json::object{}) : json::parse(text, error);
    if (fetched->status != 200 || error || !answer.is_object()) {
        out.permit = nonsense(fmt::format("status {}", fetched->status));
        co_return out;
    }
    out.permit = read_permit(answer.get_object(), request);
    if (out.permit) {
        out.keep = settings_.cache_time;
        const auto* seconds = answer.get_object().if_contains("cache_seconds");
        if (seconds != nullptr && seconds->is_int64() && seconds->get_int64() >= 0) {
            const auto most = std::chrono::ceil<std::chrono::seconds>(settings_.cache_time).count();
            out.keep = std::min<Duration>(
                out.keep, std::chrono::seconds(std::min<std::int64_t>(most, seconds->get_int64()))
            );
        }
    }
    co_return out;
}

void WebhookAuthenticator::keep(std::string key, const Decision& decision) {
    if (decision.keep <= Duration{} || settings_.cache_max == 0) {
        return;
    }
    const Kept kept{decision.permit, clock_.now() + decision.keep};
    if (const auto found = kept_.find(key); found != kept_.end()) {
        found->second = kept;
        return;
    }
    while (kept_.size() >= settings_.cache_max) {
        kept_.erase(order_.front());
        order_.pop_front();
    }
    order_.push_back(key);
    kept_.emplace(std::move(key), kept);
}

Task<Result<account::Permit>> WebhookAuthenticator::authenticate(AccessRequest request) {
    if (request.token.empty() && !request.is_live) {
        co_return fail(Errc::kUnauthorized, "this gateway wants a key");
    }
    // The lengths keep parts apart that would read alike when they are put together.
    const auto digest = crypto::sha256(as_bytes(fmt::format(
        "{} {} {} {}{}{}", request.token.size(), request.method.size(), request.url, request.token,
        request.method, request.path
    )));
    std::string key(as_text(digest));
    if (const auto found = kept_.find(key); found != kept_.end() && clock_.now() < found->second.until) {
        co_return found->second.permit;
    }
    if (calls_ >= settings_.calls_max) {
        co_return fail(Errc::kCapacity, "too many requests wait for the authorisation webhook");
    }
    const Counted counted(calls_);
    const auto decision = co_await ask(std::move(request));
    keep(std::move(key), decision);
    if (decision.permit) {
        seen_.note(decision.permit->owner, decision.permit->limits);
    }
    co_return decision.permit;
}

Task<Result<bool>> WebhookAuthenticator::serve() {
    co_return true;
}

}  // namespace framegrid::rest
