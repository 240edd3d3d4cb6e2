// What callers of a remote signer send, and the states that they bring back.
#include <framegrid/signer/live_state.hpp>
#include <framegrid/wire/signer_messages.hpp>

using namespace framegrid;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto live = wire::parse_live_request(text)) {
        FG_ASSERT(live->price.units > 0 && live->price.wei >= 0 && live->units >= 0);
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
    if (const auto state = signer::read_live_state(text)) {
        FG_ASSERT(signer::read_live_state(signer::write_live_state(*state)));
    }
    return 0;
}
