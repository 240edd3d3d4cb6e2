// Lists of files as a run sees them: how far they are known, and what stands in them.
#include <framegrid/workflow/run.hpp>

#include <utility>

namespace framegrid::workflow {

Run::Entry Run::entry_of(const Item& item) {
    if (!item.files.empty() && item.files.front()) {
        return {Outcome::State::kReady, &*item.files.front()};
    }
    return {item.state == ItemState::kSkipped ? Outcome::State::kAbsent : Outcome::State::kPending, nullptr};
}

Run::ListView Run::outputs_of(std::size_t step) const {
    ListView out;
    const StepState& state = steps_[step];
    const bool many = workflow_->steps[step].many();
    for (const auto& item : state.items) {
        if (!many) {
            out.entries.push_back(entry_of(item));
            continue;
        }
        for (const auto& file : item.files) {
            if (!file) {
                return out;  // a later one came earlier: the list is known up to here
            }
            out.entries.push_back({Outcome::State::kReady, &*file});
        }
        if (item.state == ItemState::kWaiting || item.state == ItemState::kRunning) {
            return out;
        }
    }
    out.closed = state.closed;
    return out;
}

Run::Entry Run::find_file(const Reference& reference, std::int64_t item) const {
    const auto index = static_cast<std::size_t>(reference.index_is_item ? item : reference.index.value_or(0));
    if (reference.root == Reference::Root::kInput) {
        const Value& value = inputs_.find(reference.name)->second;
        if (const auto* one = std::get_if<Artifact>(&value)) {
            return {Outcome::State::kReady, one};
        }
        const auto* list = std::get_if<std::vector<Artifact>>(&value);
        return list != nullptr && index < list->size() ? Entry{Outcome::State::kReady, &(*list)[index]}
                                                       : Entry{Outcome::State::kAbsent, nullptr};
    }
    const std::size_t step = *workflow_->index_of(reference.name);
    if (!workflow_->steps[step].many()) {  // without a walk over the list
        const auto& items = steps_[step].items;
        if (index < items.size()) {
            return entry_of(items[index]);
        }
        return {steps_[step].closed ? Outcome::State::kAbsent : Outcome::State::kPending, nullptr};
    }
    const ListView view = outputs_of(step);
    if (index < view.entries.size()) {
        return view.entries[index];
    }
    return {view.closed ? Outcome::State::kAbsent : Outcome::State::kPending, nullptr};
}

Run::ListView Run::list_of(const Reference& reference, std::int64_t item) const {
    const bool one = reference.index || reference.index_is_item;
    if (reference.root == Reference::Root::kStep && reference.all && !one) {
        return outputs_of(*workflow_->index_of(reference.name));
    }
    if (reference.root == Reference::Root::kInput && !one) {
        if (const auto* list = std::get_if<std::vector<Artifact>>(&inputs_.find(reference.name)->second)) {
            ListView out;
            for (const auto& file : *list) {
                out.entries.push_back({Outcome::State::kReady, &file});
            }
            out.closed = true;
            return out;
        }
    }
    const Entry entry = find_file(reference, item);
    return {{entry}, entry.state != Outcome::State::kPending};
}

Run::ListView Run::list_of(const Expression& expression) const {
    if (expression.op == Op::kReference) {
        return list_of(expression.reference, 0);
    }
    ListView out;
    for (const auto& arg : expression.args) {  // references: nothing else is a file
        const ListView part = list_of(arg.reference, 0);
        out.entries.insert(out.entries.end(), part.entries.begin(), part.entries.end());
        if (!part.closed) {
            return out;
        }
    }
    out.closed = true;
    return out;
}

}  // namespace framegrid::workflow
