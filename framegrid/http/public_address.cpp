#include <framegrid/http/public_address.hpp>

#include <algorithm>
#include <array>
#include <span>
#include <string>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

namespace framegrid::http {

namespace {

namespace ip = boost::asio::ip;

// https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast and class E.
constexpr std::array kReservedV4{
    "0.0.0.0/8",      "10.0.0.0/8",     "100.64.0.0/10",   "127.0.0.0/8",     "169.254.0.0/16",
    "172.16.0.0/12",  "192.0.0.0/24",   "192.0.2.0/24",    "192.31.196.0/24", "192.52.193.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",   "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",
};
// https://www.iana.org/assignments/iana-ipv6-special-registry. Only 2000::/3 is global unicast at all.
constexpr std::array kReservedV6{
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
};

bool is_public_v4(const ip::address_v4& address) {
    return std::ranges::none_of(kReservedV4, [&address](const char* reserved) {
        const auto network = ip::make_network_v4(reserved);
        return (address.to_uint() & network.netmask().to_uint()) == network.network().to_uint();
    });
}

bool has_prefix(const ip::address_v6::bytes_type& bytes, const ip::network_v6& network) {
    const auto prefix = network.network().to_bytes();
    const auto bits = static_cast<std::size_t>(network.prefix_length());
    for (std::size_t i = 0; i < bits; ++i) {
        const auto mask = static_cast<unsigned>(0x80U >> (i % 8));
        if ((bytes[i / 8] & mask) != (prefix[i / 8] & mask)) {
            return false;
        }
    }
    return true;
}

bool is_public_v6(const ip::address_v6& address) {
    if (address.is_v4_mapped()) {
        return is_public_v4(ip::make_address_v4(ip::v4_mapped, address));
    }
    const auto bytes = address.to_bytes();
    if (!has_prefix(bytes, ip::make_network_v6("2000::/3"))) {
        return false;
    }
    return std::ranges::none_of(kReservedV6, [&bytes](const char* reserved) {
        return has_prefix(bytes, ip::make_network_v6(reserved));
    });
}

}  // namespace

bool is_public_address(std::string_view text) {
    boost::system::error_code error;
    const auto address = ip::make_address(std::string(text), error);
    if (error) {
        return false;
    }
    return address.is_v4() ? is_public_v4(address.to_v4()) : is_public_v6(address.to_v6());
}

}  // namespace framegrid::http
