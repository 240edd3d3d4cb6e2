// What owners with a limit of money spend: counted in memory, kept in the store of keys, so that a restart
// forgets nothing.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <framegrid/account/spend.hpp>
#include <framegrid/api/key_store.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::gateway {

class Spending {
  public:
    // What a job may cost, held back. Ended by settle(), or as costing nothing when it is destroyed.
    class Held {
      public:
        Held(Spending& book, account::Permit permit, Wei most)
            : book_(&book), permit_(std::move(permit)), most_(std::move(most)) {}
        Held(Held&& other) noexcept
            : book_(std::exchange(other.book_, nullptr)),
              permit_(std::move(other.permit_)),
              most_(std::move(other.most_)) {}
        Held& operator=(Held&&) = delete;
        ~Held() {
            if (book_ != nullptr) {
                book_->meter_.settle(permit_.subject, most_, 0);
            }
        }
        // Returns when the cost is in the store. What cannot be written counts all the same, and is written
        // with the owner's next job.
        Task<void> settle(Wei cost);

      private:
        Spending* book_;
        account::Permit permit_;
        Wei most_;
    };

    Spending(Clock& clock, Logger log) : clock_(clock), log_(std::move(log)), meter_(clock) {}

    // Of each owner, asked before each job. `store`: null: counted since this process began; else it outlives
    // this.
    void limit(std::function<account::Limits(const std::string& owner)> limits_of, api::KeyStore* store) {
        limits_of_ = std::move(limits_of);
        store_ = store;
    }
    // nullopt: the owner may spend what it likes.
    std::optional<account::Permit> permit_of(const std::string& owner) const;
    // Errors as of SpendMeter::reserve(); kUnavailable: what the owner has spent cannot be read.
    Task<Result<Held>> hold(account::Permit permit, Wei most, Deadline deadline);

  private:
    Task<Result<void>> recall(std::string owner, Deadline deadline);

    Clock& clock_;
    Logger log_;
    account::SpendMeter meter_;
    std::function<account::Limits(const std::string& owner)> limits_of_;
    api::KeyStore* store_ = nullptr;
    std::set<std::string> recalled_;        // owners whose past is known
    std::map<std::string, Wei> unwritten_;  // counts on the day on which it is written
};

}  // namespace framegrid::gateway
