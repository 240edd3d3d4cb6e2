// What is wrong with a workflow document, and where.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/result.hpp>

namespace framegrid::workflow {

// A position in the document's text, both from 1. 0: the document as a whole.
struct Place {
    int line = 0;
    int column = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
};

struct Problem {
    Place place;
    std::string path;    // "steps[1].parameters.width"; empty: the document
    std::string cause;   // one sentence
    std::string advice;  // what to do about it; may be empty
    bool warning = false;
};

// "3:5: steps[0].model: the cause; the advice", with "warning: " in front of the cause of a warning.
std::string to_string(const Problem& problem);

inline constexpr std::size_t kProblemsMax = 100;  // errors
inline constexpr std::size_t kWarningsMax = 50;

// Collects problems; keeps the first ones of each kind.
class Problems {
  public:
    void add(Place place, std::string path, std::string cause, std::string advice = {});
    void warn(Place place, std::string path, std::string cause, std::string advice = {});
    bool has_errors() const { return errors_ > 0; }
    // Errors so far, those that were not kept included.
    std::size_t errors() const { return errors_; }
    // In the order of the text.
    std::vector<Problem> sorted() const;

  private:
    std::vector<Problem> all_;
    std::size_t errors_ = 0;
    std::size_t warnings_ = 0;
};

// The first error as kInvalidArgument, with the number of the others. There must be one.
Error to_error(const std::vector<Problem>& problems);

// What to write instead of the unknown `name`: the one of `known` that is close to it, else all of them.
std::string advice_for(std::string_view name, const std::vector<std::string>& known);

}  // namespace framegrid::workflow
