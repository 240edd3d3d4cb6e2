#include <framegrid/gateway/video_transcode.hpp>

#include <algorithm>
#include <charconv>
#include <limits>

#include <framegrid/runtime/task_group.hpp>

namespace framegrid::gateway {

namespace {

constexpr std::string_view kSplitParameters = R"({"segment_ms":2000})";
constexpr std::size_t kManifestBytes = 8;

// Of a piece's name, see api::MediaOperation::overlap.
std::optional<api::Clip> clip_of(std::string_view name) {
    const std::string_view digits = name.substr(name.rfind('.') + 1);
    api::Clip clip;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), clip.to_ms);
    const bool good = error == std::errc() && end == digits.data() + digits.size() && clip.to_ms > 0;
    return good ? std::optional(clip) : std::nullopt;
}

}  // namespace

Task<Result<TranscodedVideo>> VideoTranscode::run(
    StepOwner owner, Blob video, std::string profiles, Price price_max, Deadline deadline
) {
    FG_CO_TRY(ladder, workflow::read_profiles(profiles));
    profiles_ = std::move(ladder);
    deadline_ = deadline;
    price_max_ = price_max;
    owner_ = std::move(owner);
    manifest_id_ = ports_.random.hex(kManifestBytes);
    api::MediaOperation split{"split", std::string(kSplitParameters), {}};
    split.files.push_back({"video", std::move(video)});
    split.overlap = true;
    auto cut = co_await ports_.operations.run(std::move(split), deadline);
    if (!cut) {
        co_return fail(std::move(cut.error()));
    }
    for (auto& segment : *cut) {
        segments_.push_back({std::move(segment.bytes), clip_of(segment.name)});
    }
    renditions_.assign(profiles_.size(), std::vector<Blob>(segments_.size()));
    const auto all = co_await with_cleanup<bool>(transcode_all(), ports_.gateway.end_stream(manifest_id_));
    if (!all) {
        co_return fail(all.error());
    }
    co_return co_await join();
}

Task<Result<bool>> VideoTranscode::transcode_all() {
    std::vector<Task<Result<bool>>> workers;
    for (std::size_t i = 0; i < std::min(settings_.segments_max, segments_.size()); ++i) {
        workers.push_back(work());
    }
    const auto results = co_await all_of(std::move(workers));
    for (const auto& result : results) {
        if (!result) {
            co_return fail(result.error());
        }
    }
    co_return true;
}

Task<Result<bool>> VideoTranscode::work() {
    while (next_ < segments_.size()) {
        const auto done = co_await one(next_++);
        if (!done) {
            next_ = segments_.size();  // what is under way ends, nothing more begins
            co_return fail(done.error());
        }
    }
    co_return true;
}

Task<Result<bool>> VideoTranscode::one(std::size_t index) {
    auto source = co_await ports_.probe.probe(segments_[index].bytes, deadline_);
    if (!source) {
        co_return fail(std::move(source.error()));
    }
    const auto codec = job::source_codec(source->video_codec);
    if (!codec) {
        co_return fail(Errc::kUnsupported, "the network takes no " + source->video_codec + " video", "video");
    }
    api::TranscodeWork work;
    work.profiles = profiles_;
    const auto& clip = segments_[index].clip;
    work.duration_ms = std::max<std::int64_t>(clip ? clip->to_ms : source->duration_ms, 1);
    work.clip = clip;
    JobRequest request;
    request.manifest_id = manifest_id_;
    request.seq = static_cast<std::int64_t>(index);
    request.needs = job::transcode_needs(profiles_, *codec, clip.has_value(), source->pixel_format);
    request.price_max = price_max_;
    request.owner = owner_.owner;
    request.constraints = owner_.constraints;
    request.work.kind = std::move(work);
    request.work.input = std::move(segments_[index].bytes);
    request.work.input_content_type = "video/mp2t";
    request.work.trace = owner_.trace;
    request.attempt = events_.node;
    request.refused = events_.refused;
    request.paying = events_.paying;
    auto done = co_await run_checked(
        ports_, settings_, owner_, events_, std::move(request), std::nullopt, out_.checked, deadline_
    );
    if (!done) {
        co_return fail(std::move(done.error()));
    }
    for (std::size_t i = 0; i < profiles_.size(); ++i) {
        renditions_[i][index] = std::move(done->result.output.artifacts[i].bytes);
    }
    out_.wei += std::min(done->wei, std::numeric_limits<std::int64_t>::max() - out_.wei);
    out_.orchestrator = std::move(done->result.orchestrator);
    ++done_;
    if (events_.progress) {
        events_.progress({static_cast<int>(done_), static_cast<int>(segments_.size()), {}});
    }
    co_return true;
}

Task<Result<TranscodedVideo>> VideoTranscode::join() {
    for (std::size_t i = 0; i < profiles_.size(); ++i) {
        api::MediaOperation operation{"join", "{}", {}};
        for (auto& segment : renditions_[i]) {
            operation.files.push_back({"segments", std::move(segment)});
        }
        auto joined = co_await ports_.operations.run(std::move(operation), deadline_);
        if (!joined) {
            co_return fail(std::move(joined.error()).with_context("rendition " + profiles_[i].name));
        }
        joined->front().name = profiles_[i].name;
        out_.renditions.push_back(std::move(joined->front()));
    }
    co_return std::move(out_);
}

}  // namespace framegrid::gateway
