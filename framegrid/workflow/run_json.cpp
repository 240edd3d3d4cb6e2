#include <framegrid/workflow/run.hpp>

#include <algorithm>
#include <limits>
#include <utility>

#include <boost/json.hpp>

#include <framegrid/workflow/value_json.hpp>

namespace framegrid::workflow {

namespace {

namespace json = boost::json;

constexpr std::int64_t kVersion = 1;
constexpr std::size_t kFilesMax = 2 * static_cast<std::size_t>(kItemsMax);

json::object write(const Artifact& file) {
    return {{"kind", to_string(Type{file.kind, false})}, {"digest", file.digest}, {"bytes", file.bytes},
            {"content_type", file.content_type},         {"width", file.width},   {"height", file.height},
            {"duration_ms", file.duration_ms},           {"frames", file.frames}};
}

json::value write(const Value& value) {
    if (const auto* file = std::get_if<Artifact>(&value)) {
        return write(*file);
    }
    if (const auto* files = std::get_if<std::vector<Artifact>>(&value)) {
        json::array out;
        for (const auto& one : *files) {
            out.push_back(write(one));
        }
        return out;
    }
    return scalar_json(value);
}

json::object write(const QuoteLine& line) {
    return {
        {"step", line.step},
        {"items", line.items},
        {"units", line.units.value},
        {"price_wei", line.offer.price.wei},
        {"price_units", line.offer.price.units},
        {"model_digest", line.offer.model_digest},
        {"scale", line.offer.scale},
        {"wei", line.wei},
        {"exact", line.exact},
        {"note", line.note}
    };
}

// Reads members of objects; the first mistake is kept, and what is read after it does not matter.
class Members {
  public:
    std::string text(const json::object& from, std::string_view name) {
        const auto* value = from.if_contains(name);
        if (value == nullptr || !value->is_string()) {
            wrong(name);
            return {};
        }
        return std::string(value->get_string());
    }
    std::int64_t integer(
        const json::object& from, std::string_view name, std::int64_t min = 0,
        std::int64_t max = std::numeric_limits<std::int64_t>::max()
    ) {
        const auto* value = from.if_contains(name);
        if (value == nullptr || !value->is_int64() || value->get_int64() < min || value->get_int64() > max) {
            wrong(name);
            return min;
        }
        return value->get_int64();
    }
    bool boolean(const json::object& from, std::string_view name) {
        const auto* value = from.if_contains(name);
        if (value == nullptr || !value->is_bool()) {
            wrong(name);
            return false;
        }
        return value->get_bool();
    }
    const json::array& array(const json::object& from, std::string_view name) {
        const auto* value = from.if_contains(name);
        if (value == nullptr || !value->is_array()) {
            wrong(name);
            return no_items_;
        }
        return value->get_array();
    }
    const json::object& object(const json::value& value, std::string_view name) {
        if (!value.is_object()) {
            wrong(name);
            return no_members_;
        }
        return value.get_object();
    }
    const json::object& object(const json::object& from, std::string_view name) {
        const auto* value = from.if_contains(name);
        return object(value == nullptr ? nothing_ : *value, name);
    }

    Artifact artifact(const json::value& value) {
        const auto& from = object(value, "file");
        Artifact out;
        const auto type = parse_type(text(from, "kind"));
        if (!type || type->list || !is_media(type->kind)) {
            wrong("kind");
            return out;
        }
        out.kind = type->kind;
        out.digest = text(from, "digest");
        out.bytes = static_cast<std::uint64_t>(integer(from, "bytes"));
        out.content_type = text(from, "content_type");
        constexpr std::int64_t kSideMax = 1 << 24;
        out.width = static_cast<int>(integer(from, "width", 0, kSideMax));
        out.height = static_cast<int>(integer(from, "height", 0, kSideMax));
        out.duration_ms = integer(from, "duration_ms");
        out.frames = integer(from, "frames");
        return out;
    }

    Value value(const json::value& from) {
        if (from.is_bool()) {
            return from.get_bool();
        }
        if (from.is_int64()) {
            return from.get_int64();
        }
        if (from.is_double()) {
            return from.get_double();
        }
        if (from.is_string()) {
            return std::string(from.get_string());
        }
        if (from.is_array()) {
            std::vector<Artifact> out;
            for (const auto& one : from.get_array()) {
                out.push_back(artifact(one));
            }
            return out;
        }
        return artifact(from);
    }

    Quote quote(const json::object& root) {
        Quote out;
        for (const auto& one : array(root, "quote")) {
            const auto& from = object(one, "quote");
            QuoteLine line;
            line.step = text(from, "step");
            line.items = integer(from, "items");
            line.units = {integer(from, "units")};
            line.offer.price = {integer(from, "price_wei"), integer(from, "price_units", 1)};
            line.offer.model_digest = text(from, "model_digest");
            line.offer.scale = static_cast<int>(integer(from, "scale", 1, 64));
            line.wei = integer(from, "wei");
            line.exact = boolean(from, "exact");
            line.note = text(from, "note");
            if (__builtin_add_overflow(out.wei, line.wei, &out.wei)) {
                wrong("quote");
            }
            out.exact = out.exact && line.exact;
            out.lines.push_back(std::move(line));
        }
        return out;
    }

    void wrong(std::string_view name) {
        if (wrong_.empty()) {
            wrong_ = name;
        }
    }
    Result<void> check() const {
        if (!wrong_.empty()) {
            return fail(Errc::kInvalidArgument, "not the state of a workflow: " + wrong_, wrong_);
        }
        return {};
    }

