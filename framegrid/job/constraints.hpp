// Which orchestrators a client lets have its job.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace framegrid::job {

// By service URI, with or without a slash at the end.
struct Constraints {
    std::vector<std::string> orchestrators{};  // only these; empty: any
    std::vector<std::string> avoid{};          // none of these

    bool empty() const { return orchestrators.empty() && avoid.empty(); }
    bool allow(std::string_view uri) const {
        const auto lists = [uri](const std::vector<std::string>& list) {
            return std::ranges::any_of(list, [uri](const std::string& one) {
                return without_slash(one) == without_slash(uri);
            });
        };
        return (orchestrators.empty() || lists(orchestrators)) && !lists(avoid);
    }
    friend bool operator==(const Constraints&, const Constraints&) = default;

  private:
    static std::string_view without_slash(std::string_view uri) {
        return uri.ends_with('/') ? uri.substr(0, uri.size() - 1) : uri;
    }
};

}  // namespace framegrid::job
