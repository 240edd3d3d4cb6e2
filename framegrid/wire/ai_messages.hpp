// Bodies of the batch AI routes (protocol section 3.5): requests as multipart or JSON, results as JSON with
// media URLs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/api/work.hpp>
#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::wire {

inline constexpr std::string_view kAiAuthorization = "Livepeer-AI-Worker-1.0";
// Our own built-in pipeline: the body comes back as it was sent. It has no capability number and costs
// nothing.
inline constexpr std::string_view kEcho = "echo";

struct AiRequestBody {
    std::string content_type;
    Blob body;
};
// Multipart with the parameters as fields and the input as a file part named `image` or `video` (by its
// content); JSON when there is no input. Absent texts that peers insist on are sent as
// job::ParameterSpec::stand_in, and taken out again by who reads them. kInvalidArgument: the parameters are
// not a JSON object.
Result<AiRequestBody> write_ai_request(
    const api::AiWork& work, const Blob& input, std::string_view input_content_type, std::string_view boundary
);

struct AiRequest {
    api::AiWork work;  // `parameters` without the model id
    Blob input;
    std::string input_content_type;
};
// kInvalidArgument names the field.
Result<AiRequest> read_ai_request(std::string pipeline, std::string_view content_type, const Blob& body);

// One result file by reference.
struct AiMedia {
    std::string url;  // http(s), relative, or data:
    std::optional<std::int64_t> seed;
    std::optional<bool> nsfw{};  // absent: false on the wire
};
struct AiResponse {
    std::vector<AiMedia> media;
    std::optional<api::AiRun> run;  // the member "framegrid", which other peers skip and do not send
};
std::string write_ai_response(const AiResponse& response);
Result<AiResponse> read_ai_response(std::string_view json);

bool is_data_url(std::string_view url);
std::string data_url(std::string_view content_type, BytesView bytes);
struct DataUrl {
    std::string content_type;
    Bytes bytes;
};
// Base64 data URLs only.
Result<DataUrl> parse_data_url(std::string_view url);

// The JSON of one AI task for a worker: {"input_url":..,"request":{..}} (protocol section 7), and of ours
// {"framegrid":{"progress":true,"preview_steps":5,"priority":0,"traceparent":"00-.."}}, which other
// peers skip.
Result<std::string> write_ai_job(
    const api::AiWork& work, api::Priority priority, const TraceContext& trace, std::string_view input_url
);
struct AiJob {
    api::AiWork work;
    api::Priority priority = api::Priority::kNormal;
    TraceContext trace;
    std::string input_url;
};
Result<AiJob> read_ai_job(std::string pipeline, std::string_view json);

}  // namespace framegrid::wire
