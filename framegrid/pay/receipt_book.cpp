#include <framegrid/pay/receipt_book.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace framegrid::pay {

namespace {

std::unexpected<Error> wrong(std::string what) {
    return fail(Errc::kInvalidArgument, std::move(what));
}

std::string place(std::size_t line) {
    return "line " + std::to_string(line);
}

crypto::Hash32 content_of(Receipt receipt) {
    receipt.version = 1;
    receipt.unix_ms = 0;
    receipt.input = {};
    receipt.output = {};
    return crypto::sha256(as_bytes(to_line(receipt)));
}

}  // namespace

void HourSum::add(const Receipt& receipt, std::string_view line) {
    root_.add(crypto::merkle_leaf(as_bytes(line)));
    constexpr std::size_t kDenominatorsMax = 64;
    if (numerators_.size() < kDenominatorsMax || numerators_.contains(receipt.price.units)) {
        numerators_[receipt.price.units] += BigInt(receipt.units) * receipt.price.wei;
    } else {
        others_ += receipt.amount();
    }
}

Money HourSum::amount() const {
    Money out = others_;
    for (const auto& [denominator, numerator] : numerators_) {
        out += Money::fraction(numerator, denominator);
    }
    return out;
}

Closing HourSum::describe(std::string hour, const crypto::Hash32& previous, const crypto::Address& party)
    const {
    Closing out;
    out.hour = std::move(hour);
    out.party = party;
    out.receipts = root_.size();
    out.amount = amount();
    out.previous = previous;
    out.root = root_.root();
    return out;
}

Closing HourSum::close(std::string hour, const crypto::Hash32& previous, const crypto::PrivateKey& key)
    const {
    Closing out = describe(std::move(hour), previous, key.address());
    out.signature = key.sign_message(as_bytes(closing_text(out)));
    return out;
}

bool HourSum::matches(const Closing& closing) const {
    return closing.receipts == root_.size() && closing.root == root_.root() && closing.amount == amount();
}

Result<Hour> read_hour(std::string_view text, const std::function<void(const Receipt&)>& each) {
    Hour out;
    HourSum& sum = out.sum;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto end = text.find('\n');
        if (end == std::string_view::npos) {
            out.torn = text.size();
            break;
        }
        const auto line = text.substr(0, end);
        text.remove_prefix(end + 1);
        if (!is_closing(line)) {
            auto receipt = parse_receipt(line);
            if (!receipt) {
                return fail(std::move(receipt.error()).with_context(place(number)));
            }
            sum.add(*receipt, line);
            each(*receipt);
            continue;
        }
        auto closing = parse_closing(line);
        if (!closing) {
            return fail(std::move(closing.error()).with_context(place(number)));
        }
        if (!sum.matches(*closing)) {
            return wrong(place(number) + ": the receipts before it are not those that were signed");
        }
        if (!crypto::verify_message(closing->party, as_bytes(closing_text(*closing)), closing->signature)) {
            return wrong(place(number) + ": the signature is not its party's");
        }
        if (!text.empty()) {
            return wrong(place(number) + ": there is more after an hour's end");
        }
        out.digest = crypto::sha256(as_bytes(line));
        out.closing = std::move(*closing);
    }
    return out;
}

Result<void> BookCheck::add(const Hour& hour, std::string_view name) {
    if (!hour.closing || hour.torn != 0) {
        return wrong("the hour is not closed");
    }
    const Closing& closing = *hour.closing;
    if (closing.hour != name) {
        return wrong("it holds the hour " + closing.hour);
    }
    if (party_ && *party_ != closing.party) {
        return wrong(
            "it is signed by " + crypto::checksum_address(closing.party) + ", not by who signed before"
        );
    }
    if (closing.previous != previous_) {
        return wrong("it does not follow the hour before: one is missing, or was changed");
    }
    party_ = closing.party;
    previous_ = hour.digest;
    receipts_ += hour.sum.receipts();
    const auto begun = name.substr(0, kHourNameBytes);
    hours_ += begun == last_hour_ ? 0 : 1;
    last_hour_ = begun;
    amount_ += closing.amount;
    return {};
}

std::string_view to_string(Difference::Kind kind) {
    switch (kind) {
        case Difference::Kind::kOnlyInA:
            return "only_in_a";
        case Difference::Kind::kOnlyInB:
            return "only_in_b";
        case Difference::Kind::kAmount:
            return "amount";
        case Difference::Kind::kWork:
            return "work";
        case Difference::Kind::kDigest:
            return "digest";
        case Difference::Kind::kTwiceInA:
            return "twice_in_a";
        case Difference::Kind::kTwiceInB:
            return "twice_in_b";
    }
    return "unknown";
}

std::size_t Reconciliation::IdHash::operator()(const crypto::Hash32& id) const {
    std::size_t out = 0;  // ids are digests already
    std::memcpy(&out, id.data(), sizeof(out));
    return out;
}

Reconciliation::Entry Reconciliation::entry_of(const Receipt& receipt) {
    return {
        receipt.version,
        content_of(receipt),
        {receipt.parameters, receipt.input, receipt.output},
        receipt.units,
        receipt.price
    };
}

std::optional<Difference::Kind> Reconciliation::compare(const Entry& a, const Entry& b) {
    if (Money::of_units(a.units, a.price) != Money::of_units(b.units, b.price)) {
        return Difference::Kind::kAmount;
    }
    if (a.content != b.content) {
        return Difference::Kind::kWork;
    }
    std::optional<Difference::Kind> out;
    for (std::size_t i = a.version == b.version ? 0 : 1; i < a.digests.size(); ++i) {
        if (a.digests[i] == b.digests[i]) {
            continue;
        }
        if (a.digests[i] != crypto::Hash32{} && b.digests[i] != crypto::Hash32{}) {
            return Difference::Kind::kWork;
        }
        out = Difference::Kind::kDigest;
    }
    return out;
}

void Reconciliation::add_a(const Receipt& receipt) {
    total_a_ += receipt.amount();
    if (!a_.emplace(receipt.id, entry_of(receipt)).second) {
        differences_.push_back({Difference::Kind::kTwiceInA, receipt.id, receipt.amount(), {}});
    }
}

void Reconciliation::add_b(const Receipt& receipt) {
    total_b_ += receipt.amount();
    const auto found = a_.find(receipt.id);
    if (found == a_.end()) {
        const bool first = only_b_.insert(receipt.id).second;
        const auto kind = first ? Difference::Kind::kOnlyInB : Difference::Kind::kTwiceInB;
        differences_.push_back({kind, receipt.id, {}, receipt.amount()});
        return;
    }
    Entry& entry = found->second;
    const Money amount = Money::of_units(entry.units, entry.price);
    if (std::exchange(entry.seen_in_b, true)) {
        differences_.push_back({Difference::Kind::kTwiceInB, receipt.id, amount, receipt.amount()});
    } else if (const auto kind = compare(entry, entry_of(receipt))) {
        differences_.push_back({*kind, receipt.id, amount, receipt.amount()});
    }
}

std::vector<Difference> Reconciliation::differences() {
    std::vector<Difference> out = differences_;
    for (const auto& [id, entry] : a_) {
        if (!entry.seen_in_b) {
            out.push_back({Difference::Kind::kOnlyInA, id, Money::of_units(entry.units, entry.price), {}});
        }
    }
    std::ranges::sort(out, {}, [](const Difference& one) { return std::pair(one.id, one.kind); });
    return out;
}

}  // namespace framegrid::pay
