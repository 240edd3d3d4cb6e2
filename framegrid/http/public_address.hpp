// Which addresses lie in the public internet: what strangers may make a server connect to.
#pragma once

#include <string_view>

namespace framegrid::http {

// False for everything that the IANA registries of special-purpose addresses reserve (RFC 6890): loopback,
// private, link-local, multicast, documentation and so on, also when an IPv6 address carries it (mapped,
// 6to4, NAT64, Teredo). False for what is no address.
bool is_public_address(std::string_view text);

}  // namespace framegrid::http
