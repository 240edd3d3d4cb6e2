// Whether two orchestrators gave the same for one job: the rules, without sockets or time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include <framegrid/gateway/gateway.hpp>
#include <framegrid/job/verification.hpp>
#include <framegrid/runtime/metrics.hpp>

namespace framegrid::gateway {

// What one of the two gave.
struct RunFacts {
    std::string orchestrator{};
    std::string model_digest{};          // as it says; empty: it does not
    std::vector<std::string> digests{};  // SHA-256 of its files, hex
    std::int64_t wei = 0;
};

// How much alike two files are, see api::kCompareOperation.
struct Likeness {
    std::string difference{};  // of their forms, or why they cannot be compared; empty: none
    double psnr_db = 0;
};

enum class Outcome : std::uint8_t { kAgreed, kDisagreed, kUnavailable };
enum class Compared : std::uint8_t { kNothing, kBytes, kPictures };
std::string_view to_string(Outcome outcome);
std::string_view to_string(Compared compared);

// What came of it.
struct Verified {
    Outcome outcome = Outcome::kUnavailable;
    Compared compared = Compared::kNothing;
    std::optional<double> psnr_db{};  // of the two files that are least alike; absent: not measured
    std::string reason{};             // why they disagree, or why there was nothing to compare
    RunFacts first{};
    RunFacts second{};  // of kUnavailable: nobody's
};

// {"outcome", "compared", "psnr_db", "reason", "first": {"orchestrator", "wei", "model_digest", "sha256"},
// "second", "wei": of both}; what is not known is absent.
boost::json::object verified_json(const Verified& verified);

// Of one piece of work.
class VerificationRules {
  public:
    explicit VerificationRules(const api::Work& work);

    // Files whose bytes differ, and whose pictures may tell whether they show the same.
    std::vector<std::size_t> to_compare(const RunFacts& first, const RunFacts& second) const;
    // `likenesses`: of the files that to_compare() named, in that order.
    Verified judge(RunFacts first, RunFacts second, const std::vector<Likeness>& likenesses) const;

  private:
    double psnr_min_db_;  // that agrees
    bool bytes_only_;     // nobody may change a bit
};

// The lower price that each of two runs may have, so that both cost at most this.
Price half_of(Price both);
// The work again, at anybody but the one that has done it, for what is left of the price for both.
JobRequest repeat_of(JobRequest request, const RunFacts& first, std::optional<Price> left);
// What is left of `both` for so many units when the first has cost `wei`.
Price price_left(std::int64_t both_wei, std::int64_t wei, Pixels units);

// The end of a job whose results differ, where its client wants that.
Error mismatch_error(const Verified& verified);

struct VerificationStats {
    std::uint64_t agreed = 0;
    std::uint64_t disagreed = 0;
    std::uint64_t unavailable = 0;
    void count(Outcome outcome);
    VerificationStats& operator+=(const VerificationStats& more);
    // Also true where nothing was checked.
    bool all_agreed() const { return disagreed == 0 && unavailable == 0; }
};
void dump(MetricsWriter& out, const VerificationStats& stats);

}  // namespace framegrid::gateway
