// Receipts: what a job was, what it cost and who paid whom, so that a third party can check it later without
// either of them. A receipt is a line of JSON in one exact form; the lines of an hour are closed by a line
// with the Merkle root over them, signed by whose book it is.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/ids.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/crypto/hash.hpp>
#include <framegrid/crypto/keys.hpp>
#include <framegrid/pay/money.hpp>
#include <framegrid/runtime/task.hpp>

namespace framegrid::pay {

// The form of receipts that are written. Of version 1 nothing says the parameters.
inline constexpr int kReceiptVersion = 2;

// Digests that there are none of are zero.
struct Receipt {
    int version = kReceiptVersion;
    crypto::Hash32 id{};       // of the job: the same in both parties' books
    std::int64_t unix_ms = 0;  // when it was settled
    crypto::Address payer{};
    crypto::Address payee{};
    std::string work{};           // "transcoding", or pipeline and model; see check_work()
    Price price;                  // neither number below 0
    std::int64_t units = 0;       // not below 0
    crypto::Hash32 model{};       // digest over the model's files
    crypto::Hash32 parameters{};  // parameters_digest(); since version 2
    crypto::Hash32 input{};       // SHA-256
    crypto::Hash32 output{};      // SHA-256; of several results: of their digests
    friend bool operator==(const Receipt&, const Receipt&) = default;

    // Exact: units x price.
    Money amount() const;
};

// 1 to 128 printable ASCII characters without quotes and backslashes: its text needs no escapes.
Result<void> check_work(std::string_view work);

// {"v":2,"id":...,"at_ms":...,"payer":...,"payee":...,"work":...,"price":"5/2","units":...,"amount":"15/2",
// "model":...,"parameters":...,"input":...,"output":...} without spaces or a line's end. The fields are as
// the struct says. Version 1 has neither "v" nor "parameters".
std::string to_line(const Receipt& receipt);
// The same at the end of `out`.
void append_line(std::string& out, const Receipt& receipt);
// Accepts exactly what to_line() makes. kInvalidArgument.
Result<Receipt> parse_receipt(std::string_view line);

// Of a job's parameters, a JSON object, whichever way they came: SHA-256 over its members but "model_id" and
// those that are null, sorted by the bytes of their names; name and value each as LENGTH:BYTES, (a
// netstring). A text is its UTF-8; a number with a fraction or an exponent has six decimals; all else is its
// JSON without spaces. Zero: there are none, or this is no object.
crypto::Hash32 parameters_digest(std::string_view json);

// What closes an hour, or a part of one that has many receipts.
struct Closing {
    std::string hour{};       // "2026-11-27T06", UTC: when its first receipt was written; see is_hour_name()
    crypto::Address party{};  // whose book it is, who signs
    std::uint64_t receipts = 0;
    Money amount{};             // of all of them
    crypto::Hash32 previous{};  // SHA-256 of the closing line before this one, zero for the first
    crypto::Hash32 root{};      // Merkle root over the lines
    crypto::Signature signature{};
};

// The personal message (EIP-191) that the party signs: the line up to its root.
std::string closing_text(const Closing& closing);
std::string to_line(const Closing& closing);
// Accepts exactly what to_line() makes; does not check the signature. kInvalidArgument.
Result<Closing> parse_closing(std::string_view line);
bool is_closing(std::string_view line);

inline constexpr std::size_t kHourNameBytes = 13;
// "2026-11-27T06". unix_ms >= 0.
std::string hour_of(std::int64_t unix_ms);
// "2026-11-27T06", or a further part of that hour, "2026-11-27T06-0001" and up; by its form.
bool is_hour_name(std::string_view name);

// Port: where a party keeps its receipts.
class Receipts {
  public:
    virtual ~Receipts() = default;
    // Before a receipt is added: as it is so far, so that it survives the death of the process meanwhile.
    // Without waiting. The number of the note, which counts up; 0: it could not be taken, and the receipt
    // would be lost.
    virtual std::uint64_t note(const Receipt& receipt) = 0;
    // The receipt has become more complete.
    virtual void change_note(std::uint64_t number, const Receipt& receipt) = 0;
    // This one and all before it are added, or given up.
    virtual void drop_notes(std::uint64_t number) = 0;
    // Survives the death of the process when done. kInvalidArgument: no receipt; kIo: it could not be kept,
    // and the caller goes on without it.
    virtual Task<Result<void>> add(Receipt receipt) = 0;
    // The same for several, in one write: all of them or none. They stay where they are meanwhile.
    virtual Task<Result<void>> add_all(std::span<const Receipt> receipts) = 0;
    // Closes the hour if it is over: for an hour after which nothing comes. Cheap when there is nothing to
    // do.
    virtual Task<Result<void>> close_past() = 0;
};

}  // namespace framegrid::pay
