// What a request is answered with, and the one JSON form of every error.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/http/message.hpp>

namespace framegrid::rest {

// The body's pieces are shared, never copied. An endpoint that has sent the beginning already (Call::start)
// returns the rest of the body; an error then cuts the answer short.
struct Answer {
    int status = 200;
    http::Headers headers;
    std::vector<Blob> body;
    http::Headers trailers = {};      // sent with an answer that was begun early only
    std::optional<Error> error = {};  // what the body tells, for routes that write errors in another form
};

Answer text_answer(std::string content_type, std::string_view text);
Answer json_answer(std::string_view json);

// Entries of one page of a list.
inline constexpr std::size_t kPageMax = 200;

// {"object":"list","data":[...]}, each item a JSON text. `next_before`, if not empty, asks for the next page.
Answer list_answer(const std::vector<std::string>& items, std::string_view next_before);

// The status that tells a client of this API about an error. Differs from http::status_of() where the error
// is about the network behind the gateway: no orchestrator (503), the gateway's own disk (500).
int status_of(Errc code);
int status_of(const Error& error);

// {"error":{"code","message","field"},"detail":{"msg"}}; for 422 `detail` is
// [{"loc":["body",field],"msg","type"}]. No value is ever null; an empty field is left out. Valid UTF-8
// whatever the message holds. Go clients of the network read `error`, the SDK reads `detail` (AI API
// section 1.3).
std::string error_json(const Error& error, int status);

// `status` 0: what status_of() says. 503 carries Retry-After.
Answer error_answer(const Error& error, int status = 0);

}  // namespace framegrid::rest
