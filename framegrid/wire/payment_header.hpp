// The Livepeer-Payment header and the ticket params that it echoes (protocol sections 2.1, 5.5 and 5.6).
#pragma once

#include <string>
#include <string_view>

#include <framegrid/wire/livepeer.pb.h>

#include <framegrid/base/result.hpp>
#include <framegrid/pay/ticket.hpp>

namespace framegrid::wire {

// Params as an orchestrator's info carries them.
net::TicketParams to_proto(const pay::TicketParams& params);
// kInvalidArgument names the field: an address that has not 20 bytes, a number over 32, a hash that has
// not 32.
Result<pay::TicketParams> from_proto(const net::TicketParams& message);

// A payment of tickets; its params' round travels beside them, and the expected price always.
std::string encode_payment(const pay::Payment& payment);
// What is absent stays empty: an empty header is an empty payment. kInvalidArgument and kTooLarge name the
// field; tickets without params, without a sender, a price or a round are refused here.
Result<pay::Payment> decode_payment(std::string_view text);

}  // namespace framegrid::wire
