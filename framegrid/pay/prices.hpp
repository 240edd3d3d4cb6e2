// Prices: what an orchestrator asks for, what a gateway and its client pay at most (protocol section 4.4).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/ids.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/crypto/keys.hpp>
#include <framegrid/pay/money.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::pay {

using crypto::Address;

enum class Currency : std::uint8_t { kWei, kEth, kUsd };

// As an operator writes it: an exact decimal amount for so many units.
struct PriceTag {
    std::uint64_t digits = 0;    // the amount without its point
    std::uint32_t decimals = 0;  // digits behind the point; at most 64
    Currency currency = Currency::kWei;
    std::int64_t units = 1;  // positive
    friend bool operator==(const PriceTag&, const PriceTag&) = default;
};
// "1200", "1200wei", "0.5e-2USD", "1.5e-9 eth", each with "/1000000" for a number of units behind it.
// kInvalidArgument.
Result<PriceTag> parse_price(std::string_view text);

// How many wei an exact amount of money per unit is, as the protocol carries it: exactly if that fits, else
// rounded down to thousandths of a wei, else to whole ones.
Price to_price(const BigInt& wei, const BigInt& units);

// Wei for one US dollar. Feeds say it as dollars for an ether, with some decimals.
struct UsdRate {
    std::uint64_t usd_per_eth = 0;  // times 10^decimals; 0: unknown
    std::uint32_t decimals = 8;
    friend bool operator==(const UsdRate&, const UsdRate&) = default;
};

// A capability and model; an empty model stands for all of a capability.
struct ModelKey {
    std::uint32_t capability = 0;
    std::string model_id;
    friend auto operator<=>(const ModelKey&, const ModelKey&) = default;
};

struct PriceRule {
    std::optional<Address> sender{};  // absent: for everybody
    std::optional<ModelKey> model{};  // absent: transcoding, and AI jobs that have no price of their own
    PriceTag tag{};
};

struct PriceSettings {
    std::vector<PriceRule> rules{};
    UsdRate usd_fallback{};                          // when there is no feed, or it is too old
    Duration usd_age_max = std::chrono::hours(3);    // of a feed's value
    Duration honour_for = std::chrono::minutes(10);  // the price before a change, which quotes still name
    std::size_t rules_max = 100'000;
};

// What an orchestrator asks for. Not thread-safe.
class PriceTable {
  public:
    // kInvalidArgument: a rule twice, units not positive, dollars without any rate.
    static Result<PriceTable> make(PriceSettings settings, TimePoint now);

    // A new value of the feed; all prices in dollars follow. kInvalidArgument: zero, or more than ten times
    // or less than a tenth of the one before, which no market has done within an hour.
    Result<void> set_usd_rate(const UsdRate& rate, TimePoint now);

    // The sum over the models of a request, of each the price for this sender, else for everybody. Zero: the
    // transcoding price, as without models.
    Price price(const Address& sender, std::span<const ModelKey> models, TimePoint now);
    // The lowest one that was right at some time within `honour_for`.
    Price lowest_recent(const Address& sender, std::span<const ModelKey> models, TimePoint now);
    // Every model with its own price, for advertising.
    std::vector<std::pair<ModelKey, Price>> all(const Address& sender, TimePoint now);

  private:
    struct Key {
        std::optional<Address> sender;
        std::optional<ModelKey> model;
    };
    // The same without copies, for look-ups. Null: absent.
    struct KeyView {
        const Address* sender = nullptr;
        const std::uint32_t* capability = nullptr;
        std::string_view model_id;
    };
    struct Less {
        using is_transparent = void;  // NOLINT: the library's name
        static KeyView view(const Key& key);
        static KeyView view(const KeyView& key) { return key; }
        static bool before(const KeyView& a, const KeyView& b);
        bool operator()(const auto& a, const auto& b) const { return before(view(a), view(b)); }
    };
    struct Entry {
        PriceTag tag;
        Price now;
        Price before;
        TimePoint changed_at;
    };
    explicit PriceTable(PriceSettings settings) : settings_(std::move(settings)) {}
    UsdRate usd_rate(TimePoint now) const;
    void refresh(TimePoint now);
    // Null model: transcoding.
    const Entry* find(const Address& sender, const ModelKey* model) const;
    template <class Read>
    Price sum(const Address& sender, std::span<const ModelKey> models, Read read) const;

    PriceSettings settings_;
    std::map<Key, Entry, Less> entries_;
    UsdRate feed_;
    TimePoint feed_at_{};
    UsdRate applied_;  // the rate that all `now` prices were made with
};

// A price with the cost of redeeming tickets on top: x (1 + cost / face value), in thousandths of a wei.
Price with_redemption_cost(const Price& price, const Wei& face_value, const Wei& redemption_cost);

// What a gateway pays at most per unit. Not thread-safe.
class PriceCeilings {
  public:
    // Absent model: for everything without a ceiling of its own.
    void set(std::optional<ModelKey> model, std::optional<Price> most);
    // The sum over the models of a request, else the general one; nullopt: no limit.
    std::optional<Price> ceiling(std::span<const ModelKey> models) const;
    // The lower one of the gateway's and the client's own.
    static std::optional<Price> lower(std::optional<Price> a, std::optional<Price> b);

  private:
    std::optional<Price> general_;
    std::map<ModelKey, Price> by_model_;
};

// Whether to buy at this price: kForbidden above the ceiling; kProtocol when it has more than doubled since
// the session began, or is missing.
Result<void> check_price(
    const std::optional<Price>& price, const std::optional<Price>& ceiling,
    const std::optional<Price>& price_at_start
);

}  // namespace framegrid::pay
