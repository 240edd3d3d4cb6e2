// Money: what a key may spend on a day and in all. Reserved at the most that a job may cost before it is
// given to anybody, and settled at what it did cost.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include <framegrid/account/permit.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::account {

// What survives a restart.
struct Spent {
    Wei total = 0;
    Wei today = 0;
    std::int64_t day = 0;  // since 1970-01-01 UTC
    friend bool operator==(const Spent&, const Spent&) = default;
};

// What one counter has added to it on a day, and taken back of that. Both only grow.
struct Counted {
    Wei amount = 0;
    Wei back = 0;
    friend bool operator==(const Counted&, const Counted&) = default;
};

// `before` once that counter says `now`, and had said `known`: what is not more than it was changes nothing.
// Of a day before the last one only the total changes. Saturates.
Spent after(Spent before, std::int64_t day, const Counted& known, const Counted& now);

// One executor.
class SpendMeter {
  public:
    explicit SpendMeter(Clock& clock) : clock_(clock) {}

    // A subject has spent at least that: before a restart, or elsewhere. Reservations stay.
    void restore(const std::string& subject, const Spent& spent);
    // Spent on the current day, without reservations.
    Spent spent(const std::string& subject) const;

    // Holds back `most`. kForbidden (field "wei_per_day" or "wei_total") when that could exceed a limit: what
    // is spent, what others hold back and this.
    Result<void> reserve(const Permit& permit, const Wei& most);
    // Ends a reservation of `most`; `cost` counts on the day on which the job ended, and is at most `most`.
    Spent settle(const std::string& subject, const Wei& most, const Wei& cost);

  private:
    struct Account {
        Spent spent;
        Wei reserved = 0;
    };
    std::int64_t today() const;
    Account& account_of(const std::string& subject);

    Clock& clock_;
    std::unordered_map<std::string, Account> accounts_;
};

}  // namespace framegrid::account
