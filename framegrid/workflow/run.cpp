#include <framegrid/workflow/run.hpp>

#include <algorithm>
#include <array>
#include <utility>

#include <framegrid/base/log.hpp>

namespace framegrid::workflow {

std::string_view to_string(RunState state) {
    constexpr std::array<std::string_view, 4> kNames{"running", "succeeded", "failed", "cancelled"};
    return kNames[static_cast<std::size_t>(state)];
}

// What an item's expressions see.
class Run::Here final : public Source {
  public:
    Here(const Run& run, const ListView* each, std::int64_t item) : run_(run), each_(each), item_(item) {}

    Outcome look_up(const Reference& to) const override {
        if (to.root == Reference::Root::kItemIndex) {
            return Outcome::ready(item_);
        }
        if (to.root == Reference::Root::kItem) {
            return each_ == nullptr ? Outcome::absent()
                                    : outcome(each_->entries[static_cast<std::size_t>(item_)]);
        }
        const bool one = to.index || to.index_is_item;
        if (to.root == Reference::Root::kInput) {
            const Value& value = run_.inputs_.find(to.name)->second;
            return one ? outcome(run_.find_file(to, item_)) : Outcome::ready(value);
        }
        return to.all && !one ? whole(run_.list_of(to, item_)) : outcome(run_.find_file(to, item_));
    }

  private:
    static Outcome outcome(const Entry& entry) {
        return entry.file == nullptr ? Outcome{entry.state, {}} : Outcome::ready(*entry.file);
    }
    // A list, when nothing can be added to it any more.
    static Outcome whole(const ListView& view) {
        const auto pending = [](const Entry& entry) { return entry.state == Outcome::State::kPending; };
        if (!view.closed || std::ranges::any_of(view.entries, pending)) {
            return Outcome::pending();
        }
        std::vector<Artifact> files;
        for (const auto& entry : view.entries) {
            if (entry.file != nullptr) {
                files.push_back(*entry.file);
            }
        }
        return Outcome::ready(std::move(files));
    }

    const Run& run_;
    const ListView* each_;
    std::int64_t item_;
};

Run::Run(
    std::shared_ptr<const Workflow> workflow, Values inputs, std::int64_t seed, Quote quote,
    RunSettings settings
)
    : workflow_(std::move(workflow)),
      inputs_(std::move(inputs)),
      seed_(seed),
      quote_(std::move(quote)),
      settings_(settings),
      steps_(workflow_->steps.size()) {
    for (const auto& step : workflow_->steps) {
        const auto line = std::ranges::find(quote_.lines, step.id, &QuoteLine::step);
        line_of_.push_back(static_cast<std::size_t>(line - quote_.lines.begin()));
    }
}

Result<Run> Run::make(
    std::shared_ptr<const Workflow> workflow, Values inputs, std::int64_t seed, Quote quote,
    RunSettings settings
) {
    if (seed < 0) {
        return fail(Errc::kInvalidArgument, "a seed is not negative", "seed");
    }
    FG_TRY(complete, check_inputs(*workflow, std::move(inputs)));
    for (const auto& step : workflow->steps) {
        if (std::ranges::count(quote.lines, step.id, &QuoteLine::step) != 1) {
            return fail(Errc::kInvalidArgument, "the quote is for another workflow", "quote");
        }
    }
    return Run(std::move(workflow), std::move(complete), seed, std::move(quote), settings);
}

std::int64_t Run::wei() const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
        sum += bill_of(i);
    }
    return sum;
}

std::int64_t Run::bill_of(std::size_t step) const {
    const StepState& state = steps_[step];
    return state.paid_wei + std::min(state.lost_wei, quote_.lines[line_of_[step]].wei - state.paid_wei);
}

std::vector<StepProgress> Run::progress() const {
    std::vector<StepProgress> out;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
        StepProgress one;
        one.step = workflow_->steps[i].id;
        one.wei = bill_of(i);
        for (const auto& item : steps_[i].items) {
            std::int64_t* const counters[] = {&one.waiting, &one.running, &one.done, &one.skipped};
            ++*counters[static_cast<std::size_t>(item.state)];
        }
        one.complete = steps_[i].closed && one.waiting == 0 && one.running == 0;
        out.push_back(std::move(one));
    }
    return out;
}

