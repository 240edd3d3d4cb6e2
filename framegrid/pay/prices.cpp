#include <framegrid/pay/prices.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>

namespace framegrid::pay {

namespace {

constexpr int kThousandths = 1000;
constexpr std::uint32_t kDecimalsMax = 64;
constexpr std::uint32_t kRateDecimalsMax = 18;
constexpr std::uint32_t kEthDecimals = 18;
// A feed that jumps further than this is broken, not the market.
constexpr unsigned kRateJumpMax = 10;

BigInt power_of_ten(std::uint32_t exponent) {
    return boost::multiprecision::pow(BigInt(10), exponent);
}

bool fits(const BigInt& value) {
    return value <= std::numeric_limits<std::int64_t>::max();
}

std::unexpected<Error> bad_price(std::string_view why) {
    return fail(
        Errc::kInvalidArgument,
        "not a price: " + std::string(why) + "; write it as 1200, 0.5e-2USD or 1.5e-9eth/1000000", "price"
    );
}

std::string_view trim(std::string_view text) {
    while (text.starts_with(' ')) {
        text.remove_prefix(1);
    }
    while (text.ends_with(' ')) {
        text.remove_suffix(1);
    }
    return text;
}

// The currency behind a number; what stands before it stays in `text`.
std::optional<Currency> cut_currency(std::string_view& text) {
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    constexpr std::pair<std::string_view, Currency> kNames[] = {
        {"wei", Currency::kWei}, {"eth", Currency::kEth}, {"usd", Currency::kUsd}
    };
    for (const auto& [name, currency] : kNames) {
        if (lower.ends_with(name)) {
            text.remove_suffix(name.size());
            return currency;
        }
    }
    const bool bare =
        text.empty() || std::isdigit(static_cast<unsigned char>(text.back())) != 0 || text.back() == '.';
    return bare ? std::optional(Currency::kWei) : std::nullopt;
}

template <class Number>
bool read_number(std::string_view text, Number& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size();
}

// "0.5e-2" as an exact decimal number.
bool read_decimal(std::string_view text, PriceTag& tag) {
    int exponent = 0;
    if (const auto e = text.find_first_of("eE"); e != std::string_view::npos) {
        if (!read_number(text.substr(e + 1), exponent) || exponent < -64 || exponent > 64) {
            return false;
        }
        text = text.substr(0, e);
    }
    std::string digits(text);
    int decimals = 0;
    if (const auto point = digits.find('.'); point != std::string::npos) {
        digits.erase(point, 1);
        decimals = static_cast<int>(digits.size() - point);
    }
    decimals -= exponent;
    for (; decimals < 0; ++decimals) {
        digits.push_back('0');
    }
    tag.decimals = static_cast<std::uint32_t>(decimals);
    return tag.decimals <= kDecimalsMax && read_number(digits, tag.digits);
}

// Wei per unit as a fraction; nullopt: dollars without a rate.
std::optional<Price> price_of(const PriceTag& tag, const UsdRate& rate) {
    BigInt wei = tag.digits;
    BigInt units = power_of_ten(tag.decimals) * tag.units;
    if (tag.currency != Currency::kWei) {
        wei *= power_of_ten(kEthDecimals);
    }
    if (tag.currency == Currency::kUsd) {
        if (rate.usd_per_eth == 0) {
            return tag.digits == 0 ? std::optional(Price{}) : std::nullopt;
        }
        wei *= power_of_ten(rate.decimals);
        units *= rate.usd_per_eth;
    }
    return to_price(wei, units);
}

}  // namespace

Result<PriceTag> parse_price(std::string_view text) {
    PriceTag tag;
    text = trim(text);
    if (const auto slash = text.find('/'); slash != std::string_view::npos) {
        if (!read_number(trim(text.substr(slash + 1)), tag.units) || tag.units <= 0) {
            return bad_price("behind the slash stands a positive number of units");
        }
        text = trim(text.substr(0, slash));
    }
    const auto currency = cut_currency(text);
    if (!currency) {
        return bad_price("the currency is wei, eth or USD");
    }
    tag.currency = *currency;
    if (!read_decimal(trim(text), tag)) {
        return bad_price("the amount is a decimal number that is not negative, with at most 19 digits");
    }
    return tag;
}

Price to_price(const BigInt& wei, const BigInt& units) {
    FG_ASSERT(units > 0 && wei >= 0);
    const BigInt common = gcd(wei, units);
    const BigInt numerator = wei / common;
    const BigInt denominator = units / common;
    if (fits(numerator) && fits(denominator)) {
        return {static_cast<std::int64_t>(numerator), static_cast<std::int64_t>(denominator)};
    }
    const BigInt thousandths = numerator * kThousandths / denominator;
    if (fits(thousandths)) {
        const BigInt shared = gcd(thousandths, BigInt(kThousandths));
        return {
            static_cast<std::int64_t>(BigInt(thousandths / shared)),
            static_cast<std::int64_t>(BigInt(kThousandths / shared))
        };
    }
    const BigInt whole = thousandths / kThousandths;
    return {fits(whole) ? static_cast<std::int64_t>(whole) : std::numeric_limits<std::int64_t>::max(), 1};
}

Result<PriceTable> PriceTable::make(PriceSettings settings, TimePoint now) {
    if (settings.rules.size() > settings.rules_max || settings.usd_fallback.decimals > kRateDecimalsMax) {
        return bad_price("too many rules, or a rate with more than 18 decimals");
    }
    PriceTable table(std::move(settings));
    table.applied_ = table.settings_.usd_fallback;
    for (const PriceRule& rule : table.settings_.rules) {
        if (rule.tag.units <= 0 || rule.tag.decimals > kDecimalsMax) {
            return bad_price("the number of units is not positive");
        }
        const auto price = price_of(rule.tag, table.applied_);
        if (!price) {
            return bad_price("it is in dollars, and there is no rate to fall back to");
        }
        const Entry entry{rule.tag, *price, *price, now};
        if (!table.entries_.emplace(Key{rule.sender, rule.model}, entry).second) {
            return bad_price("the same model and sender has two");
        }
    }
    return table;
}

UsdRate PriceTable::usd_rate(TimePoint now) const {
    const bool fresh = feed_.usd_per_eth != 0 && now - feed_at_ < settings_.usd_age_max;
    return fresh ? feed_ : settings_.usd_fallback;
}

Result<void> PriceTable::set_usd_rate(const UsdRate& rate, TimePoint now) {
    const UsdRate last = usd_rate(now);
    if (rate.usd_per_eth == 0 || rate.decimals > kRateDecimalsMax) {
        return bad_price("the feed says nothing");
    }
    const BigInt fresh = BigInt(rate.usd_per_eth) * power_of_ten(last.decimals);
    const BigInt known = BigInt(last.usd_per_eth) * power_of_ten(rate.decimals);
    if (known > 0 && (fresh > known * kRateJumpMax || fresh * kRateJumpMax < known)) {
        return bad_price("the feed jumps to ten times or a tenth of the rate before, which stays");
    }
    feed_ = rate;
    feed_at_ = now;
    refresh(now);
    return {};
}

void PriceTable::refresh(TimePoint now) {
    const UsdRate rate = usd_rate(now);
    if (rate == applied_) {
        return;
    }
    applied_ = rate;
    for (auto& [key, entry] : entries_) {
        const auto price = price_of(entry.tag, rate);
        if (!price || *price == entry.now) {
            continue;
        }
        const bool recent = now - entry.changed_at < settings_.honour_for;
        entry.before = recent ? std::min(entry.before, entry.now) : entry.now;
        entry.now = *price;
        entry.changed_at = now;
    }
}

PriceTable::KeyView PriceTable::Less::view(const Key& key) {
    KeyView out;
    out.sender = key.sender ? &*key.sender : nullptr;
    if (key.model) {
        out.capability = &key.model->capability;
        out.model_id = key.model->model_id;
    }
    return out;
}

bool PriceTable::Less::before(const KeyView& a, const KeyView& b) {
    const auto compare = [](const auto* left, const auto* right) {
        return left != nullptr && right != nullptr ? *left <=> *right
                                                   : (left != nullptr) <=> (right != nullptr);
    };
    if (const auto sender = compare(a.sender, b.sender); sender != 0) {
        return sender < 0;
    }
    if (const auto capability = compare(a.capability, b.capability); capability != 0) {
        return capability < 0;
    }
    return a.model_id < b.model_id;
}

const PriceTable::Entry* PriceTable::find(const Address& sender, const ModelKey* model) const {
    const auto look = [this, model](const Address* who, std::string_view model_id) {
        const auto found =
            entries_.find(KeyView{who, model == nullptr ? nullptr : &model->capability, model_id});
        return found == entries_.end() ? nullptr : &found->second;
    };
    const std::string_view model_id = model == nullptr ? std::string_view() : model->model_id;
    for (const Address* who : {&sender, static_cast<const Address*>(nullptr)}) {
        if (const Entry* entry = look(who, model_id)) {
            return entry;
        }
        if (!model_id.empty()) {
            if (const Entry* entry = look(who, {})) {
                return entry;
            }
        }
    }
    return nullptr;
}

template <class Read>
Price PriceTable::sum(const Address& sender, std::span<const ModelKey> models, Read read) const {
    const auto priced = [&](const ModelKey* model) {
        const Entry* entry = find(sender, model);
        return entry == nullptr ? Price{} : read(*entry);
    };
    if (models.size() <= 1) {
        const Price own = models.empty() ? Price{} : priced(&models.front());
        return own.wei != 0 ? own : priced(nullptr);
    }
    BigInt wei = 0;
    BigInt units = 1;
    for (const ModelKey& model : models) {
        const Price price = priced(&model);
        wei = wei * price.units + units * price.wei;
        units *= price.units;
    }
    return wei.is_zero() ? priced(nullptr) : to_price(wei, units);
}

Price PriceTable::price(const Address& sender, std::span<const ModelKey> models, TimePoint now) {
    refresh(now);
    return sum(sender, models, [](const Entry& entry) { return entry.now; });
}

Price PriceTable::lowest_recent(const Address& sender, std::span<const ModelKey> models, TimePoint now) {
    refresh(now);
    return sum(sender, models, [&](const Entry& entry) {
        const bool recent = now - entry.changed_at < settings_.honour_for;
        return recent ? std::min(entry.before, entry.now) : entry.now;
    });
}

std::vector<std::pair<ModelKey, Price>> PriceTable::all(const Address& sender, TimePoint now) {
    refresh(now);
    std::vector<std::pair<ModelKey, Price>> out;
    for (const auto& [key, entry] : entries_) {
        if (key.model && (!key.sender || *key.sender == sender)) {
            const bool again =
                std::ranges::any_of(out, [&](const auto& one) { return one.first == *key.model; });
            if (!again) {
                out.emplace_back(*key.model, find(sender, &*key.model)->now);
            }
        }
    }
    return out;
}

Price with_redemption_cost(const Price& price, const Wei& face_value, const Wei& redemption_cost) {
    if (price.wei <= 0 || redemption_cost.is_zero() || face_value.is_zero()) {
        return price;
    }
    const BigInt wei = BigInt(price.wei) * (BigInt(face_value) + BigInt(redemption_cost)) * kThousandths;
    return to_price(wei / (BigInt(face_value) * price.units), kThousandths);
}

void PriceCeilings::set(std::optional<ModelKey> model, std::optional<Price> most) {
    if (!model) {
        general_ = most;
    } else if (most) {
        by_model_.insert_or_assign(std::move(*model), *most);
    } else {
        by_model_.erase(*model);
    }
}

std::optional<Price> PriceCeilings::ceiling(std::span<const ModelKey> models) const {
    BigInt wei = 0;
    BigInt units = 1;
    for (const ModelKey& model : models) {
        auto found = by_model_.find(model);
        if (found == by_model_.end()) {
            found = by_model_.find(ModelKey{model.capability, {}});
        }
        if (found != by_model_.end()) {
            wei = wei * found->second.units + units * found->second.wei;
            units *= found->second.units;
        }
    }
    return wei.is_zero() ? general_ : std::optional(to_price(wei, units));
}

std::optional<Price> PriceCeilings::lower(std::optional<Price> a, std::optional<Price> b) {
    return a && b ? std::min(*a, *b) : a ? a : b;
}

Result<void> check_price(
    const std::optional<Price>& price, const std::optional<Price>& ceiling,
    const std::optional<Price>& price_at_start
) {
    const auto text = [](const Price& value) {
        return std::to_string(value.wei) + " wei per " + std::to_string(value.units) + " units";
    };
    if (!price || price->units <= 0 || price->wei < 0) {
        return fail(Errc::kProtocol, "missing orchestrator price: use another orchestrator", "price_info");
    }
    if (ceiling && *price > *ceiling) {
        return fail(
            Errc::kForbidden,
            "the orchestrator asks for " + text(*price) + ", at most " + text(*ceiling) +
                " is paid: use another orchestrator, or raise the limit",
            "price_info"
        );
    }
    if (price_at_start && *price > *price_at_start &&
        Money::of_units(1, *price) > Money::of_units(2, *price_at_start)) {
        return fail(
            Errc::kProtocol,
            "Orchestrator price has more than doubled: " + text(*price_at_start) + " at the start, now " +
                text(*price) + "; use another orchestrator",
            "price_info"
        );
    }
    return {};
}

}  // namespace framegrid::pay
