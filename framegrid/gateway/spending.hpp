// What owners with a limit of money spend: counted in memory, kept in the store of keys, so that a restart
// forgets nothing.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <framegrid/account/spend.hpp>
#include <framegrid/api/key_store.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::gateway {

class Spending {
  public:
    // What a job may cost, held back. Ended by settle(), or as costing nothing when it is destroyed: the
    // store hears of that with the owner's next job, or from write_rest().
    class Held {
      public:
        Held(Spending& book, account::Permit permit, Wei most)
            : book_(&book), permit_(std::move(permit)), most_(std::move(most)) {}
        Held(Held&& other) noexcept
            : book_(std::exchange(other.book_, nullptr)),
              permit_(std::move(other.permit_)),
              most_(std::move(other.most_)),
              charged_(std::exchange(other.charged_, 0)),
              charged_day_(other.charged_day_) {}
        Held& operator=(Held&&) = delete;
        ~Held();
        // Before the job is paid for: from now on the store counts what it may cost, so that a crash forgets
        // nothing of it. What cannot be written is written with the owner's next job.
        Task<void> charge();
        // Returns when the cost is in the store. What cannot be written counts all the same, and is written
        // with the owner's next job: once, even if it had been written and only the answer was lost.
        Task<void> settle(Wei cost);

      private:
        Spending* book_;
        account::Permit permit_;
        Wei most_;
        Wei charged_ = 0;  // of it, as the store hears
        std::int64_t charged_day_ = 0;
    };

    Spending(Clock& clock, Random& random, Logger log)
        : clock_(clock), random_(random), log_(std::move(log)), meter_(clock) {}

    // Of each owner, asked before each job. `store`: null: counted since this process began; else it outlives
    // this.
    void limit(std::function<account::Limits(const std::string& owner)> limits_of, api::KeyStore* store) {
        limits_of_ = std::move(limits_of);
        store_ = store;
    }
    // `key`: what the key allows that asks, if it is known. nullopt: the owner may spend what it likes.
    std::optional<account::Permit> permit_of(
        const std::string& owner, const std::optional<account::Limits>& key = std::nullopt
    ) const;
    // Errors as of SpendMeter::reserve(); kUnavailable: what the owner has spent cannot be read.
    Task<Result<Held>> hold(account::Permit permit, Wei most, Deadline deadline);

    // Tells the store what it has not heard yet.
    Task<void> write_rest();

  private:
    // What this process has counted of an owner on a day, as it says it to the store.
    struct Series {
        std::string name;
        std::int64_t day = 0;
        account::Counted all;
        account::Counted written;  // of it, for certain
        bool is_written() const { return written == all; }
    };
    struct Account {
        Wei charged = 0;             // of jobs of whose end the store has not heard for certain
        std::vector<Series> series;  // for each day on which something is not written, and the last one
    };
    Task<Result<void>> recall(std::string owner, Deadline deadline);
    // What the store counts in all, for the meter.
    void restore(const std::string& owner, account::Spent sum);
    void count(const std::string& owner, std::int64_t day, const account::Counted& more);
    // Says what the store has not heard. Several jobs of an owner may be here at once: each says all that is
    // counted so far. False: some of it could not be written.
    Task<bool> write(std::string owner);

    Clock& clock_;
    Random& random_;
    Logger log_;
    account::SpendMeter meter_;
    std::function<account::Limits(const std::string& owner)> limits_of_;
    api::KeyStore* store_ = nullptr;
    std::set<std::string> recalled_;  // owners whose past is known
    std::map<std::string, Account> accounts_;
};

}  // namespace framegrid::gateway
