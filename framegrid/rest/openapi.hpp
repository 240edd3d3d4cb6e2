// The description of the /v1 routes: openapi.json, compiled in.
#pragma once

#include <string_view>

namespace framegrid::rest {

// OpenAPI 3.1, JSON. Lives as long as the program.
std::string_view openapi_document();

}  // namespace framegrid::rest
