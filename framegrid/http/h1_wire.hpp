// HTTP/1.1 messages on the wire: parsing with Boost.Beast's parser, and formatting.
#pragma once

#include <string>

#include <boost/beast/http/basic_parser.hpp>

#include <framegrid/http/message.hpp>
#include <framegrid/http/queues.hpp>

namespace framegrid::http {

// What the parser finds, in order of arrival.
struct H1Message {
    std::string method, target;  // requests
    int status = 0;              // responses
    int version = 11;
    Headers headers;
    bool head_complete = false;
    BodyQueue body;  // finished by the connection, not by the parser
};

template <bool kRequest>
class H1Parser final : public boost::beast::http::basic_parser<kRequest> {
  public:
    // `message` outlives the parser.
    H1Parser(H1Message& message, std::size_t header_bytes_max) : message_(message) {
        this->eager(true);
        this->header_limit(static_cast<std::uint32_t>(header_bytes_max));
        this->body_limit(boost::none);
    }

  private:
    using Code = boost::beast::error_code;
    using View = boost::beast::string_view;

    void on_request_impl(boost::beast::http::verb, View method, View target, int version, Code&) override;
    void on_response_impl(int status, View, int version, Code&) override;
    void on_field_impl(boost::beast::http::field, View name, View value, Code&) override;
    void on_header_impl(Code&) override { message_.head_complete = true; }
    void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
    std::size_t on_body_impl(View body, Code&) override { return take(body); }
    void on_chunk_header_impl(std::uint64_t, View, Code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, View body, Code&) override { return take(body); }
    void on_finish_impl(Code&) override {}

    std::size_t take(View body) {
        message_.body.push(as_bytes({body.data(), body.size()}));
        return body.size();
    }
    H1Message& message_;
};

extern template class H1Parser<true>;
extern template class H1Parser<false>;

// "HTTP/1.1 200 OK" and the fields, up to the empty line.
std::string format_response_head(int status, const Headers& headers);
std::string format_request_head(const std::string& method, const std::string& target, const Headers& headers);
std::string format_chunk_head(std::size_t size);
// The last chunk and the trailers.
std::string format_chunk_end(const Headers& trailers);

}  // namespace framegrid::http
