// What callers of a remote signer send, and the states that they bring back.
#include <framegrid/signer/hour_to_sign.hpp>
#include <framegrid/signer/live_state.hpp>
#include <framegrid/wire/signer_messages.hpp>

using namespace framegrid;

namespace {

// Receipts in two pieces make the same as in one.
void close_hour(std::string_view text) {
    static const auto key = crypto::PrivateKey::from_bytes(Bytes(32, 1)).value();
    auto whole = signer::HourToSign::begin(key, "2026-11-27T06", {}).value();
    auto cut = whole;
    const bool good = whole.add(text).has_value();
    const auto middle = text.size() / 2;
    const bool good_cut = cut.add(text.substr(0, middle)) && cut.add(text.substr(middle));
    FG_ASSERT(good == good_cut);
    if (good) {
        const auto one = whole.close();
        const auto other = cut.close();
        FG_ASSERT(one.has_value() == other.has_value());
        FG_ASSERT(!one || one->signature == other->signature);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto live = wire::parse_live_request(text)) {
        const auto& request = live->request;
        FG_ASSERT(request.price.units > 0 && request.price.wei >= 0 && request.units >= 0);
    }
    if (const auto tickets = wire::parse_tickets_request(text)) {
        const auto again = wire::parse_tickets_request(wire::write_tickets_request(*tickets));
        FG_ASSERT(again && again->batch.params == tickets->batch.params && again->price == tickets->price);
    }
    if (const auto segment = wire::parse_segment_request(text)) {
        const auto again = wire::parse_segment_request(wire::write_segment_request(*segment));
        FG_ASSERT(again && again->manifest_id == segment->manifest_id && again->seq == segment->seq);
        FG_ASSERT(again->hash == segment->hash && again->profile_names == segment->profile_names);
    }
    if (const auto query = wire::parse_receipts_query(text)) {
        const auto again = wire::parse_receipts_query(wire::write_receipts_query(*query));
        FG_ASSERT(again && again->hour == query->hour && again->previous == query->previous);
    }
    close_hour(text);
    if (const auto state = signer::read_live_state(text)) {
        FG_ASSERT(signer::read_live_state(signer::write_live_state(*state)));
    }
    return 0;
}
