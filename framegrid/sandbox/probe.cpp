#include <framegrid/sandbox/probe.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace framegrid::sandbox {

namespace {

constexpr std::size_t kNameBytesMax = 64;  // FFmpeg's longest names have about 20
constexpr std::size_t kLineBytesMax = 256;
constexpr std::size_t kFields = 7;
constexpr std::string_view kNone = "-";

bool is_name(std::string_view text) {
    return text != kNone && text.size() <= kNameBytesMax && std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-' || c == '.';
           });
}

bool is_sound(const api::ProbeResult& found) {
    return is_name(found.video_codec) && is_name(found.audio_codec) && is_name(found.pixel_format) &&
           found.size.width >= 0 && found.size.height >= 0 && found.duration_ms >= 0 && found.frames >= 0;
}

std::string_view or_none(std::string_view name) {
    return name.empty() ? kNone : name;
}

// Exactly kFields fields with one space between them.
std::optional<std::array<std::string_view, kFields>> split(std::string_view line) {
    std::array<std::string_view, kFields> fields;
    for (std::size_t i = 0; i + 1 < kFields; ++i) {
        const auto end = line.find(' ');
        if (end == std::string_view::npos) {
            return std::nullopt;
        }
        fields[i] = line.substr(0, end);
        line.remove_prefix(end + 1);
    }
    fields.back() = line;
    if (std::ranges::any_of(fields, &std::string_view::empty)) {
        return std::nullopt;
    }
    return fields;
}

std::string name_in(std::string_view field) {
    return field == kNone ? std::string() : std::string(field);
}

template <class Number>
std::optional<Number> number_in(std::string_view field) {
    Number number = 0;
    const auto* end = field.data() + field.size();
    const auto read = std::from_chars(field.data(), end, number);
    const bool is_whole = read.ec == std::errc() && read.ptr == end;
    return is_whole ? std::optional(number) : std::nullopt;
}

}  // namespace

bool is_probe(const api::Work& work) {
    const auto* ai = std::get_if<api::AiWork>(&work.kind);
    return ai != nullptr && ai->pipeline == kProbePipeline;
}

Result<api::WorkOutput> probe_output(const api::ProbeResult& found) {
    if (!is_sound(found)) {
        return fail(Errc::kUnprocessable, "the file's streams are described by impossible values");
    }
    const std::string line = fmt::format(
        "{} {} {} {} {} {} {}", or_none(found.video_codec), or_none(found.audio_codec),
        or_none(found.pixel_format), found.size.width, found.size.height, found.duration_ms, found.frames
    );
    api::WorkOutput output;
    output.artifacts.push_back(
        {std::string(kProbePipeline), "text/plain", Blob::copy_of(line), Pixels{}, std::nullopt}
    );
    return output;
}

Result<api::ProbeResult> parse_probe_output(const api::WorkOutput& output) {
    if (output.artifacts.size() != 1 || output.artifacts.front().bytes.size() > kLineBytesMax) {
        return fail(Errc::kProtocol, "the answer to a probe is not one line");
    }
    const auto fields = split(output.artifacts.front().bytes.text());
    if (!fields) {
        return fail(Errc::kProtocol, "the answer to a probe has a wrong number of fields");
    }
    const auto width = number_in<int>((*fields)[3]);
    const auto height = number_in<int>((*fields)[4]);
    const auto duration_ms = number_in<std::int64_t>((*fields)[5]);
    const auto frames = number_in<std::int64_t>((*fields)[6]);
    if (!width || !height || !duration_ms || !frames) {
        return fail(Errc::kProtocol, "the answer to a probe has no size");
    }
    api::ProbeResult found{name_in((*fields)[0]), name_in((*fields)[1]), name_in((*fields)[2]),
                           {*width, *height},     *duration_ms,          *frames};
    if (!is_sound(found)) {
        return fail(Errc::kProtocol, "the answer to a probe has impossible values");
    }
    return found;
}

Task<Result<api::ProbeResult>> ExecutorProbe::probe(Blob file, Deadline deadline) {
    api::Work work;
    work.kind = api::AiWork{std::string(kProbePipeline), {}, {}};
    work.input = std::move(file);
    auto output = co_await executors_.run(std::move(work), deadline, {});
    if (!output) {
        co_return fail(std::move(output.error()));
    }
    auto found = parse_probe_output(*output);
    if (!found) {
        // Not the peer whose file it is, but this one process has failed.
        auto error = make_error(Errc::kUnavailable, std::move(found.error().message));
        co_return fail(std::move(error).with_disposition(Disposition::kRetry));
    }
    co_return found;
}

}  // namespace framegrid::sandbox
