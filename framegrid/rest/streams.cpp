#include <framegrid/rest/streams.hpp>

#include <algorithm>

namespace framegrid::rest {

namespace {

bool same_format(const api::ProbeResult& a, const api::ProbeResult& b) {
    return a.video_codec == b.video_codec && a.audio_codec == b.audio_codec &&
           a.pixel_format == b.pixel_format && a.size == b.size;
}

bool same_ladder(const std::vector<media::VideoProfile>& a, const std::vector<media::VideoProfile>& b) {
    return std::ranges::equal(a, b, [](media::VideoProfile x, const media::VideoProfile& y) {
        x.container = y.container;  // inherited from the stream, not part of the configuration
        return x == y;
    });
}

// The playlists' segments are MPEG-TS.
bool fits_hls(const std::vector<media::VideoProfile>& profiles) {
    return std::ranges::all_of(profiles, [](const media::VideoProfile& profile) {
        return profile.container == media::Container::kMpegTs;
    });
}

}  // namespace

Push::Push(std::shared_ptr<Stream> stream, std::int64_t seq, Clock& clock)
    : stream_(std::move(stream)),
      clock_(clock),
      seq_(seq),
      manifest_id_(stream_->manifest_id),
      profiles_(stream_->profiles) {
    ++stream_->working;
    stream_->hls.expect(seq_);
}

Push::~Push() {
    if (!stream_) {
        return;  // moved from
    }
    if (!completed_) {
        stream_->hls.fail(seq_);
    }
    --stream_->working;
    stream_->used_at = clock_.now();
}

void Push::complete(std::vector<Blob> renditions, std::int64_t duration_ms) {
    const bool is_playable =
        manifest_id_ == stream_->manifest_id && !profiles_.empty() && fits_hls(profiles_);
    if (completed_ || !is_playable) {
        return;  // a group that was replaced meanwhile, or one that HLS cannot show
    }
    completed_ = true;
    HlsItem item;
    item.duration_ms = duration_ms;
    item.discontinuity = source_changed_;
    item.renditions = std::move(renditions);
    stream_->hls.complete(seq_, std::move(item));
}

Result<std::shared_ptr<Stream>> StreamTable::make(const std::string& name, const std::string& owner) {
    const auto known = streams_.find(name);
    const bool is_live = known != streams_.end() && !known->second->ended_at;
    if (is_live && known->second->owner != owner) {
        return fail(Errc::kForbidden, "a stream of that name is being pushed by somebody else", "stream");
    }
    if (is_live) {
        return known->second;
    }
    if (known == streams_.end() && streams_.size() >= settings_.streams_max) {
        const auto ended = std::ranges::find_if(streams_, [](const auto& entry) {
            return entry.second->ended_at.has_value();
        });
        if (ended == streams_.end()) {
            return fail(Errc::kCapacity, "the gateway serves as many streams as it may; try again later");
        }
        streams_.erase(ended);
    }
    auto stream = std::make_shared<Stream>(name, settings_.hls, total_);
    stream->owner = owner;
    streams_[name] = stream;
    return stream;
}

void StreamTable::start_group(
    Stream& stream, std::vector<media::VideoProfile> profiles, media::Container container, media::Size source
) {
    if (stream.generation > 0) {
        over_.push_back(stream.manifest_id);
    }
    ++stream.generation;
    stream.manifest_id = stream.name;
    if (stream.generation > 1) {
        stream.manifest_id += "~" + std::to_string(stream.generation);
    }
    for (auto& profile : profiles) {
        profile.container = media::container_for(profile.encoder, container);
    }
    stream.container = container;
    std::vector<HlsRendition> renditions;
    if (fits_hls(profiles)) {
        for (const auto& profile : profiles) {
            const bool is_known = source.width > 0 && source.height > 0;
            renditions.push_back({profile, is_known ? media::output_size(source, profile) : media::Size{}});
        }
    }
    stream.hls.set_renditions(std::move(renditions));
    stream.profiles = std::move(profiles);
}

Result<Push> StreamTable::begin(
    const PushTarget& target, const std::optional<PushConfig>& config, const api::ProbeResult& source,
    const std::string& owner
) {
    FG_TRY(stream, make(target.stream, owner));
    if (stream->generation == 0) {
        stream->timeout_multiplier = config ? config->timeout_multiplier : 1;
        auto ladder = config && config->profiles ? *config->profiles : media::default_profiles();
        start_group(*stream, std::move(ladder), target.container, source.size);
    } else if (config && config->profiles && !same_ladder(*config->profiles, stream->profiles)) {
        start_group(*stream, *config->profiles, stream->container, source.size);
    }
    stream->used_at = clock_.now();
    Push push(stream, target.seq, clock_);
    push.source_changed_ = stream->source && !same_format(*stream->source, source);
    stream->source = source;
    return push;
}

std::vector<std::string> StreamTable::sweep() {
    const TimePoint now = clock_.now();
    auto over = std::exchange(over_, {});
    for (auto it = streams_.begin(); it != streams_.end();) {
        auto& stream = *it->second;
        if (!stream.ended_at && stream.working == 0 && now - stream.used_at > settings_.idle_max) {
            stream.ended_at = now;
            stream.hls.end();
            over.push_back(stream.manifest_id);
        }
        const bool is_forgotten = stream.ended_at && now - *stream.ended_at > settings_.grace;
        it = is_forgotten ? streams_.erase(it) : std::next(it);
    }
    return over;
}

const HlsWindow* StreamTable::playlists(const std::string& name) const {
    const auto known = streams_.find(name);
    return known == streams_.end() ? nullptr : &known->second->hls;
}

std::string StreamTable::owner_of(const std::string& name) const {
    const auto known = streams_.find(name);
    return known == streams_.end() ? std::string() : known->second->owner;
}

}  // namespace framegrid::rest
