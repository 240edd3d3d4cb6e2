#include <framegrid/workflow/quote.hpp>

#include <algorithm>
#include <utility>

namespace framegrid::workflow {

namespace {

// What is expected of one step.
struct Expectation {
    std::vector<Artifact> files;  // of all items, in order
    bool exact = true;
};

// Everything has come as expected.
class ExpectedSource final : public Source {
  public:
    ExpectedSource(const Workflow& workflow, const Values& inputs, const std::vector<Expectation>& steps)
        : workflow_(workflow), inputs_(inputs), steps_(steps) {}

    Outcome look_up(const Reference& to) const override {
        if (to.root == Reference::Root::kItem) {
            return Outcome::ready(item_);
        }
        if (to.root == Reference::Root::kItemIndex) {
            return Outcome::ready(index_);
        }
        if (to.root == Reference::Root::kInput) {
            const auto& value = inputs_.find(to.name)->second;
            const auto* list = std::get_if<std::vector<Artifact>>(&value);
            return list != nullptr && (to.index || to.index_is_item) ? at(*list, to) : Outcome::ready(value);
        }
        const auto& files = steps_[*workflow_.index_of(to.name)].files;
        if (to.all && !to.index && !to.index_is_item) {
            return Outcome::ready(files);
        }
        return at(files, to);
    }
    void set_item(Artifact item, std::int64_t index) {
        item_ = std::move(item);
        index_ = index;
    }

  private:
    Outcome at(const std::vector<Artifact>& files, const Reference& to) const {
        const auto index = to.index_is_item ? index_ : to.index.value_or(0);
        return std::cmp_less(index, files.size()) ? Outcome::ready(files[static_cast<std::size_t>(index)])
                                                  : Outcome::absent();
    }

    const Workflow& workflow_;
    const Values& inputs_;
    const std::vector<Expectation>& steps_;
    Artifact item_;
    std::int64_t index_ = 0;
};

class Quoter {
  public:
    Quoter(const Workflow& workflow, Values inputs, std::int64_t seed, const OfferFor& offer_for)
        : workflow_(workflow),
          inputs_(std::move(inputs)),
          seed_(seed),
          offer_for_(offer_for),
          steps_(workflow.steps.size()),
          source_(workflow_, inputs_, steps_) {}

    Result<Quote> quote(bool inputs_exact) {
        inputs_exact_ = inputs_exact;
        for (const auto index : workflow_.order) {
            FG_CHECK(add_step(index));
        }
        return std::move(quote_);
    }

  private:
    Result<Offer> find_offer(const StepDecl& step) const {
        if (step.action->local) {
            return Offer{{0, 1}, {}, 1};
        }
        const std::string what = step.action->name + (step.model.empty() ? "" : " with model " + step.model);
        auto offer = offer_for_(step.action->name, step.model);
        if (!offer) {
            return fail(Errc::kUnavailable, "step " + step.id + ": nobody offers " + what, step.path);
        }
        FG_ASSERT(offer->price.units > 0 && offer->price.wei >= 0 && offer->scale > 0);
        if (step.max_price && offer->price > *step.max_price) {
            return fail(
                Errc::kUnavailable,
                "step " + step.id + ": " + what + " costs more than max_price: " +
                    std::to_string(offer->price.wei) + " wei per " + std::to_string(offer->price.units),
                step.path + ".max_price"
            );
        }
        return *std::move(offer);
    }

    bool is_exact(const StepDecl& step) const {
        return inputs_exact_ && std::ranges::all_of(step.needs, [&](auto n) { return steps_[n].exact; });
    }

    Result<void> add_step(std::size_t index) {
        const StepDecl& step = workflow_.steps[index];
        QuoteLine line;
        line.step = step.id;
        FG_TRY(offer, find_offer(step));
        line.offer = std::move(offer);
        steps_[index].exact = is_exact(step) && !step.when;
        line.exact = steps_[index].exact;
        std::vector<Artifact> items{Artifact{}};
        if (step.foreach_list) {
            const Outcome list = evaluate(step.foreach_list->expression, source_);
            const auto* files = std::get_if<std::vector<Artifact>>(&list.value);
            items = files == nullptr ? std::vector<Artifact>{} : *files;
        }
        runs_ += static_cast<std::int64_t>(items.size());
        if (std::cmp_greater(items.size(), kItemsMax) || runs_ > kRunsMax) {
            return fail(Errc::kTooLarge, "step " + step.id + " may run too often to be counted", step.path);
        }
        for (std::size_t i = 0; i < items.size(); ++i) {
            source_.set_item(std::move(items[i]), static_cast<std::int64_t>(i));
            FG_CHECK(add_item(step, static_cast<std::int64_t>(i), line, steps_[index]));
        }
        if (!line.exact) {
            line.note = step.when ? "as if every condition were true" : "with sizes and counts at their most";
        }
        if (__builtin_add_overflow(quote_.wei, line.wei, &quote_.wei)) {
            return fail(Errc::kTooLarge, "step " + step.id + " makes the price too large", step.path);
        }
        quote_.exact = quote_.exact && line.exact;
        quote_.lines.push_back(std::move(line));
        return {};
    }

    Result<void> add_item(
        const StepDecl& step, std::int64_t item, QuoteLine& line, Expectation& expectation
    ) {
        FG_TRY(resolved, resolve(step, source_, seed_, item));
        if (resolved.state != Outcome::State::kReady) {
            return {};  // an index beyond what can be there
        }
        const Pixels units = payable_units(resolved.work);
        const auto wei = wei_for(units, line.offer.price);
        if (!wei || __builtin_add_overflow(line.wei, *wei, &line.wei) ||
            __builtin_add_overflow(line.units.value, units.value, &line.units.value)) {
            return fail(Errc::kTooLarge, "step " + step.id + " makes the price too large", step.path);
        }
        ++line.items;
        Expected expected = expected_results(resolved.work, line.offer);
        expectation.exact = expectation.exact && expected.exact;
        const Artifact* instead = step.when ? passed_on(step, resolved.work) : nullptr;
        for (auto& file : expected.files) {
            if (instead != nullptr) {
                file.width = std::max(file.width, instead->width);
                file.height = std::max(file.height, instead->height);
                file.frames = std::max(file.frames, instead->frames);
                file.duration_ms = std::max(file.duration_ms, instead->duration_ms);
            }
            expectation.files.push_back(file);
        }
        if (std::cmp_greater(expectation.files.size(), kRunsMax)) {
            return fail(Errc::kTooLarge, "step " + step.id + " may make too many files", step.path);
        }
        return {};
    }

    const Workflow& workflow_;
    const Values inputs_;
    std::int64_t seed_;
    const OfferFor& offer_for_;
    std::vector<Expectation> steps_;
    ExpectedSource source_;
    bool inputs_exact_ = true;
    std::int64_t runs_ = 0;
    Quote quote_;
};

}  // namespace

Result<Quote> make_quote(
    const Workflow& workflow, const Values& inputs, std::int64_t seed, const OfferFor& offer_for
) {
    FG_TRY(complete, check_inputs(workflow, inputs, true));
    const bool exact = std::ranges::all_of(workflow.inputs, [&](const InputDecl& input) {
        return !is_media(input.type.kind) || inputs.contains(input.name);
    });
    return Quoter(workflow, std::move(complete), seed, offer_for).quote(exact);
}

}  // namespace framegrid::workflow
