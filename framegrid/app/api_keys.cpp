// `framegrid keys`: the API keys of a gateway, in its data directory, while it runs or not.
#include <framegrid/app/commands.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include <boost/json.hpp>

#include <framegrid/account/api_key.hpp>
#include <framegrid/account/key_ring.hpp>
#include <framegrid/app/gateway_jobs.hpp>
#include <framegrid/app/session.hpp>
#include <framegrid/app/stores.hpp>
#include <framegrid/job/record_json.hpp>

namespace framegrid::app {

namespace {

namespace json = boost::json;

constexpr std::size_t kKeyNameBytesMax = 128;

struct KeysOptions {
    std::string data;
    std::string store = "sqlite";
    std::string id;
    std::string name;
    std::string owner;
    std::string scopes = account::kUserScopes.text();
    std::string expires = "never";
    std::string grace = "0";
    account::Limits limits;
    std::string wei_per_day;
    std::string wei_total;
    std::string amount;
};

// "90d", "12h", "30m", "45s", "0" or "never"; nullopt: never.
Result<std::optional<std::int64_t>> parse_span_ms(const std::string& text, const std::string& field) {
    if (text == "never") {
        return std::nullopt;
    }
    const auto unit_at = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto unit = text.substr(unit_at);
    const std::int64_t seconds = unit == "d"                  ? 86'400
                                 : unit == "h"                ? 3'600
                                 : unit == "m"                ? 60
                                 : unit == "s" || text == "0" ? 1
                                                              : 0;
    constexpr std::size_t kDigitsMax = 6;
    if (unit_at == 0 || unit_at > kDigitsMax || seconds == 0) {
        return fail(
            Errc::kInvalidArgument, "'" + text + "' is no span of time; write 90d, 12h, 30m or never", field
        );
    }
    return std::stoll(text.substr(0, unit_at)) * seconds * 1'000;
}

Result<account::KeyRecord> wanted_key(const KeysOptions& options, std::int64_t now_unix_ms) {
    account::KeyRecord out;
    const bool bad = std::ranges::any_of(options.name, [](char c) { return c < ' ' || c == 0x7f; });
    if (bad || options.name.size() > kKeyNameBytesMax) {
        return fail(Errc::kInvalidArgument, "a name has at most 128 printable characters", "name");
    }
    out.name = options.name;
    if (!options.owner.empty()) {
        FG_CHECK(account::check_owner(options.owner));
    }
    out.owner = options.owner;
    FG_TRY(scopes, account::parse_scopes(options.scopes));
    if (scopes.empty()) {
        return fail(Errc::kInvalidArgument, "a key without a scope can do nothing", "scopes");
    }
    out.scopes = scopes;
    FG_TRY(life, parse_span_ms(options.expires, "expires"));
    out.expires_unix_ms = life ? now_unix_ms + *life : 0;
    out.limits = options.limits;
    if (!options.wei_per_day.empty()) {
        FG_TRY(wei, account::parse_wei(options.wei_per_day, "wei-per-day"));
        out.limits.wei_per_day = wei;
    }
    if (!options.wei_total.empty()) {
        FG_TRY(wei, account::parse_wei(options.wei_total, "wei-total"));
        out.limits.wei_total = wei;
    }
    return out;
}

json::object describe(const account::KeyRecord& record, std::int64_t now_unix_ms) {
    json::object out{
        {"id", record.id},
        {"object", "api_key"},
        {"name", record.name},
        {"owner", record.owner},
        {"scopes", record.scopes.text()},
        {"limits", json::parse(account::limits_json(record.limits))},
        {"state", account::to_string(account::state_of(record, now_unix_ms))},
        {"created_at", job::utc_text(record.created_unix_ms)}
    };
    if (record.expires_unix_ms != 0) {
        out["expires_at"] = job::utc_text(record.expires_unix_ms);
    }
    if (record.revoked_unix_ms != 0) {
        out["revoked_at"] = job::utc_text(record.revoked_unix_ms);
    }
    return out;
}

void print_record(const CommonOptions& common, const json::object& record) {
    if (common.json) {
        std::printf("%s\n", json::serialize(record).c_str());
        return;
    }
    for (const auto& [name, value] : record) {
        if (name != "object") {
            const auto text = value.is_string() ? std::string(value.get_string()) : json::serialize(value);
            std::printf("%-11s %s\n", std::string(name).c_str(), text.c_str());
        }
    }
}

// The only time that the key can be read.
void print_new(const CommonOptions& common, const account::NewKey& key, std::int64_t now_unix_ms) {
    auto record = describe(key.record, now_unix_ms);
    if (common.json) {
        record["key"] = key.text;
        std::printf("%s\n", json::serialize(record).c_str());
        return;
    }
    std::printf("%s\n", key.text.c_str());
    std::fprintf(
        stderr, "id %s, owner %s. Keep the key now: only its hash is stored.\n", key.record.id.c_str(),
        key.record.owner.c_str()
    );
}

void print_table(
    const CommonOptions& common, const std::vector<account::KeyRecord>& records, std::int64_t now
) {
    if (common.json) {
        json::array data;
        for (const auto& record : records) {
            data.push_back(describe(record, now));
        }
        std::printf(
            "%s\n", json::serialize(json::object{{"object", "list"}, {"data", std::move(data)}}).c_str()
        );
        return;
    }
    std::printf("%-16s  %-7s  %-20s  %-20s  %s\n", "ID", "STATE", "OWNER", "NAME", "SCOPES");
    for (const auto& record : records) {
        std::printf(
            "%-16s  %-7s  %-20s  %-20s  %s\n", record.id.c_str(),
            std::string(account::to_string(account::state_of(record, now))).c_str(), record.owner.c_str(),
            record.name.c_str(), record.scopes.text().c_str()
        );
    }
}

using Keys = api::KeyStore;

Task<Result<int>> create(Session& session, Keys& keys, KeysOptions options) {
    const auto now = session.clock.unix_ms();
    auto like = wanted_key(options, now);
    if (!like) {
        co_return fail(std::move(like.error()));
    }
    const auto key = account::make_key(*std::move(like), now, session.random);
    FG_CO_CHECK(co_await keys.add(key.record));
    print_new(session.common, key, now);
    co_return kExitOk;
}

Task<Result<int>> list(Session& session, Keys& keys, KeysOptions options) {
    FG_CO_TRY(records, co_await keys.list(options.owner));
    print_table(session.common, records, session.clock.unix_ms());
    co_return kExitOk;
}

// What an owner has spent, and what its active keys leave it.
json::object describe_usage(
    const std::string& owner, const account::Limits& limits, const account::Spent& spent, std::int64_t today
) {
    const Wei spent_today = spent.day == today ? spent.today : Wei(0);
    json::object out{
        {"object", "key_usage"},
        {"owner", owner},
        {"spent_today", spent_today.str()},
        {"spent_total", spent.total.str()}
    };
    const auto put_left = [&out](const char* name, const std::optional<Wei>& limit, const Wei& used) {
        if (limit) {
            out[name] = (*limit > used ? Wei(*limit - used) : Wei(0)).str();
        }
    };
    put_left("left_today", limits.wei_per_day, spent_today);
    put_left("left_total", limits.wei_total, spent.total);
    return out;
}

void print_usage(const CommonOptions& common, json::array rows) {
    if (common.json) {
        const json::object out{{"object", "list"}, {"data", std::move(rows)}};
        std::printf("%s\n", json::serialize(out).c_str());
        return;
    }
    constexpr std::array kColumns{"spent_today", "left_today", "spent_total", "left_total"};
    std::printf("%-20s  %22s  %22s  %22s  %22s\n", "OWNER", "WEI TODAY", "LEFT TODAY", "WEI IN ALL", "LEFT");
    for (const auto& row : rows) {
        std::printf("%-20s", row.at("owner").get_string().c_str());
        for (const char* name : kColumns) {
            const auto* value = row.get_object().if_contains(name);
            std::printf("  %22s", value == nullptr ? "any" : value->get_string().c_str());
        }
        std::printf("\n");
    }
}

Task<Result<int>> usage(Session& session, Keys& keys, KeysOptions options) {
    constexpr std::int64_t kDayMs = 86'400'000;
    const auto now = session.clock.unix_ms();
    FG_CO_TRY(records, co_await keys.list(options.owner));
    std::set<std::string> owners;
    for (const auto& record : records) {
        owners.insert(record.owner);
    }
    account::KeyRing ring;
    ring.update(std::move(records));
    json::array rows;
    for (const auto& owner : owners) {
        FG_CO_TRY(spent, co_await keys.spent(owner));
        rows.push_back(describe_usage(owner, ring.limits_of(owner, now), spent, now / kDayMs));
    }
    print_usage(session.common, std::move(rows));
    co_return kExitOk;
}

Task<Result<int>> show(Session& session, Keys& keys, KeysOptions options) {
    FG_CO_TRY(record, co_await keys.find(options.id));
    print_record(session.common, describe(record, session.clock.unix_ms()));
    co_return kExitOk;
}

Task<Result<int>> revoke(Session& session, Keys& keys, KeysOptions options) {
    const auto now = session.clock.unix_ms();
    FG_CO_TRY(record, co_await keys.revoke(options.id, now));
    print_record(session.common, describe(record, now));
    co_return kExitOk;
}

// What was paid in advance, added to what the owner may spend in all.
Task<Result<int>> top_up(Session& session, Keys& keys, KeysOptions options) {
    const auto now = session.clock.unix_ms();
    auto amount = account::parse_wei(options.amount, "amount");
    if (!amount) {
        co_return fail(std::move(amount.error()));
    }
    FG_CO_CHECK(co_await keys.top_up(options.owner, *amount, now));
    co_return co_await usage(session, keys, std::move(options));
}

// A new secret for the same owner, with the same scopes, limits and end.
Task<Result<int>> rotate(Session& session, Keys& keys, KeysOptions options) {
    const auto now = session.clock.unix_ms();
    auto grace = parse_span_ms(options.grace, "grace");
    if (!grace || !*grace) {
        co_return fail(
            Errc::kInvalidArgument, "the old key works on for a span of time: 24h, 30m or 0", "grace"
        );
    }
    FG_CO_TRY(old, co_await keys.find(options.id));
    if (account::state_of(old, now) != account::KeyState::kActive) {
        co_return fail(Errc::kInvalidArgument, "that key has ended already: make a new one", "id");
    }
    const auto key = account::make_key(old, now, session.random);
    FG_CO_CHECK(co_await keys.rotate(options.id, key.record, now + **grace));
    print_new(session.common, key, now);
    co_return kExitOk;
}

using Action = Task<Result<int>> (*)(Session&, Keys&, KeysOptions);

// A SQLite file is made with the first key only: a wrong --data would make another one.
Result<void> find_file(const host::Path& directory, bool create) {
    if (create) {
        return host::make_dirs(directory, 0700);
    }
    if (!std::filesystem::exists(job_database(directory))) {
        return fail(
            Errc::kNotFound,
            "no gateway keeps its keys in " + directory.string() +
                ": name its --data directory, or its --store",
            "data"
        );
    }
    return {};
}

Task<Result<int>> with_store(Session& session, Action action, KeysOptions options) {
    const auto directory = data_directory(options.data);
    if (!is_shared(options.store)) {
        FG_CO_CHECK(find_file(directory, action == &create));
    }
    auto stores = Stores::open(options.store, directory, session.clock);
    if (!stores) {
        co_return fail(std::move(stores.error()));
    }
    co_return co_await action(session, (*stores)->keys(), std::move(options));
}

void add_limit_options(CLI::App& command, KeysOptions& options) {
    auto& limits = options.limits;
    command.add_option("--concurrent-jobs", limits.running_max, "jobs at once; 0: as the gateway allows all")
        ->check(CLI::Range(0, 1'000'000));
    command.add_option("--queued-jobs", limits.queued_max, "durable jobs that wait; 0: the same")
        ->check(CLI::Range(0, 1'000'000));
    command.add_option("--requests-per-minute", limits.requests_per_minute, "0: any number")
        ->check(CLI::Range(0, 100'000'000));
    command.add_option("--wei-per-day", options.wei_per_day, "may be spent on a day (UTC)");
    command.add_option("--wei-total", options.wei_total, "may be spent in all");
    command.add_option("--weight", limits.weight, "turns in the queue beside an owner with 1")
        ->check(CLI::Range(0.01, 100.0))
        ->capture_default_str();
}

}  // namespace

void add_keys_command(CLI::App& app, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<KeysOptions>();
    auto* command = app.add_subcommand("keys", "Make, show and revoke API keys of a gateway (--auth keys)");
    command->require_subcommand(1);
    command->footer(  // before the subcommands, which show it, too
        "Examples:\n"
        "  framegrid keys create --name ci --owner acme --expires 90d --requests-per-minute 600\n"
        "  framegrid keys create --name reader --owner acme --scopes jobs:read,artifacts:read\n"
        "  framegrid keys ls --json\n"
        "  framegrid keys usage --owner acme\n"
        "  framegrid keys topup acme 1000000000000000000\n"
        "  framegrid keys rotate 0123456789abcdef --grace 24h\n"
        "  framegrid keys revoke 0123456789abcdef"
    );
    const auto add = [&](const char* name, const char* what, Action action) {
        auto* sub = command->add_subcommand(name, what);
        sub->add_option("--data", options->data, "the gateway's data directory; it may be running")
            ->envname("FRAMEGRID_DATA");
        add_store_option(*sub, options->store);
        sub->callback([options, &common, &run, action] {
            run = [options, &common, action] {
                Session session(common, "keys", 1);
                return session.run([&] { return with_store(session, action, *options); });
            };
        });
        return sub;
    };
    auto* made = add("create", "make a key and print it, once", &create);
    made->add_option("--name", options->name, "for people, for example what uses it");
    made->add_option("--owner", options->owner, "whose jobs and files it works on; default: an own one");
    made->add_option("--scopes", options->scopes, "what it may do, separated by commas")
        ->capture_default_str();
    made->add_option("--expires", options->expires, "after 90d, 12h, 30m; or never")->capture_default_str();
    add_limit_options(*made, *options);
    auto* listed = add("ls", "list keys", &list);
    listed->add_option("--owner", options->owner, "of this owner only");
    auto* used = add("usage", "what owners with a limit of money have spent, and have left", &usage);
    used->add_option("--owner", options->owner, "of this owner only");
    auto* topped_up =
        add("topup", "raise what an owner may spend in all (--wei-total of its active keys)", &top_up);
    topped_up->add_option("OWNER", options->owner, "whose balance")->required();
    topped_up->add_option("AMOUNT", options->amount, "wei that were paid in advance")->required();
    const auto add_id = [&options](CLI::App* sub) {
        sub->add_option("ID", options->id, "the key's id: fg_ID_...")->required();
    };
    add_id(add("show", "show a key's record", &show));
    add_id(add("revoke", "end a key; a running gateway refuses it within a second", &revoke));
    auto* rotated = add("rotate", "replace a key by a new one of the same owner, scopes and limits", &rotate);
    add_id(rotated);
    rotated->add_option("--grace", options->grace, "the old key works on for 24h, 30m; 0: not at all")
        ->capture_default_str();
}

}  // namespace framegrid::app
