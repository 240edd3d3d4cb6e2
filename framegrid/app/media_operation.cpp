#include <framegrid/app/media_operation.hpp>

#include <algorithm>

#include <boost/json.hpp>

#include <framegrid/base/utf8.hpp>
#include <framegrid/media_ffmpeg/likeness.hpp>
#include <framegrid/media_ffmpeg/operations.hpp>
#include <framegrid/workflow/action.hpp>

namespace framegrid::app {

namespace {

namespace json = boost::json;
using Files = std::vector<api::Artifact>;

// The files of a slot in their order.
Result<std::vector<Blob>> files_of(const api::MediaOperation& operation, std::string_view slot) {
    std::vector<Blob> out;
    for (const auto& file : operation.files) {
        if (file.slot == slot) {
            out.push_back(file.bytes);
        }
    }
    if (out.empty()) {
        return fail(
            Errc::kInvalidArgument, operation.name + " needs " + std::string(slot),
            "inputs." + std::string(slot)
        );
    }
    return out;
}

Result<Blob> file_of(const api::MediaOperation& operation, std::string_view slot) {
    FG_TRY(files, files_of(operation, slot));
    return files.front();
}

api::ImageFormat image_format(const job::Parameters& parameters) {
    const auto name = parameters.text("output_format");
    return name == "jpeg"   ? api::ImageFormat::kJpeg
           : name == "webp" ? api::ImageFormat::kWebp
                            : api::ImageFormat::kPng;
}

std::int64_t integer(const job::Parameters& parameters, std::string_view name, std::int64_t otherwise) {
    return parameters.integer(name).value_or(otherwise);
}

Result<std::vector<std::int64_t>> read_times(const Blob& file) {
    boost::system::error_code error;
    const auto root = json::parse(file.text(), error);
    const auto* list = error || !root.is_object() ? nullptr : root.get_object().if_contains("times_ms");
    std::vector<std::int64_t> out;
    if (list != nullptr && list->is_array()) {
        for (const auto& time : list->get_array()) {
            if (const auto at = time.try_to_number<std::int64_t>(); at && *at >= 0) {
                out.push_back(*at);
            }
        }
    }
    if (out.empty()) {
        return fail(Errc::kUnprocessable, "not a list of times: {\"times_ms\": [0, 1500]}", "inputs.times");
    }
    std::ranges::sort(out);
    return out;
}

Result<Files> find_cuts(
    const api::MediaOperation& operation, const job::Parameters& parameters, const api::StopFlag& stop
) {
    FG_TRY(video, file_of(operation, "video"));
    const auto most = integer(parameters, "max", workflow::kCutsDefault);
    FG_TRY(
        times, media_ffmpeg::scene_cuts(
                   video, parameters.number("threshold").value_or(workflow::kThresholdDefault),
                   static_cast<std::size_t>(most), stop
               )
    );
    const json::object out{{"times_ms", json::value_from(times)}};
    return Files{{"times.json", "application/json", Blob::copy_of(json::serialize(out)), {}, {}}};
}

Result<Files> take_frames(
    const api::MediaOperation& operation, const job::Parameters& parameters, const api::StopFlag& stop
) {
    FG_TRY(video, file_of(operation, "video"));
    FG_TRY(list, file_of(operation, "times"));
    FG_TRY(times, read_times(list));
    const auto most = static_cast<std::size_t>(integer(parameters, "max", workflow::kCutsDefault));
    times.resize(std::min(times.size(), most));
    return media_ffmpeg::frames_at(video, times, image_format(parameters), stop);
}

Result<Files> compare(const api::MediaOperation& operation, const api::StopFlag& stop) {
    FG_TRY(a, file_of(operation, "a"));
    FG_TRY(b, file_of(operation, "b"));
    FG_TRY(likeness, media_ffmpeg::compare_files(a, b, stop));
    const json::object out{
        {"difference", valid_utf8(likeness.difference)},
        {"psnr_db", likeness.quality.psnr_db},
        {"ssim", likeness.quality.ssim},
        {"pictures", likeness.quality.pictures}
    };
    return Files{{"likeness.json", "application/json", Blob::copy_of(json::serialize(out)), {}, {}}};
}

Result<Files> one(Result<api::Artifact> file) {
    if (!file) {
        return fail(std::move(file.error()));
    }
    Files out;
    out.push_back(std::move(*file));
    return out;
}

}  // namespace

Result<Files> run_operation(const api::MediaOperation& operation, const api::StopFlag& stop) {
    if (operation.name == api::kCompareOperation) {
        return compare(operation, stop);
    }
    const auto* action = workflow::find_action(operation.name);
    if (action == nullptr || !action->local) {
        return fail(Errc::kNotFound, "no such operation", "operation");
    }
    FG_TRY(parameters, workflow::read_parameters(*action, operation.parameters));
    const auto segment_ms = integer(parameters, "segment_ms", workflow::kSegmentMsDefault);
    if (operation.name == "split") {
        FG_TRY(video, file_of(operation, "video"));
        return media_ffmpeg::split(video, segment_ms, operation.overlap, stop);
    }
    if (operation.name == "join") {
        FG_TRY(segments, files_of(operation, "segments"));
        const bool webm = parameters.text("output_format") == "webm";
        return one(media_ffmpeg::join(segments, webm ? api::VideoFormat::kWebm : api::VideoFormat::kMp4, stop)
        );
    }
    if (operation.name == "scene-cuts") {
        return find_cuts(operation, parameters, stop);
    }
    if (operation.name == "frames") {
        return take_frames(operation, parameters, stop);
    }
    if (operation.name == "contact-sheet") {
        FG_TRY(pictures, files_of(operation, "images"));
        return one(media_ffmpeg::picture_sheet(
            pictures, static_cast<int>(integer(parameters, "columns", workflow::kColumnsDefault)),
            static_cast<int>(integer(parameters, "tile_width", workflow::kTileWidthDefault)),
            image_format(parameters), stop
        ));
    }
    if (operation.name == "hls") {
        FG_TRY(renditions, files_of(operation, "renditions"));
        return media_ffmpeg::hls(renditions, segment_ms, stop);
    }
    FG_ASSERT(operation.name == "loop");
    FG_TRY(video, file_of(operation, "video"));
    return one(media_ffmpeg::loop(video, parameters.text("mode") == "there-and-back", stop));
}

}  // namespace framegrid::app
