#include <framegrid/workflow/problem.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace framegrid::workflow {

namespace {

constexpr std::size_t kNameMax = 64;  // longer names are nobody's typing mistake

// Changes of one letter that turn one name into the other.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) {
        row[j] = j;
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t before = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t changed = before + (a[i] == b[j] ? 0 : 1);
            before = row[j + 1];
            row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}

}  // namespace

std::string to_string(const Problem& problem) {
    std::string out;
    if (problem.place.line > 0) {
        out = std::to_string(problem.place.line) + ":" + std::to_string(problem.place.column) + ": ";
    }
    if (problem.warning) {
        out += "warning: ";
    }
    if (!problem.path.empty()) {
        out += problem.path + ": ";
    }
    out += problem.cause;
    if (!problem.advice.empty()) {
        out += "; " + problem.advice;
    }
    return out;
}

void Problems::add(Place place, std::string path, std::string cause, std::string advice) {
    if (errors_++ < kProblemsMax) {
        all_.push_back({place, std::move(path), std::move(cause), std::move(advice), false});
    }
}

void Problems::warn(Place place, std::string path, std::string cause, std::string advice) {
    if (warnings_++ < kWarningsMax) {
        all_.push_back({place, std::move(path), std::move(cause), std::move(advice), true});
    }
}

std::vector<Problem> Problems::sorted() const {
    std::vector<Problem> out = all_;
    std::ranges::stable_sort(out, {}, &Problem::place);
    return out;
}

Error to_error(const std::vector<Problem>& problems) {
    const auto is_error = [](const Problem& problem) { return !problem.warning; };
    const auto first = std::ranges::find_if(problems, is_error);
    FG_ASSERT(first != problems.end());
    const auto others = std::ranges::count_if(problems, is_error) - 1;
    std::string message = "workflow " + to_string(*first);
    if (others > 0) {
        message += " (and " + std::to_string(others) + " more)";
    }
    return make_error(Errc::kInvalidArgument, std::move(message), first->path);
}

std::string advice_for(std::string_view name, const std::vector<std::string>& known) {
    const std::string* best = nullptr;
    std::size_t best_distance = std::max<std::size_t>(name.size() > 2 ? 2 : 1, name.size() / 3) + 1;
    for (const auto& candidate : known) {
        if (name.size() > kNameMax || candidate.size() > kNameMax) {
            continue;
        }
        if (const auto d = distance(name, candidate); d < best_distance) {
            best = &candidate;
            best_distance = d;
        }
    }
    if (best != nullptr) {
        return "did you mean \"" + *best + "\"?";
    }
    std::string all;
    for (const auto& candidate : known) {
        all += (all.empty() ? "known are " : ", ") + candidate;
    }
    return all.empty() ? "there are none" : all;
}

}  // namespace framegrid::workflow