std::vector<Command> Run::begin() {
    std::vector<Command> out;
    if (state_ != RunState::kRunning) {
        tell_end(out);
        return out;
    }
    for (std::size_t step = 0; step < steps_.size(); ++step) {
        for (std::size_t item = 0; item < steps_[step].items.size(); ++item) {
            if (state_ == RunState::kRunning && steps_[step].items[item].state == ItemState::kRunning) {
                restart_item(step, item, out);
            }
        }
    }
    advance(out);
    return out;
}

std::vector<Command> Run::on(const Event& event) {
    std::vector<Command> out;
    if (state_ == RunState::kRunning) {
        std::visit([&](const auto& one) { handle(one, out); }, event);
        advance(out);
    }
    return out;
}

// ---- going on

void Run::advance(std::vector<Command>& out) {
    // In their order: what a step passes on is seen by those after it in the same round.
    for (const auto step : workflow_->order) {
        if (state_ == RunState::kRunning) {
            advance_step(step, out);
        }
    }
    if (state_ == RunState::kRunning) {
        finish_if_done(out);
    }
}

void Run::advance_step(std::size_t step, std::vector<Command>& out) {
    const StepDecl& decl = workflow_->steps[step];
    StepState& state = steps_[step];
    if (state.closed && state.first_open == state.items.size()) {
        return;
    }
    ListView each;
    if (decl.foreach_list) {
        each = list_of(decl.foreach_list->expression);
        if (std::cmp_greater(each.entries.size(), kItemsMax)) {
            end(RunState::kFailed,
                make_error(
                    Errc::kTooLarge,
                    "step " + decl.id + " would run more than " + std::to_string(kItemsMax) + " times",
                    decl.path
                ),
                {decl.id, kItemsMax}, out);
            return;
        }
        state.items.resize(std::max(state.items.size(), each.entries.size()));
        state.closed = each.closed;
    } else {
        state.items.resize(1);
        state.closed = true;
    }
    while (state.first_open < state.items.size() &&
           (state.items[state.first_open].state == ItemState::kDone ||
            state.items[state.first_open].state == ItemState::kSkipped)) {
        ++state.first_open;
    }
    const std::size_t known = decl.foreach_list ? each.entries.size() : 1;
    for (std::size_t item = state.first_open; item < known; ++item) {
        if (running_ >= settings_.running_max) {
            return;
        }
        if (decl.foreach_list && each.entries[item].state == Outcome::State::kPending) {
            continue;
        }
        if (state.items[item].state == ItemState::kWaiting &&
            !try_item(
                step, item, Here(*this, decl.foreach_list ? &each : nullptr, static_cast<std::int64_t>(item)),
                out
            )) {
            return;
        }
    }
    while (state.first_open < state.items.size() && state.items[state.first_open].state == ItemState::kSkipped
    ) {
        ++state.first_open;
    }
}

// False: the workflow has ended.
bool Run::try_item(std::size_t step, std::size_t item, const Here& here, std::vector<Command>& out) {
    const StepDecl& decl = workflow_->steps[step];
    if (decl.when) {
        const Outcome when = evaluate(decl.when->expression, here);
        if (when.state == Outcome::State::kPending) {
            return true;
        }
        const bool* truth = std::get_if<bool>(&when.value);
        if (truth == nullptr) {  // what it asks about was skipped
            skip_item(step, item, nullptr);
            return true;
        }
        if (!*truth) {
            const Resolved resolved = resolve_inputs(decl, here);
            if (resolved.state != Outcome::State::kPending) {
                skip_item(
                    step, item,
                    resolved.state == Outcome::State::kReady ? passed_on(decl, resolved.work) : nullptr
                );
            }
            return true;
        }
    }
    auto resolved = resolve(decl, here, seed_, static_cast<std::int64_t>(item));
    if (!resolved) {
        end(RunState::kFailed, std::move(resolved).error(), {decl.id, static_cast<std::int64_t>(item)}, out);
        return false;
    }
    switch (resolved->state) {
        case Outcome::State::kPending:
            return true;
        case Outcome::State::kAbsent:
            skip_item(step, item, nullptr);
            return true;
        case Outcome::State::kReady:
            break;
    }
    return start_item(step, item, std::move(resolved->work), out);
}

