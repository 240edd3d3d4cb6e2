// What pages of other origins may do (the Fetch standard's CORS protocol).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <framegrid/http/message.hpp>

namespace framegrid::rest {

class Cors {
  public:
    // "https://app.example" or "*". kInvalidArgument (field "cors-origin") on what no browser would send.
    static Result<void> check_origin(std::string_view origin);
    explicit Cors(std::vector<std::string> origins) : origins_(std::move(origins)) {}

    // Adds what the browser wants to know. `methods`: of the requested path, for a preflight. Keys travel in
    // headers, so credentials (cookies) are never allowed.
    void add_headers(const http::RequestHead& head, std::string_view methods, http::Headers& answer) const;

  private:
    std::vector<std::string> origins_;
};

}  // namespace framegrid::rest
