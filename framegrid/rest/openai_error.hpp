// Errors in the form that OpenAI's clients read.
#pragma once

#include <framegrid/rest/answer.hpp>

namespace framegrid::rest {

// Replaces the body of an answer that tells an error: {"error":{"message","type","param","code"}}, `param`
// null when no field is at fault. Status and headers stay.
void write_openai_error(Answer& answer);

// The same as an object's text, for event streams.
std::string openai_error_json(const Error& error, int status);

}  // namespace framegrid::rest
