#include <framegrid/rest/sources.hpp>

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <boost/json.hpp>

namespace framegrid::rest {

namespace {

namespace json = boost::json;

constexpr std::size_t kListBytesMax = 1u << 20;
constexpr Duration kWebhookTimeMax = std::chrono::seconds(3);

// The address of one entry; nullopt when the entry is malformed.
std::optional<std::string> read_entry(const json::value& value) {
    const json::object* object = value.if_object();
    const json::value* address = object == nullptr ? nullptr : object->if_contains("address");
    const json::value* score = object == nullptr ? nullptr : object->if_contains("score");
    if (address == nullptr || !address->is_string() || (score != nullptr && !score->is_number())) {
        return std::nullopt;
    }
    const auto& text = address->get_string();
    auto uri = normal_service_uri({text.data(), text.size()});
    return uri ? std::optional(std::move(*uri)) : std::nullopt;
}

}  // namespace

Result<std::string> normal_service_uri(std::string_view text) {
    FG_TRY(url, http::parse_url(text));
    std::string uri = url.origin();
    if (url.target != "/") {
        uri += url.target;
    }
    while (uri.ends_with('/')) {
        uri.pop_back();
    }
    return uri;
}

Result<StaticSource> StaticSource::make(const std::vector<std::string>& addresses) {
    std::vector<std::string> uris;
    std::set<std::string> seen;
    for (const auto& address : addresses) {
        FG_TRY(uri, normal_service_uri(address));
        if (seen.insert(uri).second) {
            uris.push_back(std::move(uri));
        }
    }
    return StaticSource(std::move(uris));
}

Result<void> StaticSource::replace(const std::vector<std::string>& addresses) {
    FG_TRY(fresh, make(addresses));
    uris_ = std::move(fresh.uris_);
    return {};
}

Task<Result<std::vector<std::string>>> StaticSource::list(Deadline) {
    co_return uris_;
}

Result<OrchestratorList> parse_orchestrator_list(std::string_view text) {
    boost::system::error_code error;
    const json::value value = json::parse(text, error);
    if (error) {
        return fail(Errc::kProtocol, "the list of orchestrators is not valid JSON: " + error.message());
    }
    const json::array* array = value.if_array();
    if (array == nullptr) {
        return fail(Errc::kProtocol, "the list of orchestrators is not a JSON array");
    }
    OrchestratorList list;
    std::set<std::string> seen;
    for (const auto& entry : *array) {
        auto uri = read_entry(entry);
        if (!uri) {
            if (list.refused++ == 0) {
                list.first_refused = printable(json::serialize(entry));
            }
        } else if (seen.insert(*uri).second) {
            list.uris.push_back(std::move(*uri));
        }
    }
    return list;
}

Task<Result<std::vector<std::string>>> WebhookSource::list(Deadline deadline) {
    http::Request request;
    request.url = url_;
    request.headers = http::Headers{{"accept", "application/json"}};
    const Deadline soon = deadline.at_most(clock_, kWebhookTimeMax);
    auto fetched = co_await client_.fetch(std::move(request), kListBytesMax, soon);
    if (!fetched) {
        co_return fail(std::move(fetched.error()).with_context("the discovery webhook"));
    }
    if (fetched->status != 200) {
        co_return fail(Errc::kUnavailable, fmt::format("the discovery webhook answered {}", fetched->status));
    }
    auto list = parse_orchestrator_list(fetched->body.text());
    if (!list) {
        co_return fail(std::move(list.error()).with_context("the discovery webhook"));
    }
    if (list->refused > 0) {
        log_.warn("rest.webhook_entries_refused", {{"count", list->refused}, {"first", list->first_refused}});
    }
    co_return std::move(list->uris);
}

}  // namespace framegrid::rest
