// A party's receipts as a book of hours: building it, checking it without anybody's help, and comparing two.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/crypto/merkle.hpp>
#include <framegrid/pay/receipt.hpp>

namespace framegrid::pay {

// What is known of an hour's lines so far.
class HourSum {
  public:
    // A receipt and its line.
    void add(const Receipt& receipt, std::string_view line);
    std::uint64_t receipts() const { return root_.size(); }
    Money amount() const;
    // The closing line, not signed yet.
    Closing describe(std::string hour, const crypto::Hash32& previous, const crypto::Address& party) const;
    // The same, signed.
    Closing close(std::string hour, const crypto::Hash32& previous, const crypto::PrivateKey& key) const;
    bool matches(const Closing& closing) const;

  private:
    crypto::MerkleRoot root_;
    // Sums of numerators by denominator: adding a receipt looks for no common one.
    std::map<std::int64_t, BigInt> numerators_;
    Money others_;
};

// Port: signs the end of an hour elsewhere. On its role's executor.
class ClosingSigner {
  public:
    // The next bytes of the hour's receipts, lines with their ends; empty: there are no more.
    using NextLines = std::function<Task<Result<Blob>>()>;
    virtual ~ClosingSigner() = default;
    virtual const crypto::Address& party() const = 0;
    // Over closing_text(closing). The signer reads the receipts and signs what they make.
    virtual Task<Result<crypto::Signature>> sign_closing(Closing closing, NextLines lines) = 0;
};

// The text of an hour: lines, each with its end. `closing` is absent while the hour is open.
struct Hour {
    HourSum sum{};
    std::optional<Closing> closing{};
    crypto::Hash32 digest{};  // of the closing line: what the next one names
    std::size_t torn = 0;     // bytes after the last line's end
};
// Checks every line, the root and the signature. kInvalidArgument names the line at fault, or what does not
// match. `each` sees the receipts, before the end is known to be good.
Result<Hour> read_hour(std::string_view text, const std::function<void(const Receipt&)>& each);

// Checks that hours follow each other. One per book.
class BookCheck {
  public:
    // kInvalidArgument: it is not the one that comes next.
    Result<void> add(const Hour& hour, std::string_view name);
    const std::optional<crypto::Address>& party() const { return party_; }
    std::uint64_t receipts() const { return receipts_; }
    std::uint64_t hours() const { return hours_; }
    const Money& amount() const { return amount_; }
    const crypto::Hash32& previous() const { return previous_; }

  private:
    std::optional<crypto::Address> party_;
    crypto::Hash32 previous_{};
    std::uint64_t receipts_ = 0;
    std::uint64_t hours_ = 0;
    std::string last_hour_;  // without its part
    Money amount_;
};

// Where two parties' books do not agree about one job.
struct Difference {
    enum class Kind : std::uint8_t {
        kOnlyInA,
        kOnlyInB,
        kAmount,  // units or price
        kWork,    // the same amount for something else, or between others
        kDigest,  // the same work, of which one side lacks a digest
        kTwiceInA,
        kTwiceInB,
    };
    Kind kind = Kind::kOnlyInA;
    crypto::Hash32 id{};
    Money a{};
    Money b{};
};
std::string_view to_string(Difference::Kind kind);

// Compares book A, added first, with book B. About 300 bytes for each receipt of A. What a receipt of version
// 1 does not say is not compared.
class Reconciliation {
  public:
    void add_a(const Receipt& receipt);
    void add_b(const Receipt& receipt);
    // After both: what was only in A, too. Sorted by id.
    std::vector<Difference> differences();
    const Money& total_a() const { return total_a_; }
    const Money& total_b() const { return total_b_; }

  private:
    struct Entry {
        int version = kReceiptVersion;
        // Over everything but digests and the time, which is each party's own.
        crypto::Hash32 content{};
        std::array<crypto::Hash32, 3> digests{};  // of parameters, input and output
        std::int64_t units = 0;
        Price price;
        bool seen_in_b = false;
    };
    struct IdHash {
        std::size_t operator()(const crypto::Hash32& id) const;
    };
    static Entry entry_of(const Receipt& receipt);
    // nullopt: the same.
    static std::optional<Difference::Kind> compare(const Entry& a, const Entry& b);
    std::unordered_map<crypto::Hash32, Entry, IdHash> a_;
    std::unordered_set<crypto::Hash32, IdHash> only_b_;
    std::vector<Difference> differences_;
    Money total_a_;
    Money total_b_;
};

}  // namespace framegrid::pay
