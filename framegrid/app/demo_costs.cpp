#include <framegrid/app/demo_costs.hpp>

#include <charconv>
#include <cstdio>

#include <fmt/format.h>

#include <framegrid/runtime/async.hpp>

namespace framegrid::app {

namespace {

constexpr std::string_view kFees = "\nframegrid_gateway_fees_wei_total ";
constexpr Duration kTick = std::chrono::seconds(1);
constexpr int kQuietTicks = 6;  // longer than orchestrators take to look at their tickets

Wei earned(const std::vector<LocalBalance>& balances) {
    Wei sum = 0;
    for (const auto& one : balances) {
        sum += one.earned;
    }
    return sum;
}

boost::json::array balances_json(const std::vector<LocalBalance>& balances) {
    boost::json::array out;
    for (const auto& one : balances) {
        out.push_back(boost::json::object{
            {"name", one.name},
            {"deposit", one.deposit.str()},
            {"reserve", one.reserve.str()},
            {"earned", one.earned.str()}
        });
    }
    return out;
}

}  // namespace

Task<std::int64_t> fees_so_far(Session& session, std::string gateway_url) {
    http::Request request;
    auto url = http::parse_url(gateway_url + "/metrics");
    if (!url) {
        co_return 0;
    }
    request.url = std::move(*url);
    const Deadline deadline = Deadline::after(session.clock, std::chrono::seconds(5));
    const auto fetched = co_await session.client.fetch(std::move(request), 16u << 20, deadline);
    const std::string_view text = fetched ? fetched->body.text() : std::string_view();
    const auto at = text.find(kFees);
    double wei = 0;
    if (at != std::string_view::npos) {
        const auto* begin = text.data() + at + kFees.size();
        (void)std::from_chars(begin, text.data() + text.size(), wei);
    }
    co_return static_cast<std::int64_t>(wei);
}

Task<std::vector<LocalBalance>> settled_balances(Session& session, LocalNetwork& network, Deadline deadline) {
    std::vector<LocalBalance> last;
    for (int quiet = 0; quiet < kQuietTicks && !deadline.passed(session.clock);) {
        auto now = co_await network.balances();
        if (now) {
            quiet = !last.empty() && earned(*now) == earned(last) ? quiet + 1 : 0;
            last = std::move(*now);
        }
        co_await sleep_for(session.clock, kTick);
    }
    co_return last;
}

void print_balances(const DemoCosts& costs) {
    std::printf("\n%-24s %22s %22s\n", "balance, wei", "before", "after");
    const auto line = [](const std::string& what, const Wei& before, const Wei& after) {
        std::printf("%-24s %22s %22s\n", what.c_str(), before.str().c_str(), after.str().c_str());
    };
    for (std::size_t i = 0; i < std::min(costs.before.size(), costs.after.size()); ++i) {
        const auto& before = costs.before[i];
        const auto& after = costs.after[i];
        if (i == 0) {
            line(before.name + " deposit", before.deposit, after.deposit);
            line(before.name + " reserve", before.reserve, after.reserve);
        } else {
            line(before.name + " earned", before.earned, after.earned);
        }
    }
    std::printf("Tickets pay on average what the work costs: who is lucky earns more.\n");
}

boost::json::object costs_json(const DemoCosts& costs) {
    return {
        {"transcode_wei", costs.transcode_wei},
        {"upscale_wei", costs.upscale_wei},
        {"generate_wei", costs.generate_wei},
        {"before", balances_json(costs.before)},
        {"after", balances_json(costs.after)}
    };
}

}  // namespace framegrid::app