  private:
    std::string wrong_;
    const json::array no_items_;
    const json::object no_members_;
    const json::value nothing_;
};

}  // namespace

// Reads and writes what Run keeps to itself.
struct RunJson {
    static json::object write_item(const Run::Item& item) {
        json::array files;
        for (const auto& file : item.files) {
            files.push_back(file ? json::value(write(*file)) : json::value(nullptr));
        }
        return {
            {"state", static_cast<int>(item.state)},
            {"attempt", item.attempt},
            {"wei", item.wei},
            {"files", std::move(files)}
        };
    }

    static Run::Item read_item(const json::value& value, Members& members) {
        const auto& from = members.object(value, "items");
        Run::Item item;
        item.state = static_cast<Run::ItemState>(members.integer(from, "state", 0, 3));
        item.attempt = static_cast<int>(members.integer(from, "attempt", 0, kRetriesMax + 1));
        item.wei = members.integer(from, "wei");
        const auto& files = members.array(from, "files");
        if (files.size() > kFilesMax) {
            members.wrong("files");
            return item;
        }
        for (const auto& file : files) {
            item.files.push_back(file.is_null() ? std::nullopt : std::optional(members.artifact(file)));
        }
        const bool whole = std::ranges::all_of(item.files, [](const auto& file) { return file.has_value(); });
        if (item.state == Run::ItemState::kDone && (item.files.empty() || !whole)) {
            members.wrong("files");
        }
        return item;
    }

    static void read_steps(const json::object& root, Run& run, Members& members) {
        const auto& steps = members.array(root, "steps");
        if (steps.size() != run.steps_.size()) {
            members.wrong("steps");
            return;
        }
        for (std::size_t i = 0; i < steps.size(); ++i) {
            const auto& from = members.object(steps[i], "steps");
            auto& state = run.steps_[i];
            state.closed = members.boolean(from, "closed");
            const std::int64_t line_wei = run.quote_.lines[run.line_of_[i]].wei;
            // States from before this was counted have none.
            state.lost_wei = from.contains("lost_wei") ? members.integer(from, "lost_wei", 0, line_wei) : 0;
            const auto& items = members.array(from, "items");
            if (items.size() > static_cast<std::size_t>(kItemsMax)) {
                members.wrong("items");
                return;
            }
            for (const auto& one : items) {
                auto item = read_item(one, members);
                if (item.wei > line_wei - state.reserved_wei - state.paid_wei) {
                    members.wrong("wei");
                    return;
                }
                const bool running = item.state == Run::ItemState::kRunning;
                (running ? state.reserved_wei : state.paid_wei) += item.wei;
                run.running_ += running ? 1 : 0;
                state.items.push_back(std::move(item));
            }
        }
    }

    static void read_end(const json::object& root, Run& run, Members& members) {
        run.state_ = static_cast<RunState>(members.integer(root, "state", 0, 3));
        if (run.state_ != RunState::kFailed && run.state_ != RunState::kCancelled) {
            return;
        }
        const auto& from = members.object(root, "error");
        run.error_.code =
            static_cast<Errc>(members.integer(from, "code", 0, static_cast<int>(Errc::kInternal)));
        run.error_.disposition = static_cast<Disposition>(
            members.integer(from, "disposition", 0, static_cast<int>(Disposition::kFatal))
        );
        run.error_.message = members.text(from, "message");
        run.error_.field = members.text(from, "field");
        run.failed_ = {members.text(from, "step"), members.integer(from, "item")};
    }
};

std::string Run::to_json() const {
    json::object inputs;
    for (const auto& [name, value] : inputs_) {
        inputs[name] = write(value);
    }
    json::array lines;
    for (const auto& line : quote_.lines) {
        lines.push_back(write(line));
    }
    json::array steps;
    for (const auto& state : steps_) {
        json::array items;
        for (const auto& item : state.items) {
            items.push_back(RunJson::write_item(item));
        }
        steps.push_back(
            json::object{{"closed", state.closed}, {"lost_wei", state.lost_wei}, {"items", std::move(items)}}
        );
    }
    json::object root{
        {"version", kVersion},
        {"document", workflow_->source},
        {"seed", seed_},
        {"inputs", std::move(inputs)},
        {"quote", std::move(lines)},
        {"steps", std::move(steps)},
        {"state", static_cast<int>(state_)}
    };
    if (state_ == RunState::kFailed || state_ == RunState::kCancelled) {
        root["error"] = json::object{
            {"code", static_cast<int>(error_.code)},
            {"disposition", static_cast<int>(error_.disposition)},
            {"message", error_.message},
            {"field", error_.field},
            {"step", failed_.step},
            {"item", failed_.item}
        };
    }
    return json::serialize(root);
}

Result<Run> Run::from_json(std::string_view text, RunSettings settings) {
    boost::system::error_code error;
    const json::value parsed = json::parse(text, error);
    Members members;
    if (error) {
        members.wrong("JSON");
    }
    const auto& root = members.object(parsed, "JSON");
    members.integer(root, "version", kVersion, kVersion);
    FG_CHECK(members.check());
    FG_TRY(workflow, parse(members.text(root, "document")));
    Values inputs;
    for (const auto& member : members.object(root, "inputs")) {
        inputs.emplace(member.key(), members.value(member.value()));
    }
    Quote quote = members.quote(root);
    const std::int64_t seed = members.integer(root, "seed");
    FG_CHECK(members.check());
    FG_TRY(run, make(std::move(workflow), std::move(inputs), seed, std::move(quote), settings));
    RunJson::read_steps(root, run, members);
    RunJson::read_end(root, run, members);
    FG_CHECK(members.check());
    return run;
}

}  // namespace framegrid::workflow
