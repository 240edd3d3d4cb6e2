#include <framegrid/wire/task_result.hpp>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include <framegrid/http/multipart.hpp>
#include <framegrid/wire/ai_messages.hpp>
#include <framegrid/wire/protocol_error.hpp>

namespace framegrid::wire {

namespace {

constexpr std::string_view kTranscoderAuthorization = "Livepeer-Transcoder-1.0";
constexpr std::string_view kTranscodeError = "livepeer/transcoding-error";
constexpr std::string_view kAiError = "livepeer/ai-worker-error";
// On an empty part: its rendition was sent early.
constexpr std::string_view kDeliveredHeader = "framegrid-delivered";
// The worker takes no more tasks.
constexpr std::string_view kDrainingHeader = "framegrid-draining";
constexpr http::MultipartLimits kPartLimits{.parts_max = 64, .header_bytes_max = 16 * 1024};

std::unexpected<UploadRefusal> refuse(int status, std::string text) {
    return std::unexpected(UploadRefusal{status, std::move(text)});
}

std::string_view authorization_of(api::WorkerKind kind) {
    return kind == api::WorkerKind::kAi ? kAiAuthorization : kTranscoderAuthorization;
}

std::string_view error_type_of(api::WorkerKind kind) {
    return kind == api::WorkerKind::kAi ? kAiError : kTranscodeError;
}

std::optional<std::int64_t> parse_number(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return number;
}

std::vector<http::Part> transcode_parts(const api::TaskReport& report) {
    std::vector<http::Part> parts;
    for (std::size_t i = 0; i < report.outcome->artifacts.size(); ++i) {
        const api::Artifact& artifact = report.outcome->artifacts[i];
        const bool delivered = std::ranges::find(report.delivered, i) != report.delivered.end();
        http::Part part;
        part.headers = {
            {"content-type", artifact.content_type},
            {"content-length", std::to_string(delivered ? 0 : artifact.bytes.size())},
            {"pixels", std::to_string(artifact.pixels.value)},
        };
        if (delivered) {
            part.headers.add(std::string(kDeliveredHeader), "1");
        } else {
            part.body = artifact.bytes;
        }
        parts.push_back(std::move(part));
    }
    return parts;
}

// File names stand unquoted in a header and name the parts in the JSON, so they are made plain and unique.
std::string file_name(const std::string& name, std::size_t index, std::set<std::string>& taken) {
    std::string plain;
    for (const char c : name) {
        const bool keep = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                          c == '.' || c == '_' || c == '-';
        plain.push_back(keep ? c : '_');
    }
    if (plain.empty() || !taken.insert(plain).second) {
        plain = std::to_string(index) + "_" + plain;
        taken.insert(plain);
    }
    return plain;
}

std::vector<http::Part> ai_parts(const api::WorkOutput& output) {
    std::vector<http::Part> parts;
    std::vector<AiMedia> media;
    std::set<std::string> taken;
    for (std::size_t i = 0; i < output.artifacts.size(); ++i) {
        const auto& artifact = output.artifacts[i];
        const std::string name = file_name(artifact.name, i, taken);
        http::Part part;
        part.headers = {
            {"content-disposition", "attachment; filename=" + name},
            {"content-length", std::to_string(artifact.bytes.size())},
            {"content-type", artifact.content_type},
        };
        part.body = artifact.bytes;
        parts.push_back(std::move(part));
        media.push_back({name, artifact.seed, artifact.nsfw});
    }
    http::Part description;
    description.headers = {{"content-type", "application/json"}};
    description.body = Blob(to_bytes(write_ai_response({std::move(media), output.ai})));
    parts.push_back(std::move(description));
    return parts;
}

bool is_rendition_type(std::string_view type) {
    return type == "video/mp2t" || type == "video/mp4";
}

Result<api::WorkOutput> read_transcode_parts(
    const std::vector<http::Part>& parts, std::vector<std::size_t>& delivered
) {
    api::WorkOutput output;
    for (const auto& part : parts) {
        const auto type = part.headers.get("content-type").value_or("");
        if (type == "application/octet-stream") {
            continue;  // perceptual hash of the rendition before it
        }
        if (!is_rendition_type(type)) {
            return fail(Errc::kInvalidArgument, "a rendition has an unknown content type");
        }
        const auto pixels = parse_number(part.headers.get("pixels").value_or(""));
        if (!pixels || *pixels < 0) {
            return fail(Errc::kInvalidArgument, "a rendition has no pixel count");
        }
        if (part.headers.get(kDeliveredHeader)) {
            delivered.push_back(output.artifacts.size());
        }
        api::Artifact artifact;
        artifact.content_type = type;
        artifact.bytes = part.body;
        artifact.pixels.value = *pixels;
        output.artifacts.push_back(std::move(artifact));
    }
    return output;
}

Result<api::WorkOutput> read_ai_parts(const std::vector<http::Part>& parts) {
    std::map<std::string, const http::Part*, std::less<>> files;
    const http::Part* description = nullptr;
    for (const auto& part : parts) {
        if (!part.filename.empty()) {
            files.emplace(part.filename, &part);
        } else if (part.headers.get("content-type").value_or("").starts_with("application/json")) {
            description = &part;
        }
    }
    if (description == nullptr) {
        return fail(Errc::kInvalidArgument, "the result has no JSON part");
    }
    FG_TRY(response, read_ai_response(description->body.text()));
    api::WorkOutput output;
    output.ai = std::move(response.run);
    for (const auto& entry : response.media) {
        const auto file = files.find(entry.url);
        if (file == files.end()) {
            return fail(Errc::kInvalidArgument, "the result names a file that is not there");
        }
        api::Artifact artifact;
        artifact.name = entry.url;
        artifact.content_type =
            file->second->headers.get("content-type").value_or("application/octet-stream");
        artifact.bytes = file->second->body;
        artifact.seed = entry.seed;
        artifact.nsfw = entry.nsfw;
        output.artifacts.push_back(std::move(artifact));
    }
    return output;
}

}  // namespace

ResultUpload write_result(const api::TaskReport& report, std::string_view boundary) {
    const bool ai = report.kind == api::WorkerKind::kAi;
    ResultUpload upload;
    upload.path = ai ? "/aiResults" : "/transcodeResults";
    upload.headers = {
        {"authorization", std::string(authorization_of(report.kind))},
        {"credentials", report.secret},
        {"taskid", std::to_string(report.id.value)},
    };
    if (report.draining) {
        upload.headers.add(std::string(kDrainingHeader), "1");
    }
    if (ai) {
        upload.headers.add("pipeline", report.pipeline);
    } else {
        const auto decoded = report.outcome ? report.outcome->decoded : Pixels{};
        upload.headers.add("pixels", std::to_string(decoded.value));
    }
    if (!report.outcome) {
        const Error& error = report.outcome.error();
        upload.headers.add("content-type", std::string(error_type_of(report.kind)));
        upload.headers.add(std::string(kErrorCodeHeader), std::string(to_string(error.code)));
        upload.headers.add(std::string(kErrorDetailHeader), clean_text(error.message));
        upload.pieces = {Blob(to_bytes(ai ? ai_text(report.pipeline, error) : transcode_text(error)))};
        return upload;
    }
    upload.headers.add("content-type", "multipart/mixed; boundary=" + std::string(boundary));
    const auto parts = ai ? ai_parts(*report.outcome) : transcode_parts(report);
    upload.pieces = http::format_multipart(parts, boundary);
    return upload;
}

std::expected<api::TaskReport, UploadRefusal> read_result_head(
    api::WorkerKind kind, const http::Headers& headers
) {
    const auto secret = headers.get("credentials");
    if (headers.get("authorization") != authorization_of(kind) || !secret) {
        return refuse(401, "Unauthorized");
    }
    const auto type = headers.get("content-type").value_or("");
    if (type != error_type_of(kind) && !type.starts_with("multipart/mixed")) {
        return refuse(415, "Unsupported Media Type");
    }
    const auto id = parse_number(headers.get("taskid").value_or(""));
    if (!id) {
        return refuse(400, "Invalid Task ID");
    }
    // Peers send no pixel count with an error.
    const auto pixels = headers.get("pixels");
    const bool counted = kind == api::WorkerKind::kTranscoder && type != kTranscodeError;
    if (counted && (!pixels || !parse_number(*pixels))) {
        return refuse(400, "Invalid Pixels");
    }
    return api::TaskReport{
        .kind = kind,
        .id = TaskId{*id},
        .secret = std::string(*secret),
        .pipeline = std::string(headers.get("pipeline").value_or("")),
        .outcome = api::WorkOutput{},
        .delivered = {},
        .draining = headers.get(kDrainingHeader) == "1",
    };
}

std::expected<void, UploadRefusal> read_result_body(
    const http::Headers& headers, const Blob& body, api::TaskReport& report
) {
    const auto type = headers.get("content-type").value_or("");
    if (type == error_type_of(report.kind)) {
        auto error = error_from_code(headers.get(kErrorCodeHeader).value_or(""), body.text());
        report.outcome = std::unexpected(with_detail(
            error ? *std::move(error) : error_from_text(body.text()),
            headers.get(kErrorDetailHeader).value_or("")
        ));
        return {};
    }
    const auto boundary = http::boundary_of(type);
    if (!boundary) {
        return refuse(415, "Unsupported Media Type");
    }
    const auto parts = http::parse_multipart(body, *boundary, kPartLimits);
    if (!parts) {
        return refuse(500, parts.error().message);
    }
    auto output = report.kind == api::WorkerKind::kAi ? read_ai_parts(*parts)
                                                      : read_transcode_parts(*parts, report.delivered);
    if (!output) {
        return refuse(500, output.error().message);
    }
    output->decoded.value = parse_number(headers.get("pixels").value_or("")).value_or(0);
    report.outcome = *std::move(output);
    return {};
}

ResultUpload write_early_report(const api::EarlyReport& report) {
    ResultUpload upload;
    upload.path = kEarlyPath;
    upload.headers = {
        {"authorization", std::string(kTranscoderAuthorization)},
        {"credentials", report.secret},
        {"taskid", std::to_string(report.id.value)},
        {"index", std::to_string(report.index)},
        {"content-type", report.artifact.content_type},
        {"pixels", std::to_string(report.artifact.pixels.value)},
    };
    upload.pieces = {report.artifact.bytes};
    return upload;
}

std::expected<api::EarlyReport, UploadRefusal> read_early_head(const http::Headers& headers) {
    const auto secret = headers.get("credentials");
    if (headers.get("authorization") != kTranscoderAuthorization || !secret) {
        return refuse(401, "Unauthorized");
    }
    const auto type = headers.get("content-type").value_or("");
    if (!is_rendition_type(type)) {
        return refuse(415, "Unsupported Media Type");
    }
    const auto id = parse_number(headers.get("taskid").value_or(""));
    const auto index = parse_number(headers.get("index").value_or(""));
    const auto pixels = parse_number(headers.get("pixels").value_or(""));
    if (!id || !index || *index < 0 || !pixels || *pixels < 0) {
        return refuse(400, "Invalid Task ID, Index or Pixels");
    }
    api::EarlyReport report{TaskId{*id}, std::string(*secret), static_cast<std::size_t>(*index), {}};
    report.artifact.content_type = type;
    report.artifact.pixels.value = *pixels;
    return report;
}

ResultUpload write_progress_report(const api::ProgressReport& report) {
    ResultUpload upload;
    upload.path = kProgressPath;
    upload.headers = {
        {"authorization", std::string(kAiAuthorization)}, {"credentials", report.secret},
        {"taskid", std::to_string(report.id.value)},      {"step", std::to_string(report.progress.done)},
        {"steps", std::to_string(report.progress.total)}, {"content-type", "image/jpeg"},
    };
    upload.pieces = {report.progress.preview};
    return upload;
}

std::expected<api::ProgressReport, UploadRefusal> read_progress_head(const http::Headers& headers) {
    const auto secret = headers.get("credentials");
    if (headers.get("authorization") != kAiAuthorization || !secret) {
        return refuse(401, "Unauthorized");
    }
    const auto id = parse_number(headers.get("taskid").value_or(""));
    const auto step = parse_number(headers.get("step").value_or(""));
    const auto steps = parse_number(headers.get("steps").value_or(""));
    const auto is_step = [](const auto& number) {
        return number && *number >= 0 && *number <= api::kProgressStepsMax;
    };
    api::ProgressReport report{TaskId{id.value_or(0)}, std::string(*secret), {}};
    if (is_step(step) && is_step(steps)) {
        report.progress.done = static_cast<int>(*step);
        report.progress.total = static_cast<int>(*steps);
    }
    if (!id || !api::is_consistent(report.progress)) {
        return refuse(400, "Invalid Task ID, Step or Steps");
    }
    return report;
}

}  // namespace framegrid::wire
