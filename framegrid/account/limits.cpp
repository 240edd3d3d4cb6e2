#include <framegrid/account/limits.hpp>

#include <array>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>

namespace framegrid::account {

namespace {

namespace json = boost::json;

constexpr std::int64_t kCountMax = 1'000'000'000;
constexpr double kWeightMin = 0.01;
constexpr double kWeightMax = 100;

std::unexpected<Error> wrong(std::string_view name, std::string_view what) {
    return fail(Errc::kInvalidArgument, std::string(name) + " is " + std::string(what), std::string(name));
}

Result<void> read_count(const json::value& value, std::string_view name, std::uint32_t& into) {
    const auto* number = value.if_int64();
    if (number == nullptr || *number < 0 || *number > kCountMax) {
        return wrong(name, "a whole number, not negative");
    }
    into = static_cast<std::uint32_t>(*number);
    return {};
}

Result<void> read_wei(const json::value& value, std::string_view name, std::optional<Wei>& into) {
    if (const auto* number = value.if_int64(); number != nullptr && *number >= 0) {
        into = Wei(*number);
        return {};
    }
    const auto* text = value.if_string();
    FG_TRY(wei, parse_wei(text == nullptr ? std::string_view() : std::string_view(*text), name));
    into = wei;
    return {};
}

Result<void> read_member(std::string_view name, const json::value& value, Limits& into) {
    if (name == "concurrent_jobs") {
        return read_count(value, name, into.running_max);
    }
    if (name == "queued_jobs") {
        return read_count(value, name, into.queued_max);
    }
    if (name == "requests_per_minute") {
        return read_count(value, name, into.requests_per_minute);
    }
    if (name == "wei_per_day") {
        return read_wei(value, name, into.wei_per_day);
    }
    if (name == "wei_total") {
        return read_wei(value, name, into.wei_total);
    }
    if (name == "weight") {
        const double weight = value.is_number() ? value.to_number<double>() : 0;
        if (!(weight >= kWeightMin && weight <= kWeightMax)) {
            return wrong(name, "a number from 0.01 to 100");
        }
        into.weight = weight;
        return {};
    }
    return fail(Errc::kInvalidArgument, "there is no such limit", printable(name, 40));
}

}  // namespace

Result<Wei> parse_wei(std::string_view text, std::string_view field) {
    constexpr std::size_t kDigitsMax = 78;  // of 2^256
    if (text.empty() || text.size() > kDigitsMax ||
        text.find_first_not_of("0123456789") != std::string_view::npos) {
        return wrong(field, "an amount in wei: decimal digits");
    }
    boost::multiprecision::cpp_int wide;
    for (const char digit : text) {
        wide = wide * 10 + (digit - '0');
    }
    if (wide > boost::multiprecision::cpp_int(std::numeric_limits<Wei>::max())) {
        return wrong(field, "an amount below 2^256");
    }
    return static_cast<Wei>(wide);
}

std::string limits_json(const Limits& limits) {
    json::object out;
    const auto put = [&out](const char* name, std::uint32_t count) {
        if (count > 0) {
            out[name] = count;
        }
    };
    put("concurrent_jobs", limits.running_max);
    put("queued_jobs", limits.queued_max);
    put("requests_per_minute", limits.requests_per_minute);
    if (limits.wei_per_day) {
        out["wei_per_day"] = limits.wei_per_day->str();
    }
    if (limits.wei_total) {
        out["wei_total"] = limits.wei_total->str();
    }
    if (limits.weight != 1) {
        out["weight"] = limits.weight;
    }
    return json::serialize(out);
}

Result<Limits> parse_limits(std::string_view text) {
    boost::system::error_code error;
    const auto value = json::parse(text, error);
    if (error || !value.is_object()) {
        return wrong("limits", "a JSON object");
    }
    Limits out;
    for (const auto& [name, member] : value.get_object()) {
        FG_CHECK(read_member(name, member, out));
    }
    return out;
}

}  // namespace framegrid::account
