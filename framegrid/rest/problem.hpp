// Errors of the /v1 routes: RFC 9457 problem details.
#pragma once

#include <framegrid/rest/answer.hpp>

namespace framegrid::rest {

// {"type","title","status","detail","code","field","what_to_do","trace_id"}, application/problem+json. `type`
// is "urn:framegrid:problem:" and the code. `status` 0: what status_of() says. 429 and 503 carry Retry-After.
Answer problem_answer(const Error& error, const std::string& trace_id, int status = 0);

}  // namespace framegrid::rest
