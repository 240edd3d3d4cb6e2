// The section 4.3 rule: which offers can serve which needs.
#include <framegrid/job/capabilities.hpp>

#include <array>
#include <charconv>

namespace framegrid::job {

namespace {

// major.minor.patch; pre-release and build parts do not count (section 4.3, rule 1).
using Version = std::array<std::uint32_t, 3>;

std::optional<Version> parse_version(std::string_view text) {
    if (text.starts_with('v')) {
        text.remove_prefix(1);
    }
    text = text.substr(0, text.find_first_of("-+"));
    Version version{};
    const char* at = text.data();
    const char* const end = text.data() + text.size();
    for (std::size_t i = 0; i < version.size(); ++i) {
        const auto [next, error] = std::from_chars(at, end, version[i]);
        if (error != std::errc{}) {
            return std::nullopt;
        }
        at = next;
        if (at == end) {
            return version;
        }
        if (*at++ != '.') {
            return std::nullopt;
        }
    }
    return std::nullopt;  // a fourth part, or a dot at the end
}

bool version_suffices(std::string_view needed, std::string_view offered) {
    if (needed.empty()) {
        return true;
    }
    if (offered.empty() || offered == "undefined") {
        return false;
    }
    const auto minimum = parse_version(needed);
    if (!minimum) {
        return true;
    }
    const auto actual = parse_version(offered);
    return actual && *actual >= *minimum;
}

bool models_suffice(const Models& needed, const Models& offered) {
    for (const auto& [id, need] : needed) {
        const auto found = offered.find(id);
        if (found == offered.end() || (need.warm && !found->second.warm) ||
            !version_suffices(need.runner_version, found->second.runner_version)) {
            return false;
        }
    }
    return true;
}

const std::vector<std::uint64_t>& legacy_bits() {
    static const std::vector<std::uint64_t> kBits = bitstring({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
    return kBits;
}

// The names of the bits of `needs` that `offer` does not have.
void list_missing(
    const std::vector<std::uint64_t>& needs, const std::vector<std::uint64_t>& offer, std::string& out
) {
    for (std::size_t number = 0; number < needs.size() * 64; ++number) {
        const std::size_t word = number / 64;
        const std::uint64_t bit = std::uint64_t{1} << number % 64;
        if ((needs[word] & bit) != 0 && (word >= offer.size() || (offer[word] & bit) == 0)) {
            out += (out.empty() ? "" : ", ") + std::string(name_of(static_cast<Capability>(number)));
        }
    }
}

}  // namespace

std::string missing(const Capabilities& needs, const std::optional<Capabilities>& offer) {
    std::string out;
    list_missing(needs.bits, offer ? offer->bits : legacy_bits(), out);
    if (!offer) {
        return out;
    }
    for (const auto& [capability, models] : needs.constraints) {
        const auto offered = offer->constraints.find(capability);
        for (const auto& [id, model] : models) {
            const bool there =
                offered == offer->constraints.end() || models_suffice({{id, model}}, offered->second);
            out += there ? "" : (out.empty() ? "" : ", ") + std::string("the model ") + id;
        }
    }
    if (!version_suffices(needs.min_version, offer->version)) {
        out += (out.empty() ? "" : ", ") + std::string("version ") + needs.min_version;
    }
    return out.empty() && !compatible(needs, offer) ? "what it wants to be asked for" : out;
}

bool compatible(const Capabilities& needs, const std::optional<Capabilities>& offer) {
    if (!offer) {
        return bits_within(needs.bits, legacy_bits());
    }
    if (!version_suffices(needs.min_version, offer->version) ||
        !bits_within(offer->mandatories, needs.bits)) {
        return false;
    }
    for (const auto& [capability, models] : needs.constraints) {
        const auto offered = offer->constraints.find(capability);
        if (offered != offer->constraints.end() && !models_suffice(models, offered->second)) {
            return false;
        }
    }
    return bits_within(needs.bits, offer->bits);
}

}  // namespace framegrid::job