bool Run::start_item(std::size_t step, std::size_t item, Work work, std::vector<Command>& out) {
    const StepDecl& decl = workflow_->steps[step];
    const QuoteLine& line = quote_.lines[line_of_[step]];
    StepState& state = steps_[step];
    Item& one = state.items[item];
    const auto wei = wei_for(payable_units(work), line.offer.price);
    if (!wei || *wei > line.wei - state.reserved_wei - state.paid_wei) {
        end(RunState::kFailed,
            make_error(
                Errc::kTooLarge,
                "step " + decl.id + " would cost more than its quote: its input is larger than was expected",
                decl.path
            ),
            {decl.id, static_cast<std::int64_t>(item)}, out);
        return false;
    }
    one.state = ItemState::kRunning;
    one.attempt = 1;
    one.wei = *wei;
    state.reserved_wei += *wei;
    ++running_;
    Start start;
    start.id = {decl.id, static_cast<std::int64_t>(item)};
    start.attempt = one.attempt;
    start.key = content_key(work, line.offer.model_digest);
    start.work = std::move(work);
    start.wei_max = one.wei;
    start.max_price = decl.max_price;
    start.model_digest = line.offer.model_digest;
    start.deadline_ms = decl.deadline_ms;
    start.priority = decl.priority;
    out.emplace_back(std::move(start));
    return true;
}

// The same work again: all that it needs is still there.
void Run::restart_item(std::size_t step, std::size_t item, std::vector<Command>& out) {
    const StepDecl& decl = workflow_->steps[step];
    const ListView each = decl.foreach_list ? list_of(decl.foreach_list->expression) : ListView{};
    const ItemId id{decl.id, static_cast<std::int64_t>(item)};
    Item& one = steps_[step].items[item];
    const bool known = !decl.foreach_list || item < each.entries.size();
    Result<Resolved> resolved = Resolved{};
    if (known) {
        resolved = resolve(decl, Here(*this, decl.foreach_list ? &each : nullptr, id.item), seed_, id.item);
    }
    if (!resolved || resolved->state != Outcome::State::kReady) {
        end(RunState::kFailed, make_error(Errc::kInternal, "step " + decl.id + " lost its inputs", decl.path),
            id, out);
        return;
    }
    const int attempt = one.attempt;
    const std::int64_t reserved = std::exchange(one.wei, 0);
    steps_[step].reserved_wei -= reserved;
    --running_;
    if (start_item(step, item, std::move(resolved->work), out)) {
        one.attempt = attempt;
        std::get<Start>(out.back()).attempt = attempt;
    }
}

void Run::skip_item(std::size_t step, std::size_t item, const Artifact* instead) {
    Item& one = steps_[step].items[item];
    one.state = ItemState::kSkipped;
    if (instead != nullptr) {
        one.files.assign(1, *instead);
    }
}

void Run::finish_if_done(std::vector<Command>& out) {
    for (const auto& state : steps_) {
        const auto open = [](const Item& item) {
            return item.state == ItemState::kWaiting || item.state == ItemState::kRunning;
        };
        if (!state.closed ||
            std::any_of(
                state.items.begin() + static_cast<std::ptrdiff_t>(state.first_open), state.items.end(), open
            )) {
            return;
        }
    }
    state_ = RunState::kSucceeded;
    tell_end(out);
}

void Run::tell_end(std::vector<Command>& out) const {
    if (state_ != RunState::kSucceeded) {
        out.emplace_back(Fail{error_, failed_, wei()});
        return;
    }
    Finish finish;
    for (const auto& output : workflow_->outputs) {
        finish.outputs.emplace(output.name, evaluate(output.expression, Here(*this, nullptr, 0)).value);
    }
    finish.wei = wei();
    out.emplace_back(std::move(finish));
}

void Run::end(RunState state, Error error, ItemId id, std::vector<Command>& out) {
    // What was to be started in this round never is, and needs no Stop.
    std::erase_if(out, [&](const Command& command) {
        const auto* start = std::get_if<Start>(&command);
        if (start != nullptr) {
            auto& items = steps_[*workflow_->index_of(start->id.step)].items;
            items[static_cast<std::size_t>(start->id.item)].state = ItemState::kWaiting;
        }
        return start != nullptr;
    });
    for (std::size_t step = 0; step < steps_.size(); ++step) {
        for (std::size_t item = 0; item < steps_[step].items.size(); ++item) {
            Item& one = steps_[step].items[item];
            if (one.state == ItemState::kRunning) {
                out.emplace_back(
                    Stop{{workflow_->steps[step].id, static_cast<std::int64_t>(item)}, one.attempt}
                );
                one.state = ItemState::kWaiting;
                one.wei = 0;
            }
        }
        steps_[step].reserved_wei = 0;
    }
    running_ = 0;
    state_ = state;
    error_ = std::move(error);
    failed_ = std::move(id);
    tell_end(out);
}

