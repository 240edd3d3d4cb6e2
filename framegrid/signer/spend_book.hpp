// What each caller of a signer has spent today, against a limit that a restart does not forget.
#pragma once

#include <map>
#include <optional>
#include <string>

#include <framegrid/base/result.hpp>
#include <framegrid/pay/money.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::signer {

// Port: keeps one text; what is kept later replaces what was before, in the order of the calls.
class SpendJournal {
  public:
    virtual ~SpendJournal() = default;
    // Durable when it is done.
    virtual Task<Result<void>> keep(std::string text) = 0;
};

// Days are UTC. Kept are amounts a little above what was spent, so that few signatures wait for the disk:
// after a crash a caller may have lost up to a hundredth of its limit, and has never gained. One executor.
class SpendBook {
  public:
    // `kept`: the journal's text, or empty. kInvalidArgument: it is none of ours.
    static Result<SpendBook> make(Clock& clock, SpendJournal& journal, const std::string& kept);

    // Counts an amount, rounded up to whole wei. kForbidden: over the limit; nothing is counted then, nor
    // when the journal fails.
    Task<Result<void>> spend(std::string caller, pay::Money amount, std::optional<Wei> limit_per_day);
    Wei spent_today(const std::string& caller) const;

  private:
    struct Account {
        Wei spent = 0;
        Wei bound = 0;  // kept, or on its way to be
        Wei kept = 0;   // never below what was spent for a signature that leaves
    };
    SpendBook(Clock& clock, SpendJournal& journal) : clock_(clock), journal_(&journal) {}
    void begin_day();
    std::string text() const;

    Clock& clock_;
    SpendJournal* journal_;
    std::int64_t day_ = 0;
    std::map<std::string, Account> accounts_;
};

}  // namespace framegrid::signer
