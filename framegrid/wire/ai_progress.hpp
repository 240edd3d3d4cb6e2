// How far an AI job is, between a gateway and an orchestrator of ours: the gateway asks with a header, and
// the answer is then an event stream that ends with the job's result or error. Others answer as ever.
//
//     framegrid-progress: 5             previews every 5 steps; 0: none
//     event: progress   {"step":3,"steps":20}, and sometimes {"preview":"data:image/jpeg;base64,..."}
//     event: result     the JSON of the usual answer
//     event: error      {"status":503,"code":"capacity","message":"..."}
#pragma once

#include <string>
#include <string_view>

#include <framegrid/api/work.hpp>
#include <framegrid/http/message.hpp>

namespace framegrid::wire {

inline constexpr std::string_view kProgressHeader = "framegrid-progress";
inline constexpr std::string_view kPriorityHeader = "framegrid-priority";  // -1, 0 or 1
inline constexpr std::string_view kProgressEvent = "progress";
inline constexpr std::string_view kResultEvent = "result";
inline constexpr std::string_view kErrorEvent = "error";

// Of kProgressHeader; what is no number is 0.
int preview_steps(std::string_view header);
// Of kPriorityHeader; what is no level is the normal one.
api::Priority priority_of(const http::Headers& headers);

std::string write_progress(const api::Progress& progress);
Result<api::Progress> read_progress(std::string_view json);

std::string write_error_event(int status, Errc code, std::string_view message);
// The error that it tells of, or what is wrong with it.
Error read_error_event(std::string_view json);

}  // namespace framegrid::wire
