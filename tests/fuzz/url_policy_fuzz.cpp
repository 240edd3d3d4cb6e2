// URLs that strangers make the gateway call, and redirects from there: what is let through is a public
// address, and a URL stays what it was when it is written again.
#include <framegrid/http/public_address.hpp>
#include <framegrid/rest/outgoing.hpp>

#include <boost/asio/ip/address.hpp>

using namespace framegrid;

namespace {

void check_url(const http::Url& url) {
    const auto again = http::parse_url(url.origin() + url.target);
    FG_ASSERT(again && again->host == url.host && again->port == url.port);
    FG_ASSERT(again->target == url.target && again->scheme == url.scheme);
    FG_ASSERT(url.scheme == "http" || url.scheme == "https");
    FG_ASSERT(url.target.starts_with('/'));
}

void check_address(const std::string& text) {
    if (!http::is_public_address(text)) {
        return;
    }
    boost::system::error_code bad;
    const auto address = boost::asio::ip::make_address(text, bad);
    FG_ASSERT(!bad && !address.is_loopback() && !address.is_multicast() && !address.is_unspecified());
    if (address.is_v6()) {
        const auto six = address.to_v6();
        FG_ASSERT(!six.is_link_local() && !six.is_site_local() && !six.is_v4_mapped());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    check_address(text);
    if (const auto url = http::parse_url(text)) {
        check_url(*url);
        check_address(url->host);
    }
    const http::Url from{"https", "media.example", 443, "/a"};
    if (const auto target = rest::redirect_target(from, text)) {
        FG_ASSERT(target->host == from.host || text.starts_with("http"));
        if (target->host != from.host) {
            check_url(*target);
        }
    }
    return 0;
}
