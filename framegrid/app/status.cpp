// `framegrid status`: what a gateway knows and does.
#include <framegrid/app/commands.hpp>

#include <cstdio>

#include <boost/json.hpp>

#include <framegrid/app/json_lookup.hpp>
#include <framegrid/app/session.hpp>
#include <framegrid/host/terminal.hpp>

namespace framegrid::app {

namespace {

bool truth(const boost::json::object& object, const char* name) {
    const auto* value = object.if_contains(name);
    return value != nullptr && value->is_bool() && value->as_bool();
}

void print_table(const boost::json::object& status) {
    const host::Colours colours{host::has_colours(1)};
    if (const auto* jobs = status.if_contains("jobs"); jobs != nullptr && jobs->is_object()) {
        const auto& counts = jobs->as_object();
        std::printf(
            "jobs: %lld running, %lld done, %lld failed, %lld retried\n",
            static_cast<long long>(number_of(counts, "in_flight")),
            static_cast<long long>(number_of(counts, "done")),
            static_cast<long long>(number_of(counts, "failed")),
            static_cast<long long>(number_of(counts, "retries"))
        );
    }
    const auto* pool = status.if_contains("orchestrators");
    if (pool == nullptr || !pool->is_array()) {
        return;
    }
    for (const auto& entry : pool->as_array()) {
        if (!entry.is_object()) {
            continue;
        }
        const auto& node = entry.as_object();
        const auto* uri = node.if_contains("uri");
        const std::string state = !truth(node, "known")      ? colours.yellow("unknown  ")
                                  : truth(node, "suspended") ? colours.red("suspended")
                                                             : colours.green("usable   ");
        std::printf(
            "  %s  %lld of %lld busy  %s\n", state.c_str(),
            static_cast<long long>(number_of(node, "in_flight")),
            static_cast<long long>(number_of(node, "capacity")),
            uri != nullptr && uri->is_string() ? uri->as_string().c_str() : "?"
        );
    }
}

Task<Result<int>> status(Session& session, std::string gateway) {
    auto url = http::parse_url(gateway + "/status");
    if (!url) {
        co_return fail(std::move(url.error()).with_context("--gateway"));
    }
    http::Request request;
    request.url = std::move(*url);
    const Deadline deadline = Deadline::after(session.clock, std::chrono::seconds(5));
    auto fetched = co_await session.client.fetch(std::move(request), 64u << 20, deadline);
    if (!fetched) {
        co_return fail(std::move(fetched.error()).with_context("no gateway at " + gateway));
    }
    if (fetched->status == 404) {
        co_return fail(
            Errc::kNotFound,
            gateway +
                " does not show its status here: one with --auth does on its --admin-listen, "
                "usually http://127.0.0.1:9936",
            "gateway"
        );
    }
    boost::system::error_code bad;
    const auto body = boost::json::parse(fetched->body.text(), bad);
    if (fetched->status != 200 || bad || !body.is_object()) {
        co_return fail(Errc::kProtocol, gateway + " is not a Framegrid gateway");
    }
    if (session.common.json) {
        std::printf("%s\n", boost::json::serialize(body).c_str());
    } else {
        print_table(body.as_object());
    }
    co_return kExitOk;
}

}  // namespace

void add_status_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto gateway = std::make_shared<std::string>(kDefaultGateway);
    auto* command = app.add_subcommand("status", "Show a gateway's jobs and orchestrators");
    command->add_option("--gateway", *gateway, "the gateway's URL")
        ->envname("FRAMEGRID_GATEWAY")
        ->capture_default_str();
    command->footer("Example:\n  framegrid status --gateway http://127.0.0.1:9935 --json");
    command->callback([gateway, &common, &run] {
        run = [gateway, &common] {
            Session session(common, "status", 1);
            return session.run([&] { return status(session, *gateway); });
        };
    });
}

}  // namespace framegrid::app
