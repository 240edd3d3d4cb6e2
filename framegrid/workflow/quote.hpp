// What a workflow will cost at most, before anything is bought.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <framegrid/workflow/plan.hpp>

namespace framegrid::workflow {

struct QuoteLine {
    std::string step;
    std::int64_t items = 0;  // runs of the step, at most
    Pixels units;            // of all runs, at most
    Offer offer;
    std::int64_t wei = 0;  // of all runs, at most
    bool exact = true;     // certainly this, if nothing is skipped or cached
    std::string note;      // what was assumed; empty if exact
    friend bool operator==(const QuoteLine&, const QuoteLine&) = default;
};

struct Quote {
    std::vector<QuoteLine> lines;  // in the workflow's order; local steps cost 0
    std::int64_t wei = 0;
    bool exact = true;
    friend bool operator==(const Quote&, const Quote&) = default;
};

// Runs of all steps together that a quote may have.
inline constexpr std::int64_t kRunsMax = 20'000;

// The worst case: every condition true, every list as long and every file as large as it may be. Inputs that
// are not there yet count as declared. kUnavailable: nobody offers a step's pipeline and model, or only above
// its max_price; kTooLarge: more runs or wei than can be counted. Errors name the step.
Result<Quote> make_quote(
    const Workflow& workflow, const Values& inputs, std::int64_t seed, const OfferFor& offer_for
);

}  // namespace framegrid::workflow