// ---- events

Run::Item* Run::find(const ItemId& id, int attempt, std::size_t& step) {
    const auto index = workflow_->index_of(id.step);
    if (!index || id.item < 0 || std::cmp_greater_equal(id.item, steps_[*index].items.size())) {
        return nullptr;
    }
    step = *index;
    Item& item = steps_[step].items[static_cast<std::size_t>(id.item)];
    return item.state == ItemState::kRunning && item.attempt == attempt ? &item : nullptr;
}

void Run::handle(const ItemOutput& event, std::vector<Command>& out) {
    std::size_t step = 0;
    Item* item = find(event.id, event.attempt, step);
    if (item == nullptr || !workflow_->steps[step].many()) {
        return;  // a single result counts when it is done
    }
    if (std::cmp_greater_equal(event.index, kItemsMax) || event.file.kind != *workflow_->steps[step].gives) {
        handle(
            ItemFailed{
                event.id, event.attempt, make_error(Errc::kProtocol, "an early result of the wrong kind")
            },
            out
        );
        return;
    }
    if (item->files.size() <= event.index) {
        item->files.resize(event.index + 1);
    }
    auto& file = item->files[event.index];
    if (!file) {  // the first one stands: others may use it already
        file = event.file;
    }
}

void Run::handle(const ItemDone& event, std::vector<Command>& out) {
    std::size_t step = 0;
    Item* item = find(event.id, event.attempt, step);
    if (item == nullptr) {
        return;
    }
    const StepDecl& decl = workflow_->steps[step];
    const bool kinds =
        std::ranges::all_of(event.files, [&](const Artifact& file) { return file.kind == decl.gives; });
    const bool count = decl.many() ? !event.files.empty() && event.files.size() >= item->files.size() &&
                                         std::cmp_less_equal(event.files.size(), kItemsMax)
                                   : event.files.size() == 1;
    if (!kinds || !count) {
        handle(
            ItemFailed{
                event.id, event.attempt,
                make_error(Errc::kProtocol, "the result is not what " + decl.action->name + " gives")
            },
            out
        );
        return;
    }
    item->files.resize(event.files.size());
    for (std::size_t i = 0; i < event.files.size(); ++i) {
        if (!item->files[i]) {
            item->files[i] = event.files[i];
        }
    }
    StepState& state = steps_[step];
    state.reserved_wei -= item->wei;
    item->wei = event.cached ? 0 : std::clamp<std::int64_t>(event.wei, 0, item->wei);
    state.paid_wei += item->wei;
    // Together they are at most the line's part of the quote, so nothing overflows.
    const std::int64_t line = quote_.lines[line_of_[step]].wei;
    state.lost_wei += std::clamp<std::int64_t>(event.lost_wei, 0, line - std::min(line, state.lost_wei));
    item->state = ItemState::kDone;
    --running_;
}

void Run::handle(const ItemFailed& event, std::vector<Command>& out) {
    std::size_t step = 0;
    Item* item = find(event.id, event.attempt, step);
    if (item == nullptr) {
        return;
    }
    const StepDecl& decl = workflow_->steps[step];
    const bool again = event.error.disposition == Disposition::kRetry ||
                       event.error.disposition == Disposition::kPenalizePeer;
    if (again && item->attempt <= decl.retries) {
        ++item->attempt;
        restart_item(step, static_cast<std::size_t>(event.id.item), out);
        return;
    }
    Error error = event.error;
    std::string what = "step " + decl.id;
    if (decl.has_each()) {
        what += ", item " + std::to_string(event.id.item);
    }
    if (item->attempt > 1) {
        what += ", attempt " + std::to_string(item->attempt);
    }
    item->state = ItemState::kWaiting;  // it has ended by itself
    end(RunState::kFailed, std::move(error).with_context(what), event.id, out);
}

void Run::handle(const Cancel& /*event*/, std::vector<Command>& out) {
    end(RunState::kCancelled, make_error(Errc::kCancelled, "the workflow was cancelled"), {}, out);
}

}  // namespace framegrid::workflow
