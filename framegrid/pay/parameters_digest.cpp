#include <map>

#include <boost/json.hpp>

#include <framegrid/pay/field_text.hpp>
#include <framegrid/pay/receipt.hpp>

namespace framegrid::pay {

namespace {

namespace json = boost::json;

void append_netstring(std::string& out, std::string_view text) {
    out += std::to_string(text.size());
    out += ':';
    out += text;
    out += ',';
}

}  // namespace

crypto::Hash32 parameters_digest(std::string_view text) {
    if (text.empty()) {
        return {};
    }
    boost::system::error_code error;
    const json::value value = json::parse(text, error);
    if (error || !value.is_object()) {
        return {};
    }
    std::map<std::string_view, const json::value*> sorted;
    for (const auto& [name, member] : value.get_object()) {
        if (name != "model_id" && !member.is_null()) {
            sorted.emplace(name, &member);
        }
    }
    if (sorted.empty()) {
        return {};
    }
    std::string canonical;
    for (const auto& [name, member] : sorted) {
        append_netstring(canonical, name);
        // As the form carries it, so that who reads the form finds the same.
        append_netstring(canonical, field_text(*member));
    }
    return crypto::sha256(as_bytes(canonical));
}

}  // namespace framegrid::pay
