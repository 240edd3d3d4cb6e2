// The engine of one workflow: a state machine that hears what happened and says what to do next. It never
// waits, asks or buys by itself. Its whole state is a JSON text, so that a workflow survives the process.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/workflow/plan.hpp>
#include <framegrid/workflow/quote.hpp>

namespace framegrid::workflow {

// One item of a step; item 0 of a step without foreach.
struct ItemId {
    std::string step;
    std::int64_t item = 0;
    friend auto operator<=>(const ItemId&, const ItemId&) = default;
};

// ---- what the caller is told to do

// Do this work, or fetch its result from the cache, and say how it ended. Said again after a restart.
struct Start {
    ItemId id;
    int attempt = 1;
    Work work;
    std::string key;                 // content_key(): where to look for, and keep, the result
    std::int64_t wei_max = 0;        // what it may cost
    std::optional<Price> max_price;  // the document's; the quote's price is never above it
    std::string model_digest;        // the quote's
    std::int64_t deadline_ms = 0;    // from now
    int priority = 0;
};
// Stop this work; nobody waits for it any more.
struct Stop {
    ItemId id;
    int attempt = 0;
};
// The results, by the names of the document: an Artifact or a list. monostate: its step was skipped.
struct Finish {
    Values outputs;
    std::int64_t wei = 0;
};
struct Fail {
    Error error;  // says the step
    ItemId id;    // an empty step: cancelled
    std::int64_t wei = 0;
};
using Command = std::variant<Start, Stop, Finish, Fail>;

// ---- what the caller says

// One result of several is there before the work is done, as segments are.
struct ItemOutput {
    ItemId id;
    int attempt = 0;
    std::size_t index = 0;
    Artifact file;
};
struct ItemDone {
    ItemId id;
    int attempt = 0;
    std::vector<Artifact> files;  // all of them
    std::int64_t wei = 0;         // paid; at most the Start's wei_max
    bool cached = false;          // nothing was done and nothing paid
    std::int64_t lost_wei = 0;    // paid for attempts that a crash cut off: billed as far as the quote goes
};
struct ItemFailed {
    ItemId id;
    int attempt = 0;
    Error error;
};
struct Cancel {};
using Event = std::variant<ItemOutput, ItemDone, ItemFailed, Cancel>;

enum class RunState : std::uint8_t { kRunning, kSucceeded, kFailed, kCancelled };
std::string_view to_string(RunState state);

struct StepProgress {
    std::string step;
    std::int64_t waiting = 0;
    std::int64_t running = 0;
    std::int64_t done = 0;
    std::int64_t skipped = 0;
    bool complete = false;  // no further items will appear, and all are done or skipped
    std::int64_t wei = 0;
};

struct RunSettings {
    std::size_t running_max = 64;  // items at once
};

// Owns the state of one workflow. Every method but the const ones may be called from one thread at a time.
// Events about items or attempts that are over are ignored, so that late and repeated ones do no harm.
class Run {
  public:
    // `inputs` and `seed` are those of the quote, which becomes the limit of the bill.
    static Result<Run> make(
        std::shared_ptr<const Workflow> workflow, Values inputs, std::int64_t seed, Quote quote,
        RunSettings settings = {}
    );
    // The state that to_json() wrote, the document included. kInvalidArgument: not such a text.
    static Result<Run> from_json(std::string_view text, RunSettings settings = {});
    std::string to_json() const;

    // After make(): the first commands. After from_json(): Start again for all that were running.
    std::vector<Command> begin();
    std::vector<Command> on(const Event& event);

    RunState state() const { return state_; }
    std::int64_t wei() const;  // the bill so far, never more than the quote
    std::int64_t seed() const { return seed_; }
    const Quote& quote() const { return quote_; }
    const Workflow& workflow() const { return *workflow_; }
    std::vector<StepProgress> progress() const;

  private:
    enum class ItemState : std::uint8_t { kWaiting, kRunning, kDone, kSkipped };
    struct Item {
        ItemState state = ItemState::kWaiting;
        int attempt = 0;
        std::vector<std::optional<Artifact>> files;  // early ones while it runs
        std::int64_t wei = 0;                        // reserved while it runs, then paid
    };
    struct StepState {
        std::vector<Item> items;
        bool closed = false;            // no further items
        std::size_t first_open = 0;     // every item before it is over
        std::int64_t reserved_wei = 0;  // for what runs
        std::int64_t paid_wei = 0;
        std::int64_t lost_wei = 0;  // see ItemDone
    };
    // One file of a list: not there yet, there, or never.
    struct Entry {
        Outcome::State state = Outcome::State::kPending;
        const Artifact* file = nullptr;  // when ready; lives as long as its item
    };
    // A list as far as it is known.
    struct ListView {
        std::vector<Entry> entries;
        bool closed = false;
    };
    class Here;
    friend struct RunJson;

    Run(std::shared_ptr<const Workflow> workflow, Values inputs, std::int64_t seed, Quote quote,
        RunSettings settings);

    // Of one step, at most its line of the quote.
    std::int64_t bill_of(std::size_t step) const;
    Item* find(const ItemId& id, int attempt, std::size_t& step);
    static Entry entry_of(const Item& item);
    ListView outputs_of(std::size_t step) const;
    ListView list_of(const Expression& expression) const;
    ListView list_of(const Reference& reference, std::int64_t item) const;
    Entry find_file(const Reference& reference, std::int64_t item) const;
    void advance(std::vector<Command>& out);
    void advance_step(std::size_t step, std::vector<Command>& out);
    bool try_item(std::size_t step, std::size_t item, const Here& here, std::vector<Command>& out);
    bool start_item(std::size_t step, std::size_t item, Work work, std::vector<Command>& out);
    void restart_item(std::size_t step, std::size_t item, std::vector<Command>& out);
    void skip_item(std::size_t step, std::size_t item, const Artifact* instead);
    void finish_if_done(std::vector<Command>& out);
    void tell_end(std::vector<Command>& out) const;
    void end(RunState state, Error error, ItemId id, std::vector<Command>& out);
    void handle(const ItemOutput& event, std::vector<Command>& out);
    void handle(const ItemDone& event, std::vector<Command>& out);
    void handle(const ItemFailed& event, std::vector<Command>& out);
    void handle(const Cancel& event, std::vector<Command>& out);

    std::shared_ptr<const Workflow> workflow_;
    Values inputs_;
    std::int64_t seed_ = 0;
    Quote quote_;
    RunSettings settings_;
    std::vector<StepState> steps_;
    std::vector<std::size_t> line_of_;  // of steps_: its place in quote_.lines
    RunState state_ = RunState::kRunning;
    Error error_;  // why it failed
    ItemId failed_;
    std::size_t running_ = 0;
};

}  // namespace framegrid::workflow
