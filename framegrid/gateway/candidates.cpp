#include <framegrid/gateway/candidates.hpp>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>

namespace framegrid::gateway {

namespace json = boost::json;

json::object candidates_json(const market::Explanation& why) {
    json::array listed;
    for (const auto& verdict : why.listed) {
        json::object one{
            {"orchestrator", valid_utf8(verdict.uri)}, {"reason", market::to_string(verdict.obstacle)}
        };
        if (!verdict.detail.empty()) {
            one["detail"] = valid_utf8(verdict.detail);
        }
        listed.push_back(std::move(one));
    }
    return {{"summary", why.summary()}, {"considered", why.considered()}, {"candidates", std::move(listed)}};
}

}  // namespace framegrid::gateway
