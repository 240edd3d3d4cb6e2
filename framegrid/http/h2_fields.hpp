// Between our header fields and nghttp2's.
#pragma once

#include <list>
#include <string>
#include <string_view>
#include <vector>

#include <nghttp2/nghttp2.h>

#include <framegrid/http/h2_session.hpp>
#include <framegrid/http/message.hpp>

namespace framegrid::http {

// Fields to send. Refers to what was added, which must outlive it.
class FieldList {
  public:
    void add(std::string_view name, const std::string& value);
    void add(std::string_view name, std::string&& value);
    // Lower-cases names, leaves out what only HTTP/1.1 has.
    void add(const Headers& headers);
    const nghttp2_nv* data() const { return fields_.data(); }
    std::size_t size() const { return fields_.size(); }

  private:
    void put(std::string_view name, std::string_view value);
    std::vector<nghttp2_nv> fields_;
    std::list<std::string> kept_;  // mostly empty, and free then
};

// Puts a received field where it belongs: pseudo-headers, header or trailers.
void store_field(H2Stream& stream, std::string_view name, std::string_view value);

}  // namespace framegrid::http
